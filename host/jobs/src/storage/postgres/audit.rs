//! Who did what, in the order in which it was kept.

use sqlx::Row;
use windlass_api::{AuditEntry, Page};

use super::{
    fault::Fault,
    search::page_size,
    tx::Tx,
    words::{amount, plain, signed},
};
use crate::storage::{AuditRecord, MAX_AUDIT_ENTRIES, StorageError};

/// How many old entries one step removes.
const MOST_REMOVED: u64 = 10_000;

pub(super) async fn record(tx: &mut Tx<'_>, entries: &[AuditEntry]) -> Result<(), Fault> {
    let query = tx
        .query(
            "INSERT INTO @audit (at, entry)
             SELECT e.at, e.entry FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS e (at, entry, place)
             ORDER BY e.place",
        )
        .bind(entries.iter().map(|entry| entry.at.0).collect::<Vec<_>>())
        .bind(entries.iter().map(text).collect::<Result<Vec<_>, _>>()?);
    tx.run(query).await?;
    Ok(())
}

fn text(entry: &AuditEntry) -> Result<String, Fault> {
    serde_json::to_string(entry)
        .map(|text| plain(&text))
        .map_err(|error| Fault::damaged("an entry of the audit log", error))
}

pub(super) fn read(n: i64, text: &str) -> Result<AuditEntry, Fault> {
    let damaged = |error| Fault::damaged(format_args!("entry {n} of the audit log"), error);
    serde_json::from_str::<AuditEntry>(text).map_err(damaged)
}

/// Entries, the last that was kept first. One that cannot be read is passed over: it must not hide the others.
pub(super) async fn page(tx: &mut Tx<'_>, cursor: Option<&str>, limit: usize) -> Result<Page<AuditEntry>, Fault> {
    let parse = |text: &str| text.parse::<i64>().map_err(|_| Fault::cursor(text));
    let mut before = cursor.map(parse).transpose()?.unwrap_or(i64::MAX);
    let limit = page_size(limit);
    let mut entries = Vec::new();
    loop {
        let query = tx.query("SELECT n, entry FROM @audit WHERE n < $1 ORDER BY n DESC LIMIT $2");
        let rows = tx.all(query.bind(before).bind(limit + 1)).await?;
        for row in &rows {
            if amount(entries.len()) == limit {
                return Ok(Page::new(entries, Some(before.to_string())));
            }
            before = row.try_get(0)?;
            match read(before, row.try_get(1)?) {
                Ok(entry) => entries.push(entry),
                Err(fault) => tracing::error!(error = %StorageError::from(fault), "it is passed over"),
            }
        }
        if amount(rows.len()) <= limit {
            return Ok(Page::new(entries, None));
        }
    }
}

/// Takes an entry of another storage's log, unless this one has a log of its own or the entry is there. What came by imports
/// alone is no log of its own, so that the parts of one import, and a repeated one, come together.
pub(super) async fn import(tx: &mut Tx<'_>, record: &AuditRecord) -> Result<bool, Fault> {
    let query = tx
        .query(
            "INSERT INTO @audit (at, entry, imported) SELECT $1, $2, $3
             WHERE NOT EXISTS (SELECT 1 FROM @audit WHERE imported = 0 LIMIT 1)
                 AND NOT EXISTS (SELECT 1 FROM @audit WHERE at = $1 AND entry = $2 AND imported = $3 LIMIT 1)",
        )
        .bind(record.entry.at.0)
        .bind(text(&record.entry)?)
        .bind(signed(record.number.max(1)));
    Ok(tx.run(query).await? > 0)
}

/// Removes entries that are too old or too many; gives whether that was all of them.
pub(super) async fn prune(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let kept_ms = i64::try_from(tx.retention.audit.as_millis()).unwrap_or(i64::MAX);
    let query = tx
        .query(
            "WITH old AS MATERIALIZED (
                 SELECT ctid AS spot FROM @audit WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
             DELETE FROM @audit WHERE ctid = ANY (ARRAY(SELECT spot FROM old))",
        )
        .bind(tx.now().0.saturating_sub(kept_ms))
        .bind(i64::try_from(MOST_REMOVED).unwrap_or(i64::MAX));
    let old = tx.run(query).await?;
    // Numbers are skipped at times, so that there are never more entries than numbers: mostly the ends tell enough.
    let most = amount(MAX_AUDIT_ENTRIES);
    let query =
        tx.query("SELECT (SELECT n FROM @audit ORDER BY n LIMIT 1), (SELECT n FROM @audit ORDER BY n DESC LIMIT 1)");
    let row = tx.first(query).await?.ok_or(Fault::Again)?;
    let ends = row.try_get::<Option<i64>, _>(0)?.zip(row.try_get::<Option<i64>, _>(1)?);
    if ends.is_none_or(|(first, last)| last - first < most) {
        return Ok(old < MOST_REMOVED);
    }
    let query = tx
        .query(
            "WITH old AS MATERIALIZED (
                 SELECT ctid AS spot FROM @audit
                 WHERE n <= (SELECT n FROM @audit ORDER BY n DESC OFFSET $1 LIMIT 1)
                 ORDER BY n LIMIT $2 FOR UPDATE SKIP LOCKED)
             DELETE FROM @audit WHERE ctid = ANY (ARRAY(SELECT spot FROM old))",
        )
        .bind(most)
        .bind(i64::try_from(MOST_REMOVED).unwrap_or(i64::MAX));
    Ok(tx.run(query).await? < MOST_REMOVED && old < MOST_REMOVED)
}
