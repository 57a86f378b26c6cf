//! New jobs.

use std::collections::HashSet;

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Enqueued, HandlerPath, Json, RetryPolicy, Timestamp};

use super::{
    fault::Fault,
    modules,
    number::next_number,
    tx::Tx,
    words::{Word, plain, signed},
};
use crate::{NewJob, Start};

/// Why a job waits for its handler.
pub(super) const HANDLER_MISSING: &str = "handler-missing";

/// Jobs are stored, stand in their lines and are counted, in one statement. The arrays are parallel; `start` is 0 for
/// now, 1 for after a delay, 2 for at an instant, and 3 for when the handler comes.
const STORE: &str = concat!(
    "WITH t AS MATERIALIZED (SELECT @now AS now),
     made AS (
         INSERT INTO @jobs (seq, id, handler, queue, mode, priority, born, max_attempts, created_at, start_at, timeout_ms,
             made_by, tags, retry, headers, payload)
         SELECT ",
    next_number!("t.now"),
    ", i.id, i.handler, i.queue, i.mode, i.priority,
             CASE WHEN i.start = 3 THEN 1 WHEN i.start = 1 AND i.value > 0 THEN 0
                 WHEN i.start = 2 AND i.value > t.now THEN 0 ELSE 2 END,
             i.max_attempts, t.now,
             CASE WHEN i.start = 1 THEN least(t.now + least(i.value, $17), $17)
                 WHEN i.start = 2 THEN greatest(i.value, t.now) ELSE t.now END,
             i.timeout_ms, i.made_by, i.tags, i.retry, i.headers, i.payload
         FROM t, unnest($2::uuid[], $3::integer[], $4::integer[], $5::smallint[], $6::smallint[], $7::smallint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
             AS i (id, handler, queue, mode, priority, start, value, max_attempts, timeout_ms, made_by, tags, retry,
             headers, payload)
         ON CONFLICT (id) DO NOTHING
         RETURNING seq, id, handler, queue, mode, priority, born, created_at, start_at
     ),
     standing AS (
         INSERT INTO @live (id, seq, handler, queue, mode, priority, state, attempt, run, losses, lines, at, ready_at,
             reason)
         SELECT id, seq, handler, queue, mode, priority, born, 0, 0, 0, 0, start_at, created_at,
             CASE WHEN born = 1 THEN $16 END FROM made
     ),
     counted AS (
         INSERT INTO @changes (queue, handler, at, scheduled, awaiting, enqueued, n_made)
         SELECT queue, handler, created_at, count(*) FILTER (WHERE born = 0), count(*) FILTER (WHERE born = 1),
             count(*) FILTER (WHERE born = 2), count(*) FROM made GROUP BY queue, handler, created_at
     )
     SELECT id FROM made"
);

/// A job on its way in, and who made it.
pub(super) struct Incoming<'a> {
    pub(super) job: &'a NewJob,
    pub(super) by: &'a str,
}

/// Whether a job can be stored by the one statement, once its names are known.
pub(super) fn is_plain(job: &NewJob) -> bool {
    job.tags.is_empty() && job.start != Start::WithHandler
}

/// Makes the names of jobs known, outside of the transaction that stores them.
pub(super) async fn know_names(tx: &mut Tx<'_>, incoming: &[Incoming<'_>]) -> Result<(), Fault> {
    for Incoming { job, .. } in incoming {
        tx.queue(&job.queue).await?;
        tx.handler(&path_of(job)).await?;
    }
    Ok(())
}

pub(super) fn path_of(job: &NewJob) -> HandlerPath {
    HandlerPath { module: job.module.clone(), handler: job.handler.clone() }
}

/// Stores jobs, and gives for each whether it was there already.
pub(super) async fn enqueue(tx: &mut Tx<'_>, incoming: &[Incoming<'_>]) -> Result<Vec<Enqueued>, Fault> {
    let mut seen = HashSet::new();
    let first = incoming.iter().filter(|incoming| seen.insert(incoming.job.id)).collect::<Vec<_>>();
    if first.is_empty() {
        return Ok(Vec::new());
    }
    if first.iter().any(|incoming| incoming.job.start == Start::WithHandler) {
        // The handler may come between the asking and the storing, and nothing would wake the job then.
        modules::hold_activations(tx).await?;
    }
    let mut made = store(tx, &first).await?;
    if !made.is_empty() {
        tx.told.work = true;
    }
    store_tags(tx, &first, &made).await?;
    // Of twins, the first one is the new one.
    let told = |incoming: &Incoming<'_>| Enqueued { id: incoming.job.id, existing: !made.remove(&incoming.job.id.0) };
    Ok(incoming.iter().map(told).collect())
}

