//! Queues as a whole, counts and counters: read from the tallies and what is not folded into them yet, never from jobs.

use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};
use windlass_api::{CounterQuery, CounterRow, Counts, Mode, QueueName, QueueView, State, Timestamp};

use super::{
    fault::Fault,
    tx::Tx,
    words::{Word, amount, signed, unsigned},
};
use crate::storage::{MAX_COUNTER_ROWS, MAX_SPANS, too_many_rows};

/// How many jobs of a handler in a queue are in each state.
pub(super) struct Tallied {
    pub(super) queue: i32,
    pub(super) handler: i32,
    pub(super) jobs: [i64; 7],
}

pub(super) async fn tallies(tx: &mut Tx<'_>) -> Result<Vec<Tallied>, Fault> {
    let query = tx.query(
        "SELECT queue, handler, sum(scheduled)::bigint, sum(awaiting)::bigint, sum(enqueued)::bigint,
             sum(processing)::bigint, sum(succeeded)::bigint, sum(failed)::bigint, sum(deleted)::bigint
         FROM (SELECT queue, handler, scheduled, awaiting, enqueued, processing, succeeded, failed, deleted FROM @tally
             UNION ALL
             SELECT queue, handler, scheduled, awaiting, enqueued, processing, succeeded, failed, deleted FROM @changes)
             AS all_changes
         GROUP BY queue, handler",
    );
    let mut tallies = Vec::new();
    for row in tx.all(query).await? {
        let mut jobs = [0; 7];
        for (at, jobs) in jobs.iter_mut().enumerate() {
            *jobs = row.try_get(2 + at)?;
        }
        tallies.push(Tallied { queue: row.try_get(0)?, handler: row.try_get(1)?, jobs });
    }
    Ok(tallies)
}

pub(super) async fn counts(tx: &mut Tx<'_>) -> Result<Counts, Fault> {
    let query = tx.query(
        "SELECT coalesce(sum(scheduled), 0)::bigint, coalesce(sum(awaiting), 0)::bigint,
             coalesce(sum(enqueued), 0)::bigint, coalesce(sum(processing), 0)::bigint,
             coalesce(sum(succeeded), 0)::bigint, coalesce(sum(failed), 0)::bigint, coalesce(sum(deleted), 0)::bigint
         FROM (SELECT scheduled, awaiting, enqueued, processing, succeeded, failed, deleted FROM @tally
             UNION ALL
             SELECT scheduled, awaiting, enqueued, processing, succeeded, failed, deleted FROM @changes) AS all_changes",
    );
    let row = tx.first(query).await?.ok_or(Fault::Again)?;
    let mut counts = Counts::default();
    for (at, state) in State::ALL.iter().enumerate() {
        let jobs = unsigned(row.try_get(at)?);
        if jobs > 0 {
            counts.0.insert(*state, jobs);
        }
    }
    Ok(counts)
}

pub(super) async fn set_paused(tx: &mut Tx<'_>, name: &QueueName, paused: bool) -> Result<(), Fault> {
    let queue = tx.queue(name).await?;
    let query = tx.query("UPDATE @queues SET paused = $2 WHERE n = $1").bind(queue).bind(paused);
    tx.run(query).await?;
    tx.told.work |= !paused;
    Ok(())
}

/// The earliest head of each queue's lines: a look at each, however long they are.
const QUEUES: &str = "
SELECT q.n, q.name, q.paused, (
    SELECT min(h.ready_at) FROM (VALUES (0::smallint), (1::smallint)) AS m (mode), generate_series(0, 9) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT ready_at FROM @live WHERE state = 2 AND held IS NULL AND mode = m.mode AND queue = q.n
            AND priority = p.priority::smallint
        ORDER BY ready_at LIMIT 1) h)
FROM @queues q WHERE q.paused OR q.n = ANY ($1::integer[]) ORDER BY q.name COLLATE \"C\"";

