//! Handing jobs over to a server.

use std::collections::{BinaryHeap, HashMap};

use rusqlite::OptionalExtension;
use windlass_api::{Mode, QueueName, State};

use super::{
    damage::{Suspect, set_aside, unless_damaged},
    fault::Fault,
    payload::Wide,
    record::Job,
    tx::Tx,
    words::Word,
};
use crate::{
    Claimed,
    storage::{ClaimRequest, Signal},
};

/// What stands in a line: priority, since when, number. Ordered as it is taken.
type Standing = (i64, i64, i64);

/// How a claim goes about jobs whose records may be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Nothing is expected to be damaged, and the first that is fails the claim.
    None,
    /// Each job is dealt with by itself, which costs a savepoint each.
    EachJob,
}

pub(super) fn claim(
    tx: &mut Tx<'_>,
    request: &ClaimRequest,
    care: Care,
    suspect: &Suspect,
) -> Result<Vec<Claimed>, Fault> {
    // A server that was given up must not get jobs that nobody would ever sweep.
    let Some(server) = tx.server(request.server)? else { return Ok(Vec::new()) };
    if !super::servers::is_alive(tx.db, server)? {
        return Ok(Vec::new());
    }
    let mut versions = HashMap::new();
    let mut claimed = Vec::new();
    for (mode, free) in [(Mode::Sync, request.sync_free), (Mode::Async, request.async_free)] {
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        for seq in choose(tx, mode, &request.queues, free)? {
            let mut step = |tx: &mut Tx<'_>| hand_over(tx, seq, server, request, &mut versions, suspect);
            let handed_over = match care {
                Care::None => Some(step(tx)?),
                Care::EachJob => suspect.watch_beside(seq, tx, |tx| unless_damaged(tx, seq, &mut step))?,
            };
            match handed_over {
                Some(job) => claimed.push(job),
                None => {
                    set_aside(tx, seq, State::Enqueued)?;
                    // The slot stays free for the one behind it.
                    tx.signal(Signal::Work);
                }
            }
        }
    }
    Ok(claimed)
}

/// The numbers of the jobs to be handed over, in order.
fn choose(tx: &mut Tx<'_>, mode: Mode, queues: &[QueueName], free: usize) -> Result<Vec<i64>, Fault> {
    if free == 0 {
        return Ok(Vec::new());
    }
    if queues.is_empty() {
        return first_of_all(tx, mode, free);
    }
    let mut chosen = Vec::new();
    for name in queues {
        let known = tx
            .db
            .prepare_cached("SELECT n FROM queues WHERE name = ?1 AND NOT paused")?
            .query_row([name.as_str()], |row| row.get::<_, i64>(0))
            .optional()?;
        if let Some(queue) = known {
            let mut query = tx.db.prepare_cached(
                "SELECT seq FROM waiting WHERE line = ?1 AND queue = ?2 ORDER BY priority, since, seq LIMIT ?3",
            )?;
            let mut rows =
                query.query((mode.number(), queue, i64::try_from(free - chosen.len()).unwrap_or(i64::MAX)))?;
            while let Some(row) = rows.next()? {
                chosen.push(row.get(0)?);
            }
        }
        if chosen.len() == free {
            break;
        }
    }
    Ok(chosen)
}

/// The first over all queues that are not paused. Each queue is read only as far as it can still better what was found.
fn first_of_all(tx: &Tx<'_>, mode: Mode, free: usize) -> Result<Vec<i64>, Fault> {
    let mut best = BinaryHeap::<Standing>::new();
    let mut queue = i64::MIN;
    while let Some(next) = next_queue(tx, mode, queue)? {
        queue = next;
        let mut open = tx.db.prepare_cached("SELECT 1 FROM queues WHERE n = ?1 AND NOT paused")?;
        if !open.exists([queue])? {
            continue;
        }
        let mut query = tx.db.prepare_cached(
            "SELECT priority, since, seq FROM waiting WHERE line = ?1 AND queue = ?2 ORDER BY priority, since, seq",
        )?;
        let mut rows = query.query((mode.number(), queue))?;
        while let Some(row) = rows.next()? {
            let standing = (row.get(0)?, row.get(1)?, row.get(2)?);
            if best.len() == free {
                if best.peek().is_some_and(|worst| *worst < standing) {
                    break;
                }
                best.pop();
            }
            best.push(standing);
        }
    }
    Ok(best.into_sorted_vec().into_iter().map(|(_, _, seq)| seq).collect())
}

/// The next queue in which something waits: a step each, however many jobs wait and however many queues are empty.
fn next_queue(tx: &Tx<'_>, mode: Mode, after: i64) -> Result<Option<i64>, Fault> {
    let mut query =
        tx.db.prepare_cached("SELECT queue FROM waiting WHERE line = ?1 AND queue > ?2 ORDER BY queue LIMIT 1")?;
    Ok(query.query_row((mode.number(), after), |row| row.get(0)).optional()?)
}

fn hand_over(
    tx: &mut Tx<'_>,
    seq: i64,
    server: i64,
    request: &ClaimRequest,
    versions: &mut HashMap<i64, Option<i64>>,
    suspect: &Suspect,
) -> Result<Claimed, Fault> {
    let mut job = suspect.watch(seq, || Job::by_seq(tx.db, seq))?;
    job.expect(State::Enqueued)?;
    let wide = suspect.watch(seq, || Wide::read(tx.db, &job))?;
    let before = job.place();
    job.become_now(tx, State::Processing, None);
    job.run = job.run.saturating_add(1);
    job.attempt = job.attempt.saturating_add(1);
    job.server = Some(server);
    job.started_at = Some(tx.now);
    if job.version.is_none() {
        job.version = match versions.get(&job.handler) {
            Some(version) => *version,
            None => *versions.entry(job.handler).or_insert(active_version(tx, job.handler)?),
        };
    }
    job.save(tx, before)?;
    let path = tx.handler_path(job.handler)?;
    Ok(Claimed {
        fence: job.fence(request.server),
        module: path.module,
        handler: path.handler,
        mode: job.mode,
        queue: tx.queue_name(job.queue)?,
        version: job.version.map(|n| tx.digest(n)).transpose()?,
        payload: wide.payload,
        headers: wide.headers,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        retry: wide.retry,
        timeout_ms: wide.timeout_ms,
        created_at: job.created_at,
        parents: Vec::new(),
    })
}

fn active_version(tx: &Tx<'_>, handler: i64) -> Result<Option<i64>, Fault> {
    Ok(tx
        .db
        .prepare_cached(
            "SELECT active FROM modules JOIN handlers ON handlers.module = modules.name WHERE handlers.n = ?1",
        )?
        .query_row([handler], |row| row.get(0))
        .optional()?)
}
