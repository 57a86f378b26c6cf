//! The ends of runs.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Cause, DeleteReason, Failure, HandlerPath, JobId, Json, ServerId, State, Timestamp};

use super::{
    conditioned,
    enqueue::{HANDLER_MISSING, Incoming},
    fault::Fault,
    modules,
    record::{self, Change, Job},
    tx::Tx,
    unique,
    words::{Ask, count, signed},
};
use crate::{Fence, Next, Settlement, storage::Superseded};

/// Runs that succeeded, in one statement: those whose fence holds leave the living, are kept as ended with their
/// history, and are counted. It gives itself up, by a division by zero, where a row changed between its being seen and
/// its being held; then the whole is tried again. Where one of them has parents, children or a place under a limit, none is
/// ended, and a line without a job says so.
const SUCCEED: &str = "
WITH t AS MATERIALIZED (SELECT @now AS now),
seen AS MATERIALIZED (
    SELECT l.*, i.result, i.fuel, i.peak_memory, i.wall_us, i.log_bytes, i.sent_bytes, i.received_bytes,
        i.server AS by_server
    FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bigint[], $11::bigint[])
        AS i (id, run, server, result, fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes)
    CROSS JOIN LATERAL (SELECT n FROM @servers WHERE id = i.server LIMIT 1) s
    CROSS JOIN LATERAL (
        SELECT ctid AS spot, id, seq, handler, queue, mode, attempt, run, losses, lines, ready_at, started_at, server,
            version, state, traits, places
        FROM @live WHERE id = i.id LIMIT 1 FOR UPDATE) l
    WHERE l.run = i.run AND l.server = s.n AND l.state = 3
),
careful AS MATERIALIZED (SELECT 1 FROM seen WHERE places IS NOT NULL OR traits & 3 <> 0 LIMIT 1),
held AS MATERIALIZED (SELECT * FROM seen WHERE NOT EXISTS (SELECT 1 FROM careful)),
gone AS (DELETE FROM @live WHERE ctid = ANY (ARRAY(SELECT spot FROM held)) RETURNING 1),
kept AS (
    INSERT INTO @ended (seq, state, mode, attempt, run, losses, lines, at, ready_at, started_at, version, ended_line,
        result, traits)
    SELECT seq, 4, mode, attempt, run, losses, lines + 1, t.now, ready_at, started_at, version, lines + 1, result, traits
    FROM held, t
),
told AS (
    INSERT INTO @history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel, peak_memory, wall_us,
        log_bytes, sent_bytes, received_bytes)
    SELECT seq, lines + 1, 3, 4, t.now, run, attempt, started_at, server, fuel, peak_memory, wall_us, log_bytes,
        sent_bytes, received_bytes
    FROM held, t
),
counted AS (
    INSERT INTO @changes (queue, handler, at, processing, succeeded, n_succeeded, runs, run_us, fuel)
    SELECT queue, handler, t.now, -count(*), count(*), count(*), count(*),
        least(sum(wall_us), 9223372036854775807)::bigint, least(sum(fuel), 9223372036854775807)::bigint
    FROM held, t GROUP BY queue, handler, t.now
)
SELECT id, run, by_server, seq, lines + 1,
    1 / CASE WHEN (SELECT count(*) FROM gone) = (SELECT count(*) FROM held) THEN 1 ELSE 0 END
FROM held UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL FROM careful";

/// Whether settlements need nothing but the one statement.
pub(super) fn is_plain(settlements: &[Settlement]) -> bool {
    settlements.iter().all(is_plain_success)
}

fn is_plain_success(settlement: &Settlement) -> bool {
    matches!(settlement.next, Next::Succeeded { .. }) && settlement.follow_ups.is_empty()
}

/// Ends runs by the one statement; nothing where some of them need more.
pub(super) async fn settle_plainly(
    tx: &mut Tx<'_>,
    settlements: &[Settlement],
) -> Result<Option<Vec<Result<State, Superseded>>>, Fault> {
    let mut seen = HashSet::new();
    let first = settlements.iter().map(|settlement| seen.insert(settlement.fence)).collect::<Vec<_>>();
    let chosen = settlements.iter().zip(&first).filter(|(_, first)| **first).map(|(settlement, _)| settlement);
    let (chosen, mut ended) = (chosen.collect::<Vec<_>>(), HashMap::new());
    if !succeed(tx, &chosen, &mut ended).await? {
        return Ok(None);
    }
    let outcome = |(settlement, first): (&Settlement, &bool)| {
        ended.get(&settlement.fence).filter(|_| *first).copied().ok_or(Superseded)
    };
    Ok(Some(settlements.iter().zip(&first).map(outcome).collect()))
}

