//! Jobs whose instant has come, and jobs whose time is over.

use rusqlite::OptionalExtension;
use windlass_api::{State, Timestamp};

use super::{
    counters,
    damage::{LINES, set_aside, unless_damaged},
    fault::Fault,
    record::Job,
    tx::Tx,
    words::Word,
};
use crate::storage::Promoted;

/// Who moves jobs when their instant has come.
const SCHEDULER: &str = "scheduler";

/// How many log lines are removed by one step: writing waits for it.
const MAX_LINES: usize = 10_000;

/// Everything that belongs to a job besides the job itself.
const BELONGINGS: [&str; 8] = [
    "DELETE FROM payloads WHERE seq = ?1",
    "DELETE FROM results WHERE seq = ?1",
    "DELETE FROM history WHERE seq = ?1",
    "DELETE FROM progress WHERE seq = ?1",
    "DELETE FROM checkpoints WHERE seq = ?1",
    "DELETE FROM logs WHERE seq = ?1",
    "DELETE FROM log_sizes WHERE seq = ?1",
    "DELETE FROM jobs WHERE seq = ?1",
];

pub(super) fn promote(tx: &mut Tx<'_>, limit: usize) -> Result<Promoted, Fault> {
    let due = {
        let mut query = tx.db.prepare_cached("SELECT seq FROM scheduled WHERE at <= ?1 ORDER BY at, seq LIMIT ?2")?;
        let due = query.query_map((tx.now.0, i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0))?;
        due.collect::<Result<Vec<i64>, _>>()?
    };
    for seq in &due {
        if unless_damaged(tx, *seq, |tx| move_to_its_line(tx, *seq))?.is_none() {
            set_aside(tx, *seq, State::Scheduled)?;
        }
    }
    let next = tx
        .db
        .prepare_cached("SELECT at FROM scheduled ORDER BY at LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(Promoted { moved: due.len(), next_in_ms: next.map(|at| Timestamp(at).ms_since(tx.now)) })
}

fn move_to_its_line(tx: &mut Tx<'_>, seq: i64) -> Result<(), Fault> {
    let mut job = Job::by_seq(tx.db, seq)?;
    job.expect(State::Scheduled)?;
    let before = job.place();
    let due_at = job.at;
    job.become_ready(tx, None);
    // It has waited in its line since it was due, whenever it was moved.
    job.ready_at = due_at.min(tx.now);
    job.record_step(tx, State::Scheduled, SCHEDULER)?;
    job.save(tx, before)
}

pub(super) fn prune(tx: &mut Tx<'_>, limit: usize) -> Result<usize, Fault> {
    let mut removed = 0;
    let mut lines_left = MAX_LINES;
    for state in [State::Succeeded, State::Failed, State::Deleted] {
        for seq in expired(tx, state, limit - removed)? {
            lines_left = lines_left.saturating_sub(remove_lines(tx, seq, lines_left)?);
            if lines_left == 0 {
                // The rest of its lines, and the job with them, come with the next step.
                return Ok(limit);
            }
            if unless_damaged(tx, seq, |tx| remove(tx, seq))?.is_none() {
                remove_damaged(tx, seq, state)?;
            }
            removed += 1;
        }
    }
    let all_lines = remove_old_lines(tx, lines_left)?;
    let all_counters = counters::prune(tx)?;
    Ok(if all_lines && all_counters { removed } else { limit })
}

/// Removes lines of a job, no more than so many; gives how many.
fn remove_lines(tx: &Tx<'_>, seq: i64, limit: usize) -> Result<usize, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx
        .db
        .prepare_cached("DELETE FROM logs WHERE n IN (SELECT n FROM logs WHERE seq = ?1 ORDER BY n LIMIT ?2)")?
        .execute((seq, limit))?)
}

/// Removes lines whose time is over, at most so many; gives whether that was all of them.
fn remove_old_lines(tx: &Tx<'_>, limit: usize) -> Result<bool, Fault> {
    let kept_ms = i64::try_from(tx.retention.logs.as_millis()).unwrap_or(i64::MAX);
    let until = tx.now.0.saturating_sub(kept_ms);
    let removed = tx
        .db
        .prepare_cached(
            "DELETE FROM logs WHERE n IN (SELECT n FROM logs INDEXED BY logs_by_time WHERE at <= ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute((until, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    Ok(removed < limit)
}

/// Removes what can be removed of a job that cannot be read.
fn remove_damaged(tx: &mut Tx<'_>, seq: i64, state: State) -> Result<(), Fault> {
    let counted = tx
        .db
        .prepare_cached("SELECT queue, handler FROM jobs WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    for line in LINES {
        tx.db.prepare_cached(line)?.execute([seq])?;
    }
    for statement in BELONGINGS {
        tx.db.prepare_cached(statement)?.execute([seq])?;
    }
    if let Some((queue, handler)) = counted {
        tx.count(queue, handler, state, -1);
    }
    Ok(())
}

/// The numbers of the jobs in a state whose time is over.
fn expired(tx: &Tx<'_>, state: State, limit: usize) -> Result<Vec<i64>, Fault> {
    let kept_ms = tx.retention.of(state).map_or(i64::MAX, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
    let mut query = tx.db.prepare_cached(
        "SELECT seq FROM jobs INDEXED BY jobs_ended WHERE state = ?1 AND state >= 4 AND at <= ?2 ORDER BY at LIMIT ?3",
    )?;
    let until = tx.now.0.saturating_sub(kept_ms);
    let expired =
        query.query_map((state.number(), until, i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0))?;
    Ok(expired.collect::<Result<_, _>>()?)
}

fn remove(tx: &mut Tx<'_>, seq: i64) -> Result<(), Fault> {
    let job = Job::by_seq(tx.db, seq)?;
    job.leave(tx, job.place())?;
    forget_tags(tx, job.seq)?;
    for statement in BELONGINGS {
        tx.db.prepare_cached(statement)?.execute([job.seq])?;
    }
    Ok(())
}

/// Tags are found by tag, so the job's own list of them says which.
fn forget_tags(tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "DELETE FROM tags WHERE (tag, seq) IN
             (SELECT value, ?1 FROM payloads, json_each(iif(json_valid(payloads.tags), payloads.tags, NULL))
              WHERE payloads.seq = ?1)",
        )?
        .execute([seq])?;
    Ok(())
}
