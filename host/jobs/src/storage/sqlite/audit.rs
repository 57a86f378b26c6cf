//! The audit log.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use windlass_api::{AuditEntry, Json, Page, Timestamp};

use super::{
    SqliteStorage,
    fault::Fault,
    list::{numbered, page_size},
    operation::Durability,
    tx::Tx,
    words::{signed, unsigned},
};
use crate::storage::{AuditRecord, AuditStore, MAX_AUDIT_ENTRIES, StorageError};

/// How many entries one step removes at most: writing waits for it.
const OLD_ENTRIES: i64 = 1_000;

fn record(tx: &Tx<'_>, entries: &[AuditEntry]) -> Result<(), Fault> {
    entries.iter().try_for_each(|entry| insert(tx, entry.at, &text(entry)?))
}

fn text(entry: &AuditEntry) -> Result<Json, Fault> {
    Json::write(entry).map_err(|error| Fault::damaged("an entry of the audit log", error))
}

fn insert(tx: &Tx<'_>, at: Timestamp, text: &Json) -> Result<(), Fault> {
    tx.db.prepare_cached("INSERT INTO audit (at, entry) VALUES (?1, ?2)")?.execute((at.0, text.as_str()))?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<AuditEntry, Fault> {
    let n = row.get::<_, i64>(0)?;
    let entry = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
    entry.map_err(|error| Fault::damaged(name(n), error))
}

/// What an entry is called that cannot be read.
pub(super) fn name(n: i64) -> String {
    format!("entry number {n} of the audit log")
}

/// An entry by its number here, with that of the log that it was made in.
pub(super) fn by_number(db: &Connection, n: i64) -> Result<Option<AuditRecord>, Fault> {
    let mut query = db.prepare_cached("SELECT n, entry, iif(imported > 0, imported, n) FROM audit WHERE n = ?1")?;
    let mut rows = query.query([n])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(AuditRecord { number: unsigned(row.get(2)?), entry: read(row)? }))
}

/// Entries, the last one first, without those that cannot be read.
fn page(db: &Connection, cursor: Option<&str>, limit: usize) -> Result<Page<AuditEntry>, Fault> {
    let before = cursor.map(numbered).transpose()?.unwrap_or(i64::MAX);
    let limit = usize::try_from(page_size(limit)).unwrap_or(1);
    let mut query = db.prepare_cached("SELECT n, entry FROM audit WHERE n < ?1 ORDER BY n DESC")?;
    let mut rows = query.query([before])?;
    let (mut entries, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(_) if entries.len() == limit => return Ok(Page::new(entries, last)),
            Ok(entry) => {
                last = Some(row.get::<_, i64>(0)?.to_string());
                entries.push(entry);
            }
            Err(fault) if fault.is_of_a_record() => {
                tracing::error!(error = %StorageError::from(fault), "an entry of the audit log is passed over");
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(Page::new(entries, None))
}

/// Removes entries that are old or too many; gives whether that was all of them.
pub(super) fn prune(tx: &Tx<'_>) -> Result<bool, Fault> {
    let kept_ms = i64::try_from(tx.retention.audit.as_millis()).unwrap_or(i64::MAX);
    let old = tx
        .db
        .prepare_cached(
            "DELETE FROM audit WHERE n IN
             (SELECT n FROM audit INDEXED BY audit_by_time WHERE at <= ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute((tx.now.0.saturating_sub(kept_ms), OLD_ENTRIES))?;
    let too_many = too_many(tx)?;
    if too_many > 0 {
        tx.db
            .prepare_cached("DELETE FROM audit WHERE n IN (SELECT n FROM audit ORDER BY n LIMIT ?1)")?
            .execute([too_many.min(OLD_ENTRIES)])?;
    }
    Ok(i64::try_from(old).is_ok_and(|old| old < OLD_ENTRIES) && too_many <= OLD_ENTRIES)
}

/// How many entries there are beyond what is kept. They are counted only where their numbers allow for more than that.
fn too_many(tx: &Tx<'_>) -> Result<i64, Fault> {
    let most = i64::try_from(MAX_AUDIT_ENTRIES).unwrap_or(i64::MAX);
    let spanned = tx
        .db
        .prepare_cached("SELECT coalesce((SELECT max(n) FROM audit) - (SELECT min(n) FROM audit) + 1, 0)")?
        .query_row([], |row| row.get::<_, i64>(0))?;
    if spanned <= most {
        return Ok(0);
    }
    let count = tx.db.prepare_cached("SELECT count(*) FROM audit")?.query_row([], |row| row.get::<_, i64>(0))?;
    Ok((count - most).max(0))
}

/// Takes an entry of another storage's log where this one has none of its own, unless it came with an earlier import. Gives
/// whether it was taken.
pub(super) fn import(tx: &Tx<'_>, record: &AuditRecord) -> Result<bool, Fault> {
    if tx.db.prepare_cached("SELECT 1 FROM audit INDEXED BY audit_own WHERE imported = 0")?.exists([])? {
        return Ok(false);
    }
    let taken = tx
        .db
        .prepare_cached(
            "INSERT INTO audit (at, entry, imported) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (
                 SELECT 1 FROM audit INDEXED BY audit_by_time WHERE at = ?1 AND entry = ?2 AND imported = ?3)",
        )?
        .execute((record.entry.at.0, text(&record.entry)?.as_str(), signed(record.number.max(1))))?;
    Ok(taken > 0)
}

#[async_trait]
impl AuditStore for SqliteStorage {
    async fn record_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StorageError> {
        self.write(Durability::Promised, move |tx| record(tx, &entries)).await
    }

    async fn audit(&self, cursor: Option<&str>, limit: usize) -> Result<Page<AuditEntry>, StorageError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| page(db, cursor.as_deref(), limit)).await
    }
}
