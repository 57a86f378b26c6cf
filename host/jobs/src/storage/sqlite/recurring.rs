//! Recurring jobs.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;
use windlass_api::{JobId, Page, RecurringName, Timestamp};

use super::{
    SqliteStorage,
    enqueue::{self, Unfit},
    fault::Fault,
    list::page_size,
    operation::Durability,
    payload::stored_json,
    tx::Tx,
    words::{self, signed, unsigned},
};
use crate::{
    NewJob,
    storage::{Due, Put, RecurringEntry, RecurringStore, Signal, StorageError, recurring::next_revision},
};

/// What an entry is read by, in the order of [`read`].
const COLUMNS: &str = "name, definition, paused, next_at, last_at, last_job, revision, left_out";

fn read(row: &Row<'_>) -> Result<RecurringEntry, Fault> {
    let name = row.get::<_, String>(0)?;
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("the recurring job {name}"), why);
    let instant = |at: usize| row.get::<_, Option<i64>>(at).map(|at| at.map(Timestamp));
    let last_job = row.get::<_, Option<Vec<u8>>>(5)?.map(|id| words::uuid(&id).map(JobId)).transpose();
    let definition = stored_json(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
    Ok(RecurringEntry {
        definition: definition.map_err(|error| damaged(&error))?,
        paused: row.get(2)?,
        next_at: instant(3)?,
        last_at: instant(4)?,
        last_job: last_job.map_err(|_| damaged(&"the id of its last job is none"))?,
        revision: unsigned(row.get(6)?),
        left_out: row.get(7)?,
        name: name.parse().map_err(|error| damaged(&error))?,
    })
}

fn put(tx: &mut Tx<'_>, entry: &RecurringEntry, expected: Option<u64>, jobs: &[NewJob]) -> Result<Option<Put>, Fault> {
    let present = tx
        .db
        .prepare_cached("SELECT revision FROM recurring WHERE name = ?1")?
        .query_row([entry.name.as_str()], |row| row.get(0))
        .optional()?
        .map(unsigned);
    if present != expected {
        return Ok(None);
    }
    let revision = next_revision(present);
    let by = format!("recurring {}", entry.name);
    let put = Put { revision, jobs: enqueue::enqueue(tx, jobs, &by, Unfit::LeaveOut)? };
    let mut kept = RecurringEntry { revision, ..entry.clone() };
    if let Some((job, left_out)) = put.corrected(entry, jobs) {
        (kept.last_job, kept.left_out) = (Some(job), left_out);
    }
    write(tx.db, &kept)?;
    if entry.next_at.is_some() && !entry.paused {
        tx.signal(Signal::Work);
    }
    Ok(Some(put))
}

fn write(db: &Connection, entry: &RecurringEntry) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO recurring (name, definition, paused, next_at, last_at, last_job, revision, left_out)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        entry.name.as_str(),
        entry.definition.as_str(),
        entry.paused,
        entry.next_at.map(|at| at.0),
        entry.last_at.map(|at| at.0),
        entry.last_job.as_ref().map(|id| Uuid::as_bytes(&id.0)),
        signed(entry.revision),
        entry.left_out,
    ])?;
    Ok(())
}

/// Keeps an entry that comes from another storage, unless there is one of its name. Gives whether it was kept.
pub(super) fn import(tx: &mut Tx<'_>, entry: &RecurringEntry) -> Result<bool, Fault> {
    let known = tx.db.prepare_cached("SELECT 1 FROM recurring WHERE name = ?1")?.exists([entry.name.as_str()])?;
    if !known {
        write(tx.db, entry)?;
        tx.signal(Signal::Work);
    }
    Ok(!known)
}

fn remove(tx: &Tx<'_>, name: &RecurringName, expected: Option<u64>) -> Result<bool, Fault> {
    let mut query = tx.db.prepare_cached("DELETE FROM recurring WHERE name = ?1 AND (?2 IS NULL OR revision = ?2)")?;
    Ok(query.execute(params![name.as_str(), expected.map(signed)])? > 0)
}

/// An entry by its name, which may be none that can be given to one.
pub(super) fn by_name(db: &Connection, name: &str) -> Result<Option<RecurringEntry>, Fault> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM recurring WHERE name = ?1"))?;
    query.query([name])?.next()?.map(read).transpose()
}

/// An entry, or nothing where it cannot be read: then it must not hold up those behind it.
fn read_or_pass_over(row: &Row<'_>) -> Result<Option<RecurringEntry>, Fault> {
    match read(row) {
        Ok(entry) => Ok(Some(entry)),
        Err(fault) if fault.is_of_a_record() => {
            tracing::error!(error = %StorageError::from(fault), "a recurring job is passed over, because it is damaged");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

fn page(db: &Connection, cursor: Option<&str>, limit: usize) -> Result<Page<RecurringEntry>, Fault> {
    if let Some(cursor) = cursor {
        cursor.parse::<RecurringName>().map_err(|_| Fault::cursor(cursor))?;
    }
    let limit = usize::try_from(page_size(limit)).unwrap_or(1);
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM recurring WHERE name > ?1 ORDER BY name"))?;
    let mut rows = query.query([cursor.unwrap_or_default()])?;
    let mut entries = Vec::<RecurringEntry>::new();
    while let Some(row) = rows.next()? {
        let Some(entry) = read_or_pass_over(row)? else { continue };
        if entries.len() == limit {
            let next = entries.last().map(|entry| entry.name.to_string());
            return Ok(Page::new(entries, next));
        }
        entries.push(entry);
    }
    Ok(Page::new(entries, None))
}

fn due(db: &Connection, now: Timestamp, limit: usize) -> Result<Due, Fault> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM recurring INDEXED BY recurring_due WHERE next_at IS NOT NULL AND NOT paused
         ORDER BY next_at, name",
    ))?;
    let mut rows = query.query([])?;
    let mut due = Due { now, ..Due::default() };
    while let Some(row) = rows.next()? {
        let next_at = Timestamp(row.get(3)?);
        if next_at > now || due.entries.len() == limit {
            due.next_in_ms = Some(next_at.ms_since(now));
            break;
        }
        due.entries.extend(read_or_pass_over(row)?);
    }
    Ok(due)
}

#[async_trait]
impl RecurringStore for SqliteStorage {
    async fn put_recurring(
        &self,
        entry: RecurringEntry,
        expected: Option<u64>,
        jobs: Vec<NewJob>,
    ) -> Result<Option<Put>, StorageError> {
        self.write(Durability::Promised, move |tx| put(tx, &entry, expected, &jobs)).await
    }

    async fn remove_recurring(&self, name: &RecurringName, expected: Option<u64>) -> Result<bool, StorageError> {
        let name = name.clone();
        self.write(Durability::Promised, move |tx| remove(tx, &name, expected)).await
    }

    async fn recurring(&self, name: &RecurringName) -> Result<Option<RecurringEntry>, StorageError> {
        let name = name.clone();
        self.read(move |db| by_name(db, name.as_str())).await
    }

    async fn recurring_entries(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RecurringEntry>, StorageError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| page(db, cursor.as_deref(), limit)).await
    }

    async fn due_recurring(&self, limit: usize) -> Result<Due, StorageError> {
        let now = self.clock.now();
        self.read(move |db| due(db, now, limit)).await
    }
}
