//! An export that goes on past what cannot be read.

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Grain, JobId, Page, Timestamp};

use super::{
    core::{Core, step},
    export::{LOST, MAX_RECORDS, Position, export},
    fault::Fault,
    number,
    tx::{Kind, Tx},
    words::{self, Word},
};
use crate::storage::{ExportPart, StorageError};

/// How much smaller a part gets each time that something of it cannot be read.
const NARROWER: usize = 10;

/// Gives what the database holds, and goes on past what cannot be read: what fails is asked for again in smaller parts, each
/// in a transaction of its own, until one record is left. A part may have few records then.
pub(super) async fn export_readable(
    core: &Core,
    cursor: Option<&str>,
    limit: usize,
) -> Result<ExportPart, StorageError> {
    let mut limit = limit.clamp(1, MAX_RECORDS);
    loop {
        match step!(core, Kind::LongLook, |tx| export(tx, cursor, limit)) {
            Ok(Page { items, next, .. }) => return Ok(ExportPart { items, next, skipped: Vec::new() }),
            Err(StorageError::Damaged(_)) if limit > 1 => limit = (limit / NARROWER).max(1),
            Err(StorageError::Damaged(why)) => return pass(core, cursor, why).await,
            Err(error) => return Err(error),
        }
    }
}

/// Goes on past the one record that cannot be read.
async fn pass(core: &Core, cursor: Option<&str>, why: String) -> Result<ExportPart, StorageError> {
    let mut position = cursor.map_or(Ok(Position::FIRST), Position::read)?;
    let (next, name) = loop {
        match step!(core, Kind::LongLook, |tx| next_key(tx, &position)) {
            Ok(Some((next, name))) => break (Some(next), name),
            // There is no more of this kind; the record is the first one of the next.
            Ok(None) => match position.next_kind() {
                Some(next) => position = next,
                None => return Ok(ExportPart::default()),
            },
            Err(StorageError::Damaged(_)) => match step!(core, Kind::LongLook, |tx| detour(tx, &position)) {
                Ok(Some((next, name))) => break (Some(next), name),
                // Not even the keys are to be had any more.
                Ok(None) | Err(StorageError::Damaged(_)) => break (position.next_kind(), position.rest()),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
    };
    let why = if why.starts_with(&name) { why } else { format!("{name}: {why}") };
    Ok(ExportPart { items: Vec::new(), next: next.map(|next| next.write()), skipped: vec![why] })
}

/// The position behind the next record, and what that is called; read from its key alone.
async fn next_key(tx: &mut Tx<'_>, position: &Position) -> Result<Option<(Position, String)>, Fault> {
    match position {
        Position::Versions(after) => {
            let query =
                tx.query("SELECT n, digest FROM @versions WHERE n > $1 AND retired_at IS NULL ORDER BY n LIMIT 1");
            let query = query.bind(*after);
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            let n = row.try_get(0)?;
            let name = match words::digest(row.try_get(1)?) {
                Ok(digest) => format!("version {digest}"),
                Err(_) => format!("version number {n}"),
            };
            Ok(Some((Position::Versions(n), name)))
        }
        Position::Queues(after) => {
            let query = tx.query("SELECT n FROM @queues WHERE paused AND n > $1 ORDER BY n LIMIT 1").bind(*after);
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            let n = row.try_get(0)?;
            Ok(Some((Position::Queues(n), format!("queue number {n}"))))
        }
        Position::Limits(after) => {
            let query = tx.query("SELECT target FROM @limits WHERE target > $1 ORDER BY target LIMIT 1");
            let Some(row) = tx.first(query.bind(after.clone())).await? else { return Ok(None) };
            let target = row.try_get::<String, _>(0)?;
            let name = format!("limit {target}");
            Ok(Some((Position::Limits(target), name)))
        }
        Position::Audit(after) => {
            let query = tx.query("SELECT n FROM @audit WHERE n > $1 ORDER BY n LIMIT 1").bind(*after);
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            let n = row.try_get(0)?;
            Ok(Some((Position::Audit(n), format!("entry {n} of the audit log"))))
        }
        Position::Recurring(after) => {
            let query = tx.query("SELECT name FROM @recurring WHERE name > $1 ORDER BY name LIMIT 1");
            let Some(row) = tx.first(query.bind(after.clone())).await? else { return Ok(None) };
            let name = row.try_get::<String, _>(0)?;
            let shown = format!("the recurring job {name}");
            Ok(Some((Position::Recurring(name), shown)))
        }
        Position::Counters(grain, at, handler) => {
            let query = tx
                .query(
                    "SELECT grain, at, handler FROM @counters WHERE (grain, at, handler) > ($1, $2, $3)
                     ORDER BY grain, at, handler LIMIT 1",
                )
                .bind(*grain)
                .bind(*at)
                .bind(*handler);
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            let (grain, at, handler) = (row.try_get(0)?, row.try_get(1)?, row.try_get::<i32, _>(2)?);
            let span = Grain::from_number(grain).map_or("span", Grain::as_str);
            let name = format!("the counter of handler number {handler} for the {span} of {}", Timestamp(at));
            Ok(Some((Position::Counters(grain, at, handler), name)))
        }
        Position::Jobs(after) => {
            let query = tx.query("SELECT seq, id FROM @jobs WHERE seq > $1 ORDER BY seq LIMIT 1").bind(*after);
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            Ok(Some((Position::Jobs(row.try_get(0)?), format!("job {}", JobId(row.try_get::<Uuid, _>(1)?)))))
        }
        Position::Lost(after) => {
            let query = tx.query(LOST).bind(*after);
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            let seq = row.try_get(0)?;
            Ok(Some((Position::Lost(seq), number::name(seq, row.try_get(1)?))))
        }
    }
}

/// The same where the records' own table has no keys to give: jobs are also found where they wait, run or have ended.
async fn detour(tx: &mut Tx<'_>, position: &Position) -> Result<Option<(Position, String)>, Fault> {
    let Position::Jobs(after) = position else { return Ok(None) };
    let query = tx
        .query(
            "SELECT s.seq, s.id FROM (
                 SELECT l.seq, l.id FROM generate_series(0, 3) AS states (state) CROSS JOIN LATERAL (
                     SELECT seq, id FROM @live WHERE state + 0 = states.state AND seq > $1 ORDER BY seq LIMIT 1) l
                 UNION ALL
                 SELECT e.seq, NULL FROM generate_series(4, 6) AS states (state) CROSS JOIN LATERAL (
                     SELECT seq FROM @ended WHERE state = states.state AND seq > $1 ORDER BY seq LIMIT 1) e) s
             ORDER BY s.seq LIMIT 1",
        )
        .bind(*after);
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let seq = row.try_get(0)?;
    let name = number::name(seq, row.try_get(1)?);
    Ok(Some((Position::Jobs(seq), name)))
}
