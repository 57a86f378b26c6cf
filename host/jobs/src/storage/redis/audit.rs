//! The audit log: a stream whose numbers only grow, an entry as JSON with its instant before it.

use async_trait::async_trait;
use redis::cmd;
use windlass_api::{AuditEntry, Page};

use super::{RedisStorage, answer::List, fault::damaged, script};
use crate::storage::{AuditStore, StorageError};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// An entry as it is kept.
pub(super) fn encode(entry: &AuditEntry) -> Result<String, StorageError> {
    serde_json::to_string(entry).map_err(|error| damaged("an entry of the audit log", error))
}

/// An entry, or why it cannot be read.
pub(super) struct Kept {
    /// Its number here.
    pub(super) number: u64,
    /// Its number in the log that it was made in, where that is another storage's.
    pub(super) origin: Option<u64>,
    pub(super) entry: Result<AuditEntry, StorageError>,
}

fn read(mut entry: List) -> Result<Kept, StorageError> {
    let id = entry.text()?;
    let number = id.split_once('-').and_then(|(number, _)| number.parse().ok());
    let number = number.ok_or_else(|| damaged("the audit log", format_args!("an entry has the id `{id}`")))?;
    let mut fields = List::of(entry.next()?)?;
    let (mut kept, mut origin) = (Vec::new(), None);
    while !fields.is_empty() {
        let (name, value) = (fields.text()?, fields.bytes()?);
        match name.as_str() {
            "e" => kept = value,
            "n" => origin = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()),
            _ => {}
        }
    }
    let entry = serde_json::from_slice(&kept);
    let entry = entry.map_err(|error| damaged(format_args!("entry {number} of the audit log"), error));
    Ok(Kept { number, origin, entry })
}

impl RedisStorage {
    async fn audit_range(&self, command: &str, from: &str, to: &str, limit: usize) -> Result<Vec<Kept>, StorageError> {
        let mut command = cmd(command);
        command.arg(format!("{}audit", self.prefix)).arg(from).arg(to).arg("COUNT").arg(limit);
        let mut answer = List::of(self.link.ask(&command).await?)?;
        let mut entries = Vec::new();
        while !answer.is_empty() {
            entries.push(read(List::of(answer.next()?)?)?);
        }
        Ok(entries)
    }

    /// Entries after this number, the oldest first.
    pub(super) async fn audit_after(&self, number: u64, limit: usize) -> Result<Vec<Kept>, StorageError> {
        self.audit_range("XRANGE", &format!("({number}-0"), "+", limit).await
    }
}

#[async_trait]
impl AuditStore for RedisStorage {
    async fn record_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StorageError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut call = self.call(&script::RECORD_AUDIT);
        for entry in &entries {
            call.arg(entry.at.0).arg(encode(entry)?);
        }
        self.run(call).await.map(drop)
    }

    async fn audit(&self, cursor: Option<&str>, limit: usize) -> Result<Page<AuditEntry>, StorageError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let from = match cursor {
            None => "+".to_owned(),
            Some(text) => {
                let invalid = |_| StorageError::InvalidCursor(text.chars().take(80).collect());
                format!("({}-0", text.parse::<u64>().map_err(invalid)?)
            }
        };
        let mut kept = self.audit_range("XREVRANGE", &from, "-", limit + 1).await?;
        let more = kept.len() > limit;
        kept.truncate(limit);
        let next = kept.last().filter(|_| more).map(|kept| kept.number.to_string());
        let mut entries = Vec::new();
        for Kept { number, entry, .. } in kept {
            match entry {
                Ok(entry) => entries.push(entry),
                // One that cannot be read hides no other.
                Err(error) => tracing::error!(number, %error, "an entry of the audit log is passed over"),
            }
        }
        Ok(Page::new(entries, next))
    }
}
