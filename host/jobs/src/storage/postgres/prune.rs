//! What is removed when its time is over, and the folding of what has changed into the tallies and counters.

use sqlx::Row;
use windlass_api::{Grain, State};

use super::{
    audit,
    fault::Fault,
    record::traits,
    ripples, rooms, tally,
    tx::Tx,
    unique,
    words::{Word, amount, signed},
};

/// No step removes more jobs.
const MAX_JOBS: usize = 1_000;

/// How many rows go with the jobs that one step removes, about: a job may have hundreds of thousands of log lines.
const MAX_ROWS: i64 = 50_000;

/// How many log lines one step removes.
const MAX_LINES: i64 = 10_000;

/// How many old counters one step removes.
const MAX_COUNTERS: i64 = 1_000;

/// How many changes one step folds in.
const MAX_CHANGES: i64 = 50_000;

/// How many tallies that count nothing one step removes.
const MAX_TALLIES: i64 = 1_000;

/// Everything that belongs to a job besides the job itself.
const BELONGINGS: [&str; 7] = [
    "DELETE FROM @history WHERE seq = ANY($1::bigint[])",
    "DELETE FROM @tags WHERE seq = ANY($1::bigint[])",
    "DELETE FROM @progress WHERE seq = ANY($1::bigint[])",
    "DELETE FROM @checkpoints WHERE seq = ANY($1::bigint[])",
    "DELETE FROM @logs WHERE seq = ANY($1::bigint[])",
    "DELETE FROM @log_sizes WHERE seq = ANY($1::bigint[])",
    "DELETE FROM @jobs WHERE seq = ANY($1::bigint[])",
];

pub(super) async fn prune(tx: &mut Tx<'_>, limit: usize) -> Result<usize, Fault> {
    let most = limit.min(MAX_JOBS);
    let (mut removed, mut all) = (0, true);
    for state in [State::Succeeded, State::Failed, State::Deleted] {
        let (gone, were_all) = remove(tx, state, most - removed).await?;
        (removed, all) = (removed + gone, all && were_all);
    }
    all &= removed < most || limit == 0;
    forget_wishes(tx).await?;
    let all_lines = remove_old_lines(tx).await?;
    let all_counters = remove_old_counters(tx).await?;
    let all_entries = audit::prune(tx).await?;
    let all_idle = rooms::forget_idle(tx).await?;
    // Where there is more to do than was done, the answer is `limit`; that is what was removed where only jobs are left.
    let is_cut = (!all && removed < limit) || !all_lines || !all_counters || !all_entries || !all_idle;
    Ok(if is_cut { limit } else { removed })
}

/// How long a job that succeeded is kept before it is looked at again, at least and at most, in milliseconds: as long as it has
/// been there. When one of the jobs that continue it ends, that is at once.
const KEPT_AT_LEAST_MS: i64 = 60_000;
const KEPT_AT_MOST_MS: i64 = 6 * 3_600_000;

/// What is to be removed of a state, and how many rows go with each and those before it. What is to be kept for its children is
/// put off.
const OVER: &str = "
WITH t AS MATERIALIZED (SELECT 1),
old AS MATERIALIZED (
    SELECT ctid AS spot, seq, coalesce(kept_at, at) AS at, lines, octet_length(result) AS bytes,
        $1 = 4 AND traits & 1 <> 0 AND EXISTS (SELECT 1 FROM @edges WHERE parent = seq AND NOT done LIMIT 1) AS is_kept
    FROM @ended WHERE state + 0 = $1 AND coalesce(kept_at, at) <= $2
    ORDER BY coalesce(kept_at, at) LIMIT $3 FOR UPDATE SKIP LOCKED
),
later AS (
    UPDATE @ended e SET kept_at = $2 + least(greatest($2 - e.at, $5), $6)
    WHERE e.ctid = ANY (ARRAY(SELECT spot FROM old WHERE is_kept)) RETURNING 1
),
sized AS MATERIALIZED (
    SELECT o.spot, row_number() OVER line AS nth, sum(1 + o.lines + coalesce(g.bytes, 0) / 32 + coalesce(c.weight, 0)
        + (coalesce(o.bytes, 0) + coalesce(j.bytes, 0)) / 2000) OVER line AS upto
    FROM old o
    LEFT JOIN LATERAL (SELECT bytes FROM @log_sizes WHERE seq = o.seq LIMIT 1) g ON true
    LEFT JOIN LATERAL (SELECT sum(1 + bytes / 2000) AS weight FROM @checkpoints WHERE seq = o.seq) c ON true
    LEFT JOIN LATERAL (SELECT octet_length(payload) AS bytes FROM @jobs WHERE seq = o.seq LIMIT 1) j ON true
    WHERE o.is_kept IS NOT TRUE
    WINDOW line AS (ORDER BY o.at, o.seq)
),
gone AS (
    DELETE FROM @ended WHERE ctid = ANY (ARRAY(SELECT spot FROM sized WHERE nth = 1 OR upto <= $4))
    RETURNING seq, coalesce(traits, 0::smallint) AS traits
)
SELECT seq, (SELECT count(*) FROM sized WHERE nth > 1 AND upto > $4), traits FROM gone
UNION ALL SELECT NULL, (SELECT count(*) FROM later), NULL FROM t";

