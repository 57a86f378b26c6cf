//! Recurring jobs as they are kept: the revision, then the entry as JSON. Where the job that the entry names as its last did not
//! come to be, `put_recurring.lua` writes between them what did: a letter of `births.lua` and the id of the job that is there
//! instead, in hexadecimal.

use redis::Value;
use uuid::Uuid;
use windlass_api::{JobId, Page, RecurringName, Timestamp};

use super::{
    RedisStorage,
    answer::{self, List},
    fault::damaged,
    jobs::{put_job, read_letters},
    script,
};
use crate::{
    NewJob,
    storage::{Due, Put, RecurringEntry, Signal, StorageError, recurring::next_revision},
};

/// No page is longer.
const MAX_PAGE: usize = 1000;

fn decode(name: &str, kept: &str) -> Result<RecurringEntry, StorageError> {
    let wrong = |why: &dyn std::fmt::Display| damaged(format_args!("the recurring job {name}"), why);
    let (revision, entry) = kept.split_once(' ').ok_or_else(|| wrong(&"it has no revision"))?;
    let (instead, entry) = match entry.split_once(' ') {
        Some((instead, rest)) if !instead.starts_with('{') => (Some(instead), rest),
        _ => (None, entry),
    };
    let mut entry: RecurringEntry = serde_json::from_str(entry).map_err(|error| wrong(&error))?;
    if let Some(instead) = instead {
        let (letter, id) = instead.split_at_checked(2).ok_or_else(|| wrong(&"what came of it is cut short"))?;
        entry.last_job = Some(JobId(id.parse::<Uuid>().map_err(|error| wrong(&error))?));
        entry.left_out = letter != REPLACED;
    }
    Ok(RecurringEntry { revision: revision.parse().map_err(|error| wrong(&error))?, ..entry })
}

/// The letter of a job that got what was new of another one, in hexadecimal.
const REPLACED: &str = "72";

/// An entry without its revision, and when it is due.
pub(super) fn encode(entry: &RecurringEntry) -> Result<(String, String), StorageError> {
    let kept = serde_json::to_string(entry).map_err(|error| damaged("a recurring job", error))?;
    let due = entry.next_at.filter(|_| !entry.paused).map(|at| at.0.to_string());
    Ok((kept, due.unwrap_or_default()))
}

impl RedisStorage {
    pub(super) async fn change_recurring(
        &self,
        entry: &RecurringEntry,
        expected: Option<u64>,
        jobs: &[NewJob],
    ) -> Result<Option<Put>, StorageError> {
        let (kept, due) = encode(entry)?;
        let revision = next_revision(expected);
        let last = jobs.iter().position(|job| Some(job.id) == entry.last_job);
        let mut call = self.call(&script::PUT_RECURRING);
        call.arg(entry.name.as_str())
            .arg(expected.map(|revision| revision.to_string()).unwrap_or_default())
            .arg(revision)
            .arg(kept)
            .arg(&due)
            .arg(last.map_or(0, |at| at + 1))
            .arg(jobs.len());
        let by = format!("recurring {}", entry.name);
        for job in jobs {
            put_job(&mut call.command, job, &by)?;
        }
        let letters = match self.run(call).await? {
            Value::Nil => return Ok(None),
            letters => answer::bytes(letters)?,
        };
        if !(jobs.is_empty() && due.is_empty()) {
            self.hub.tell(Signal::Work);
        }
        Ok(Some(Put { revision, jobs: read_letters(&letters, jobs)? }))
    }

    pub(super) async fn drop_recurring(
        &self,
        name: &RecurringName,
        expected: Option<u64>,
    ) -> Result<bool, StorageError> {
        let mut call = self.call(&script::REMOVE_RECURRING);
        call.arg(name.as_str()).arg(expected.map(|revision| revision.to_string()).unwrap_or_default());
        Ok(answer::number::<i64>(self.run(call).await?)? == 1)
    }

    pub(super) async fn one_recurring(&self, name: &RecurringName) -> Result<Option<RecurringEntry>, StorageError> {
        let mut command = redis::cmd("HGET");
        command.arg(format!("{}recurring", self.prefix)).arg(name.as_str());
        let kept = answer::optional(self.link.ask(&command).await?)?;
        kept.map(|kept| decode(name.as_str(), &String::from_utf8_lossy(&kept))).transpose()
    }

    pub(super) async fn recurring_page(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RecurringEntry>, StorageError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let invalid = |text: &str| StorageError::InvalidCursor(text.chars().take(80).collect());
        if let Some(text) = cursor {
            text.parse::<RecurringName>().map_err(|_| invalid(text))?;
        }
        let mut kept = self.kept_recurring(cursor.unwrap_or_default(), limit + 1).await?;
        let more = kept.len() > limit;
        kept.truncate(limit);
        let next = kept.last().filter(|_| more).map(|(name, _)| name.clone());
        Ok(Page::new(readable(kept), next))
    }

    /// The entries after this name, each as far as it can be read.
    pub(super) async fn kept_recurring(&self, after: &str, limit: usize) -> Result<Vec<Kept>, StorageError> {
        let mut call = self.call(&script::RECURRING);
        call.arg("list").arg(limit).arg(after);
        let mut answer = List::of(self.run(call).await?)?;
        answer.next()?;
        answer.next()?;
        read(answer)
    }

    pub(super) async fn due(&self, limit: usize) -> Result<Due, StorageError> {
        let mut call = self.call(&script::RECURRING);
        call.arg("due").arg(limit.clamp(1, MAX_PAGE));
        let mut answer = List::of(self.run(call).await?)?;
        let next_in_ms = answer::optional_number(answer.next()?)?;
        let now = Timestamp(answer::number(answer.next()?)?);
        Ok(Due { entries: readable(read(answer)?), next_in_ms, now })
    }
}

/// An entry by its name, or why it cannot be read.
type Kept = (String, Result<RecurringEntry, StorageError>);

fn read(mut pairs: List) -> Result<Vec<Kept>, StorageError> {
    let mut entries = Vec::new();
    while !pairs.is_empty() {
        let (name, kept) = (pairs.text()?, pairs.bytes()?);
        let entry = decode(&name, &String::from_utf8_lossy(&kept));
        entries.push((name, entry));
    }
    Ok(entries)
}

/// One that cannot be read must not keep the others from being fired; asked for by its name, it says why.
fn readable(kept: Vec<Kept>) -> Vec<RecurringEntry> {
    let mut entries = Vec::new();
    for (name, entry) in kept {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => tracing::error!(recurring = name, %error, "a recurring job is passed over"),
        }
    }
    entries
}
