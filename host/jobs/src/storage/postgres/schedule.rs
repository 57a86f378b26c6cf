//! Recurring jobs.

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{JobId, Page, RecurringName, Timestamp};

use super::{
    conditioned,
    enqueue::Incoming,
    fault::Fault,
    search::page_size,
    tx::Tx,
    words::{amount, signed, unsigned},
};
use crate::{
    NewJob,
    storage::{Due, Put, RecurringEntry, StorageError, recurring::next_revision},
};

fn read(row: &PgRow) -> Result<RecurringEntry, Fault> {
    let name = row.try_get::<&str, _>(0)?;
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("the recurring job {name}"), why);
    let instant = |at: usize| row.try_get::<Option<i64>, _>(at).map(|at| at.map(Timestamp));
    Ok(RecurringEntry {
        name: name.parse().map_err(|error| damaged(&error))?,
        definition: serde_json::from_str(row.try_get(1)?).map_err(|error| damaged(&error))?,
        paused: row.try_get(2)?,
        next_at: instant(3)?,
        last_at: instant(4)?,
        last_job: row.try_get::<Option<Uuid>, _>(5)?.map(JobId),
        revision: unsigned(row.try_get(6)?),
        left_out: row.try_get(7)?,
    })
}

pub(super) async fn put(
    tx: &mut Tx<'_>,
    entry: &RecurringEntry,
    expected: Option<u64>,
    jobs: &[NewJob],
) -> Result<Option<Put>, Fault> {
    let revision = next_revision(expected);
    let written = match expected {
        None => write(tx, &RecurringEntry { revision, ..entry.clone() }).await?,
        Some(expected) => {
            let query = tx
                .query(
                    "UPDATE @recurring SET definition = $2, paused = $3, next_at = $4, last_at = $5, last_job = $6,
                     revision = $7, left_out = $9 WHERE name = $1 AND revision = $8",
                )
                .bind(entry.name.as_str())
                .bind(entry.definition.as_str())
                .bind(entry.paused)
                .bind(entry.next_at.map(|at| at.0))
                .bind(entry.last_at.map(|at| at.0))
                .bind(entry.last_job.map(|id| id.0))
                .bind(signed(revision))
                .bind(signed(expected))
                .bind(entry.left_out);
            tx.run(query).await? > 0
        }
    };
    if !written {
        return Ok(None);
    }
    let by = format!("recurring {}", entry.name);
    let incoming = jobs.iter().map(|job| Incoming { job, by: &by }).collect::<Vec<_>>();
    let put = Put { revision, jobs: conditioned::store_leniently(tx, incoming).await? };
    if let Some((job, left_out)) = put.corrected(entry, jobs) {
        let query = tx.query("UPDATE @recurring SET last_job = $2, left_out = $3 WHERE name = $1");
        let query = query.bind(entry.name.as_str()).bind(job.0).bind(left_out);
        tx.run(query).await?;
    }
    tx.told.work |= entry.next_at.is_some() && !entry.paused;
    Ok(Some(put))
}

/// Keeps a new entry, unless there is one of its name; gives whether it was kept.
pub(super) async fn write(tx: &mut Tx<'_>, entry: &RecurringEntry) -> Result<bool, Fault> {
    let query = tx
        .query(
            "INSERT INTO @recurring (name, definition, paused, next_at, last_at, last_job, revision, left_out)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(entry.name.as_str())
        .bind(entry.definition.as_str())
        .bind(entry.paused)
        .bind(entry.next_at.map(|at| at.0))
        .bind(entry.last_at.map(|at| at.0))
        .bind(entry.last_job.map(|id| id.0))
        .bind(signed(entry.revision))
        .bind(entry.left_out);
    Ok(tx.run(query).await? > 0)
}

pub(super) async fn remove(tx: &mut Tx<'_>, name: &RecurringName, expected: Option<u64>) -> Result<bool, Fault> {
    let query = tx
        .query("DELETE FROM @recurring WHERE name = $1 AND ($2::bigint IS NULL OR revision = $2)")
        .bind(name.as_str())
        .bind(expected.map(signed));
    Ok(tx.run(query).await? > 0)
}

macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "SELECT name, definition, paused, next_at, last_at, last_job, revision, left_out FROM @recurring ",
            $rest
        )
    };
}