async fn store(tx: &mut Tx<'_>, incoming: &[&Incoming<'_>]) -> Result<HashSet<Uuid>, Fault> {
    let amount = incoming.len();
    let (mut ids, mut handlers, mut queues) =
        (Vec::with_capacity(amount), Vec::with_capacity(amount), Vec::with_capacity(amount));
    let (mut modes, mut starts, mut values) = (Vec::new(), Vec::with_capacity(amount), Vec::with_capacity(amount));
    let (mut tags, mut retries, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for Incoming { job, .. } in incoming {
        let path = path_of(job);
        let mut mode = job.mode;
        let (start, value) = match job.start {
            Start::Now => (0, 0),
            Start::After(delay_ms) => (1, signed(delay_ms)),
            Start::At(at) => (2, at.0),
            Start::WithHandler => match modules::active_mode(tx, &path).await? {
                Some(active) => {
                    mode = active;
                    (0, 0)
                }
                None => (3, 0),
            },
        };
        let text = |json: serde_json::Result<Json>| {
            json.map(|json| json.as_str().to_owned())
                .map_err(|error| Fault::damaged(format_args!("job {}", job.id), error))
        };
        ids.push(job.id.0);
        handlers.push(tx.handler(&path).await?);
        queues.push(tx.queue(&job.queue).await?);
        modes.push(mode.number());
        starts.push(start);
        values.push(value);
        tags.push((!job.tags.is_empty()).then(|| text(Json::write(&job.tags))).transpose()?);
        retries.push((job.retry != RetryPolicy::default()).then(|| text(Json::write(&job.retry))).transpose()?);
        headers.push((!job.headers.is_empty()).then(|| text(Json::write(&job.headers))).transpose()?);
    }
    macro_rules! column {
        (|$job:ident| $value:expr) => {
            incoming.iter().map(|Incoming { job: $job, .. }| $value).collect::<Vec<_>>()
        };
    }
    let query = tx
        .query(STORE)
        .bind(tx.instant())
        .bind(ids)
        .bind(handlers)
        .bind(queues)
        .bind(modes)
        .bind(column!(|job| i16::from(job.priority)))
        .bind(starts)
        .bind(values)
        .bind(column!(|job| i64::from(job.max_attempts.max(1))))
        .bind(column!(|job| job.timeout_ms.map(signed)))
        .bind(incoming.iter().map(|incoming| plain(incoming.by)).collect::<Vec<_>>())
        .bind(tags)
        .bind(retries)
        .bind(headers)
        .bind(column!(|job| job.payload.as_str()))
        .bind(HANDLER_MISSING)
        .bind(Timestamp::MAX.0);
    let mut made = HashSet::with_capacity(amount);
    for row in tx.all(query).await? {
        made.insert(row.try_get(0)?);
    }
    Ok(made)
}

async fn store_tags(tx: &mut Tx<'_>, incoming: &[&Incoming<'_>], made: &HashSet<Uuid>) -> Result<(), Fault> {
    let (mut ids, mut tags) = (Vec::new(), Vec::new());
    for Incoming { job, .. } in incoming.iter().filter(|incoming| made.contains(&incoming.job.id.0)) {
        for tag in &job.tags {
            ids.push(job.id.0);
            tags.push(plain(tag));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let query = tx
        .query(
            "INSERT INTO @tags (tag, seq) SELECT i.tag, j.seq FROM unnest($1::uuid[], $2::text[]) AS i (id, tag)
             CROSS JOIN LATERAL (SELECT seq FROM @jobs WHERE id = i.id LIMIT 1) j ON CONFLICT DO NOTHING",
        )
        .bind(ids)
        .bind(tags);
    tx.run(query).await?;
    Ok(())
}