/// Removes jobs of a state; gives how many, and whether no other one was left because of what goes with it.
async fn remove(tx: &mut Tx<'_>, state: State, limit: usize) -> Result<(usize, bool), Fault> {
    if limit == 0 {
        return Ok((0, true));
    }
    let kept_ms = tx.retention.of(state).map_or(i64::MAX, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
    let until = tx.now().0.saturating_sub(kept_ms);
    // Several hosts may do this at once: each takes what no other one holds.
    let query = tx.query(OVER).bind(state.number()).bind(until).bind(amount(limit)).bind(MAX_ROWS);
    let query = query.bind(KEPT_AT_LEAST_MS).bind(KEPT_AT_MOST_MS);
    let (mut seqs, mut left, mut kept, mut marked) = (Vec::<i64>::new(), 0, 0, Vec::new());
    for row in tx.all(query).await? {
        let Some(seq) = row.try_get::<Option<i64>, _>(0)? else {
            kept = row.try_get::<i64, _>(1)?;
            continue;
        };
        seqs.push(seq);
        left = row.try_get::<i64, _>(1)?;
        let traits = row.try_get::<i16, _>(2)?;
        if traits != 0 {
            marked.push((seq, traits));
        }
    }
    // Behind those that are kept there may be others, which were not reached.
    let were_all = left == 0 && kept == 0;
    if seqs.is_empty() {
        return Ok((0, were_all));
    }
    forget_relatives(tx, state, &marked).await?;
    let query = tx
        .query("SELECT queue, handler, count(*) FROM @jobs WHERE seq = ANY($1::bigint[]) GROUP BY queue, handler")
        .bind(&seqs);
    let mut changes = Vec::new();
    for row in tx.all(query).await? {
        let mut change = [0; 15];
        change[state as usize] = -row.try_get::<i64, _>(2)?;
        changes.push((row.try_get(0)?, row.try_get(1)?, change));
    }
    for statement in BELONGINGS {
        let query = tx.query(statement).bind(&seqs);
        tx.run(query).await?;
    }
    tally::append(tx, changes).await?;
    Ok((seqs.len(), were_all))
}

/// What belongs to jobs that depended on more than their turn, or on which others do.
async fn forget_relatives(tx: &mut Tx<'_>, state: State, marked: &[(i64, i16)]) -> Result<(), Fault> {
    let with =
        |bit: i16| marked.iter().filter(|(_, traits)| traits & bit != 0).map(|(seq, _)| *seq).collect::<Vec<_>>();
    let (parents, children, conditioned) = (with(traits::CHILDREN), with(traits::PARENTS), with(traits::CONDITIONS));
    // One that failed may have been waited for until now; the others have told of their ends already.
    if state == State::Failed && !parents.is_empty() {
        ripples::removed(tx, &parents).await?;
    }
    if !children.is_empty() {
        let query = tx.query("DELETE FROM @edges WHERE child = ANY($1::bigint[])").bind(children);
        tx.run(query).await?;
    }
    if !conditioned.is_empty() {
        unique::forget(tx, &conditioned).await?;
        let query = tx.query("DELETE FROM @conditions WHERE seq = ANY($1::bigint[])").bind(conditioned);
        tx.run(query).await?;
    }
    Ok(())
}

/// Removes the wishes of processes that are gone without a word.
async fn forget_wishes(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let query = tx.query("DELETE FROM @wishes WHERE until_at < clock_timestamp()");
    tx.run(query).await?;
    Ok(())
}

/// Removes lines whose time is over; gives whether that was all of them.
async fn remove_old_lines(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let kept_ms = i64::try_from(tx.retention.logs.as_millis()).unwrap_or(i64::MAX);
    let query = tx
        .query(
            "WITH old AS MATERIALIZED (
                 SELECT ctid AS spot FROM @logs WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
             DELETE FROM @logs WHERE ctid = ANY (ARRAY(SELECT spot FROM old))",
        )
        .bind(tx.now().0.saturating_sub(kept_ms))
        .bind(MAX_LINES);
    let removed = tx.run(query).await?;
    Ok(removed < MAX_LINES.unsigned_abs())
}

/// Removes counters whose time is over; gives whether that was all of them.
async fn remove_old_counters(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let mut all = true;
    for grain in Grain::VALUES {
        let over = tx.now().0.saturating_sub(signed(grain.kept_ms() + grain.span_ms()));
        let query = tx
            .query(
                "WITH old AS MATERIALIZED (
                     SELECT ctid AS spot FROM @counters WHERE grain = $1 AND at <= $2 ORDER BY at LIMIT $3
                     FOR UPDATE SKIP LOCKED)
                 DELETE FROM @counters WHERE ctid = ANY (ARRAY(SELECT spot FROM old))",
            )
            .bind(grain.number())
            .bind(over)
            .bind(MAX_COUNTERS);
        all &= tx.run(query).await? < MAX_COUNTERS.unsigned_abs();
    }
    Ok(all)
}