pub(super) async fn one(tx: &mut Tx<'_>, name: &RecurringName) -> Result<Option<RecurringEntry>, Fault> {
    let query = tx.query(entries!("WHERE name = $1")).bind(name.as_str());
    tx.first(query).await?.as_ref().map(read).transpose()
}

/// An entry, or nothing where it cannot be read: then it must not hold up those behind it.
fn read_or_pass_over(row: &PgRow) -> Result<Option<RecurringEntry>, Fault> {
    match read(row) {
        Ok(entry) => Ok(Some(entry)),
        Err(fault) if fault.is_of_a_record() => {
            tracing::error!(error = %StorageError::from(fault), "a recurring job is passed over, because it is damaged");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Entries by name, from after `after`, and whether there are more.
pub(super) async fn after(tx: &mut Tx<'_>, after: &str, limit: usize) -> Result<(Vec<RecurringEntry>, bool), Fault> {
    let query =
        tx.query(entries!("WHERE name > $1 ORDER BY name LIMIT $2")).bind(after.to_owned()).bind(amount(limit + 1));
    let mut entries = tx.all(query).await?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    Ok((entries, has_more))
}

pub(super) async fn page(tx: &mut Tx<'_>, cursor: Option<&str>, limit: usize) -> Result<Page<RecurringEntry>, Fault> {
    if let Some(cursor) = cursor {
        cursor.parse::<RecurringName>().map_err(|_| Fault::cursor(cursor))?;
    }
    let limit = usize::try_from(page_size(limit)).unwrap_or(1);
    let (mut entries, mut last) = (Vec::<RecurringEntry>::new(), cursor.unwrap_or_default().to_owned());
    loop {
        let query = tx.query(entries!("WHERE name > $1 ORDER BY name LIMIT $2")).bind(last).bind(amount(limit + 1));
        let rows = tx.all(query).await?;
        for row in &rows {
            let Some(entry) = read_or_pass_over(row)? else { continue };
            if entries.len() == limit {
                let next = entries.last().map(|entry| entry.name.to_string());
                return Ok(Page::new(entries, next));
            }
            entries.push(entry);
        }
        match rows.last() {
            Some(row) if rows.len() > limit => last = row.try_get(0)?,
            _ => return Ok(Page::new(entries, None)),
        }
    }
}

pub(super) async fn due(tx: &mut Tx<'_>, limit: usize) -> Result<Due, Fault> {
    let now = tx.now();
    let mut due = Due { now, ..Due::default() };
    let (mut last_at, mut last_name) = (i64::MIN, String::new());
    loop {
        // Only what is due is read, since each comes with its payload.
        let query = tx
            .query(entries!(
                "WHERE NOT paused AND next_at <= $1 AND (next_at, name) > ($2, $3) ORDER BY next_at, name LIMIT $4"
            ))
            .bind(now.0)
            .bind(last_at)
            .bind(last_name)
            .bind(amount(limit.saturating_add(1)));
        let rows = tx.all(query).await?;
        for row in &rows {
            if due.entries.len() == limit {
                due.next_in_ms = Some(0);
                return Ok(due);
            }
            due.entries.extend(read_or_pass_over(row)?);
        }
        // Those that were passed over left room for others.
        match rows.last() {
            Some(row) if rows.len() > limit => (last_at, last_name) = (row.try_get(3)?, row.try_get(0)?),
            _ => break,
        }
    }
    let query = tx.query("SELECT min(next_at) FROM @recurring WHERE NOT paused AND next_at > $1").bind(now.0);
    let next_at = tx.first(query).await?.map(|row| row.try_get::<Option<i64>, _>(0)).transpose()?.flatten();
    due.next_in_ms = next_at.map(|next_at| Timestamp(next_at).ms_since(now));
    Ok(due)
}