pub(super) async fn settle(
    tx: &mut Tx<'_>,
    settlements: &[Settlement],
) -> Result<Vec<Result<State, Superseded>>, Fault> {
    // The entries of keys are held before any job is.
    let keys = unique::keys_of(settlements.iter().flat_map(|settlement| &settlement.follow_ups));
    unique::hold(tx, &keys).await?;
    // Of several for one run, the first is its end.
    let mut seen = HashSet::new();
    let first = settlements.iter().map(|settlement| seen.insert(settlement.fence)).collect::<Vec<_>>();
    let chosen = |wants_plain: bool| {
        let both = settlements.iter().zip(&first);
        both.filter(|(settlement, first)| **first && is_plain_success(settlement) == wants_plain)
            .map(|(settlement, _)| settlement)
            .collect::<Vec<_>>()
    };
    let mut ended = HashMap::new();
    let mut others = chosen(false);
    if !succeed(tx, &chosen(true), &mut ended).await? {
        others.extend(chosen(true));
    }
    end_others(tx, &others, &mut ended).await?;
    unique::let_go(tx, &keys).await?;
    let outcome = |(settlement, first): (&Settlement, &bool)| {
        ended.get(&settlement.fence).filter(|_| *first).copied().ok_or(Superseded)
    };
    Ok(settlements.iter().zip(&first).map(outcome).collect())
}

/// Gives whether they were ended: not where one of them needs more than the one statement.
async fn succeed(
    tx: &mut Tx<'_>,
    settlements: &[&Settlement],
    ended: &mut HashMap<Fence, State>,
) -> Result<bool, Fault> {
    if settlements.is_empty() {
        return Ok(true);
    }
    let mut sorted = settlements.to_vec();
    // Always in the same order, so that no two steps wait for each other.
    sorted.sort_unstable_by_key(|settlement| (settlement.fence.job, settlement.fence.run));
    macro_rules! column {
        (|$settlement:ident| $value:expr) => {
            sorted.iter().map(|$settlement| $value).collect::<Vec<_>>()
        };
    }
    let query = tx
        .query(SUCCEED)
        .bind(tx.instant())
        .bind(column!(|settlement| settlement.fence.job.0))
        .bind(column!(|settlement| i64::from(settlement.fence.run)))
        .bind(column!(|settlement| settlement.fence.server.0))
        .bind(column!(|settlement| match &settlement.next {
            Next::Succeeded { result } => result.as_ref().map(Json::as_str),
            _ => None,
        }))
        .bind(column!(|settlement| signed(settlement.usage.fuel)))
        .bind(column!(|settlement| signed(settlement.usage.peak_memory_bytes)))
        .bind(column!(|settlement| signed(settlement.usage.wall_us)))
        .bind(column!(|settlement| signed(settlement.usage.log_bytes)))
        .bind(column!(|settlement| signed(settlement.usage.sent_bytes)))
        .bind(column!(|settlement| signed(settlement.usage.received_bytes)));
    for row in tx.all(query).await? {
        let Some(job) = row.try_get::<Option<Uuid>, _>(0)?.map(JobId) else { return Ok(false) };
        let server = ServerId(row.try_get::<Uuid, _>(2)?);
        ended.insert(Fence { job, run: count(row.try_get(1)?), server }, State::Succeeded);
        tx.told.ends.push(job);
        record::trim_history(tx, row.try_get(3)?, row.try_get(4)?).await?;
    }
    Ok(true)
}