pub(super) async fn queues(tx: &mut Tx<'_>) -> Result<Vec<QueueView>, Fault> {
    let mut sums = BTreeMap::<i32, [i64; 7]>::new();
    for tallied in tallies(tx).await? {
        for (sum, jobs) in sums.entry(tallied.queue).or_default().iter_mut().zip(tallied.jobs) {
            *sum += jobs;
        }
    }
    sums.retain(|_, jobs| jobs.iter().sum::<i64>() > 0);
    let query = tx.query(QUEUES).bind(sums.keys().copied().collect::<Vec<_>>());
    let mut queues = Vec::new();
    for row in tx.all(query).await? {
        let jobs = sums.get(&row.try_get(0)?).copied().unwrap_or_default();
        let name = row.try_get::<&str, _>(1)?.parse().map_err(|error| Fault::damaged("a queue", error))?;
        queues.push(QueueView {
            name,
            paused: row.try_get(2)?,
            enqueued: unsigned(jobs[State::Enqueued as usize]),
            processing: unsigned(jobs[State::Processing as usize]),
            oldest_at: row.try_get::<Option<i64>, _>(3)?.map(Timestamp),
        });
    }
    Ok(queues)
}

const _: () = assert!(Mode::ALL.len() == 2, "the statement above names each mode");

/// What a row of counters is read by, in the order of [`read_counter`].
pub(super) const COUNTER: &str = "c.at, h.module, h.name, c.made, c.succeeded, c.failed, c.retried, c.deleted, c.runs, \
     c.run_us, c.fuel";

pub(super) fn read_counter(row: &PgRow) -> Result<CounterRow, Fault> {
    let number = |at: usize| row.try_get::<i64, _>(at).map(unsigned);
    let damaged = |error: windlass_api::InvalidName| Fault::damaged("a handler", error);
    Ok(CounterRow {
        at: Timestamp(row.try_get(0)?),
        module: row.try_get::<&str, _>(1)?.parse().map_err(damaged)?,
        handler: row.try_get::<&str, _>(2)?.parse().map_err(damaged)?,
        made: number(3)?,
        succeeded: number(4)?,
        failed: number(5)?,
        retried: number(6)?,
        deleted: number(7)?,
        runs: number(8)?,
        run_us: number(9)?,
        fuel: number(10)?,
    })
}

const COUNTERS: &str = "
SELECT c.at, h.module, h.name, c.made, c.succeeded, c.failed, c.retried, c.deleted, c.runs, c.run_us, c.fuel
FROM (
    SELECT at, handler, sum(made)::bigint AS made, sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed,
        sum(retried)::bigint AS retried, sum(deleted)::bigint AS deleted, sum(runs)::bigint AS runs,
        least(sum(run_us), 9223372036854775807)::bigint AS run_us, least(sum(fuel), 9223372036854775807)::bigint AS fuel
    FROM (
        SELECT at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel FROM @counters
        WHERE grain = $1 AND at >= $3 AND at < $4
        UNION ALL
        SELECT at - mod(at, $2), handler, n_made, n_succeeded, n_failed, n_retried, n_deleted, runs, run_us, fuel
        FROM @changes WHERE at - mod(at, $2) >= $3 AND at - mod(at, $2) < $4
            AND n_made + n_succeeded + n_failed + n_retried + n_deleted + runs > 0) AS both_of_them
    GROUP BY at, handler) c
CROSS JOIN LATERAL (
    SELECT module, name FROM @handlers WHERE n = c.handler AND module = coalesce($5, module) AND name = coalesce($6, name)
    LIMIT 1) h
ORDER BY c.at, h.module COLLATE \"C\", h.name COLLATE \"C\" LIMIT $7";

pub(super) async fn counters(tx: &mut Tx<'_>, query: &CounterQuery) -> Result<Vec<CounterRow>, Fault> {
    let grain = query.grain;
    let last = grain.start_of(Timestamp(query.before.0.saturating_sub(1)));
    let furthest = last.0.saturating_sub(signed((MAX_SPANS - 1) * grain.span_ms()));
    let from = grain.start_of(query.from).0.max(furthest);
    let statement = tx
        .query(COUNTERS)
        .bind(grain.number())
        .bind(signed(grain.span_ms()))
        .bind(from)
        .bind(query.before.0)
        .bind(query.module.as_ref().map(|module| module.as_str().to_owned()))
        .bind(query.handler.as_ref().map(|handler| handler.as_str().to_owned()))
        .bind(amount(MAX_COUNTER_ROWS + 1));
    let rows = tx.all(statement).await?;
    if rows.len() > MAX_COUNTER_ROWS {
        return Err(Fault::TooLarge(too_many_rows(MAX_COUNTER_ROWS)));
    }
    rows.iter().map(read_counter).collect()
}