/// Folds what has changed into the tallies and counters, unless somebody else does; gives whether that was all.
pub(super) async fn fold(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    // For as long as the transaction: a lock of a session would stay with a pooler's connection.
    let query = tx.query("SELECT pg_try_advisory_xact_lock(hashtextextended('@changes', 0))");
    let alone = tx.first(query).await?.ok_or(Fault::Again)?.try_get::<bool, _>(0)?;
    if !alone {
        return Ok(true);
    }
    let query = tx
        .query(
            "WITH gone AS (
                 DELETE FROM @changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM @changes LIMIT $1)) RETURNING *),
             tallied AS (
                 INSERT INTO @tally AS t (queue, handler, scheduled, awaiting, enqueued, processing, succeeded, failed,
                     deleted)
                 SELECT queue, handler, sum(scheduled), sum(awaiting), sum(enqueued), sum(processing), sum(succeeded),
                     sum(failed), sum(deleted) FROM gone GROUP BY queue, handler
                 ON CONFLICT (queue, handler) DO UPDATE SET scheduled = t.scheduled + excluded.scheduled,
                     awaiting = t.awaiting + excluded.awaiting, enqueued = t.enqueued + excluded.enqueued,
                     processing = t.processing + excluded.processing, succeeded = t.succeeded + excluded.succeeded,
                     failed = t.failed + excluded.failed, deleted = t.deleted + excluded.deleted),
             counted AS (
                 INSERT INTO @counters AS c (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us,
                     fuel)
                 SELECT g.grain, gone.at - mod(gone.at, g.span), handler, sum(n_made), sum(n_succeeded), sum(n_failed),
                     sum(n_retried), sum(n_deleted), sum(runs), least(sum(run_us), 9223372036854775807)::bigint,
                     least(sum(fuel), 9223372036854775807)::bigint
                 FROM gone, (VALUES (0::smallint, 60000::bigint), (1::smallint, 3600000::bigint)) AS g (grain, span)
                 WHERE n_made + n_succeeded + n_failed + n_retried + n_deleted + runs > 0
                 GROUP BY g.grain, gone.at - mod(gone.at, g.span), handler
                 ON CONFLICT (grain, at, handler) DO UPDATE SET made = c.made + excluded.made,
                     succeeded = c.succeeded + excluded.succeeded, failed = c.failed + excluded.failed,
                     retried = c.retried + excluded.retried, deleted = c.deleted + excluded.deleted,
                     runs = c.runs + excluded.runs,
                     run_us = least(c.run_us::numeric + excluded.run_us, 9223372036854775807)::bigint,
                     fuel = least(c.fuel::numeric + excluded.fuel, 9223372036854775807)::bigint)
             SELECT count(*) FROM gone",
        )
        .bind(MAX_CHANGES);
    let folded = tx.first(query).await?.ok_or(Fault::Again)?.try_get::<i64, _>(0)?;
    remove_empty_tallies(tx).await?;
    Ok(folded < MAX_CHANGES)
}

/// Names are anybody's to make up: what counts nothing any more must not be read for ever. A few at once; the others go next
/// time.
async fn remove_empty_tallies(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let query = tx
        .query(
            "WITH empty AS MATERIALIZED (
                 SELECT ctid AS spot FROM @tally WHERE scheduled = 0 AND awaiting = 0 AND enqueued = 0
                     AND processing = 0 AND succeeded = 0 AND failed = 0 AND deleted = 0
                 ORDER BY queue, handler LIMIT $1)
             DELETE FROM @tally WHERE ctid = ANY (ARRAY(SELECT spot FROM empty))",
        )
        .bind(MAX_TALLIES);
    tx.run(query).await?;
    Ok(())
}