async fn end_others(
    tx: &mut Tx<'_>,
    settlements: &[&Settlement],
    ended: &mut HashMap<Fence, State>,
) -> Result<(), Fault> {
    if settlements.is_empty() {
        return Ok(());
    }
    let fences = settlements.iter().map(|settlement| settlement.fence).collect::<Vec<_>>();
    let mut held = Job::fenced(tx, &fences).await?.into_iter().collect::<HashMap<_, _>>();
    let mut changes = Vec::new();
    let mut follow_ups = Vec::new();
    for settlement in settlements {
        let Some(job) = held.remove(&settlement.fence) else { continue };
        let change = end(tx, job, settlement).await?;
        if change.job.state == State::Succeeded && !settlement.follow_ups.is_empty() {
            follow_ups.push((format!("job {}", change.job.id), &settlement.follow_ups));
        }
        ended.insert(settlement.fence, change.job.state);
        changes.push(change);
    }
    record::save(tx, &changes).await?;
    let incoming =
        follow_ups.iter().flat_map(|(by, jobs)| jobs.iter().map(move |job| Incoming { job, by })).collect::<Vec<_>>();
    conditioned::store_leniently(tx, incoming).await?;
    Ok(())
}

async fn end(tx: &mut Tx<'_>, job: Job, settlement: &Settlement) -> Result<Change, Fault> {
    let (now, run) = (tx.now(), job.current_run());
    let mut change = job.change();
    let job = &mut change.job;
    let (failure, gives_back) = match &settlement.next {
        Next::Retry { failure, .. } | Next::Failed { failure } => (Some(failure), false),
        Next::Snooze { .. } | Next::Released { .. } | Next::HandlerMissing => (None, true),
        Next::Succeeded { .. } | Next::Cancelled => (None, false),
    };
    if gives_back {
        job.give_attempt_back();
    }
    let mut by = None;
    match (&settlement.next, job.ask) {
        (Next::Succeeded { result }, _) => {
            // It was too late to stop it, so nothing is asked any more.
            (job.ask, job.asked_by) = (None, None);
            job.become_now(now, State::Succeeded, None);
            change.result = result.as_ref().map(|result| result.as_str().to_owned());
        }
        (_, Some(ask)) => {
            by = job.asked_by.clone();
            job.become_now(now, State::Deleted, Some(delete_reason(ask).as_str()));
        }
        (Next::Failed { failure }, None) => job.become_now(now, State::Failed, Some(failure.cause.as_str())),
        (Next::Cancelled, None) => job.become_now(now, State::Deleted, Some(DeleteReason::Cancelled.as_str())),
        (Next::Retry { delay_ms, .. }, None) => {
            postpone(now, job, *delay_ms, "retry");
            change.happened.retried += 1;
        }
        (Next::Snooze { delay_ms }, None) => postpone(now, job, *delay_ms, "snooze"),
        (Next::Released { reason, mode }, None) => {
            job.mode = *mode;
            // It keeps its place in the line.
            job.become_now(now, State::Enqueued, Some(reason));
        }
        (Next::HandlerMissing, None) => await_handler(tx, job).await?,
    }
    let usage = settlement.usage;
    if settlement.next.has_run() {
        change.happened.runs += 1;
        change.happened.run_us = signed(usage.wall_us);
        change.happened.fuel = signed(usage.fuel);
    }
    change.record_run(now, run, usage, failure, by.as_deref())?;
    Ok(change)
}

pub(super) fn delete_reason(ask: Ask) -> DeleteReason {
    match ask {
        Ask::Cancel => DeleteReason::Cancelled,
        Ask::Delete => DeleteReason::Deleted,
    }
}

fn postpone(now: Timestamp, job: &mut Job, delay_ms: u64, reason: &str) {
    job.become_now(now, State::Scheduled, Some(reason));
    job.at = now.plus_ms(delay_ms);
}

/// Lets a job wait for its handler, unless another version has brought it since the run began. One that is activated at this
/// very moment is not seen: then [`super::promote`] moves the job.
async fn await_handler(tx: &mut Tx<'_>, job: &mut Job) -> Result<(), Fault> {
    let path: HandlerPath = tx.handler_path(job.handler).await?;
    job.lacked = job.version.take();
    let moved_on = modules::active(tx, &path.module).await? != job.lacked;
    match modules::active_mode(tx, &path).await? {
        Some(mode) if moved_on => {
            job.mode = mode;
            job.become_now(tx.now(), State::Enqueued, None);
        }
        _ => job.become_now(tx.now(), State::Awaiting, Some(HANDLER_MISSING)),
    }
    Ok(())
}

/// A failure that the host itself finds.
pub(super) fn host_failure(cause: Cause, message: String) -> Failure {
    Failure { cause, code: None, message, details: None, backtrace: None }
}
