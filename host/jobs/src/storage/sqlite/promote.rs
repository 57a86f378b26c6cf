//! Jobs whose instant has come, and jobs whose time is over.

use std::collections::HashSet;

use rusqlite::OptionalExtension;
use windlass_api::{State, Timestamp};

use super::{
    counters,
    damage::{LINES, Suspect, set_aside, unless_damaged},
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

pub(super) fn promote(tx: &mut Tx<'_>, limit: usize, suspect: &Suspect) -> Result<Promoted, Fault> {
    let due = {
        let mut query = tx.db.prepare_cached("SELECT seq FROM scheduled WHERE at <= ?1 ORDER BY at, seq LIMIT ?2")?;
        let due = query.query_map((tx.now.0, i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0))?;
        due.collect::<Result<Vec<i64>, _>>()?
    };
    for seq in &due {
        let move_it = |tx: &mut Tx<'_>| unless_damaged(tx, *seq, |tx| move_to_its_line(tx, *seq, suspect));
        if suspect.watch_beside(*seq, tx, move_it)?.is_none() {
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

fn move_to_its_line(tx: &mut Tx<'_>, seq: i64, suspect: &Suspect) -> Result<(), Fault> {
    let mut job = suspect.watch(seq, || Job::by_seq(tx.db, seq))?;
    job.expect(State::Scheduled)?;
    // Its history is about to be written to: whether that can be is seen by looking at the place.
    suspect.watch(seq, || Ok(tx.db.prepare_cached("SELECT 1 FROM history WHERE seq = ?1")?.exists([seq])?))?;
    let before = job.place();
    let due_at = job.at;
    job.become_ready(tx, None);
    // It has waited in its line since it was due, whenever it was moved.
    job.ready_at = due_at.min(tx.now);
    job.record_step(tx, State::Scheduled, SCHEDULER)?;
    job.save(tx, before)
}

/// What came of removing jobs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removed {
    pub(super) jobs: usize,
    /// How many log lines may still be removed in the same step; none where there is more to do for the jobs themselves.
    pub(super) lines_left: usize,
}

/// Removes jobs whose time is over, but for `stuck` ones, which cannot be removed.
pub(super) fn prune_jobs(
    tx: &mut Tx<'_>,
    limit: usize,
    stuck: &HashSet<i64>,
    suspect: &Suspect,
) -> Result<Removed, Fault> {
    let mut removed = Removed { jobs: 0, lines_left: MAX_LINES };
    for state in [State::Succeeded, State::Failed, State::Deleted] {
        for seq in expired(tx, state, limit - removed.jobs, stuck)? {
            let lines = suspect.watch(seq, || remove_lines(tx, seq, removed.lines_left))?;
            removed.lines_left = removed.lines_left.saturating_sub(lines);
            if removed.lines_left == 0 {
                // The rest of its lines, and the job with them, come with the next step.
                return Ok(removed);
            }
            // It stays where it is if something else was damaged, so that a wrong suspicion does no harm.
            suspect.watch(seq, || {
                if unless_damaged(tx, seq, |tx| remove(tx, seq))?.is_none() {
                    remove_damaged(tx, seq, state)?;
                }
                Ok(())
            })?;
            removed.jobs += 1;
        }
    }
    Ok(removed)
}

/// Removes log lines and counters whose time is over; gives whether that was all of them.
pub(super) fn prune_rows(tx: &Tx<'_>, lines_left: usize) -> Result<bool, Fault> {
    let all_lines = remove_old_lines(tx, lines_left)?;
    let all_counters = counters::prune(tx)?;
    Ok(all_lines && all_counters)
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

/// The numbers of the jobs in a state whose time is over, without those that are stuck.
fn expired(tx: &Tx<'_>, state: State, limit: usize, stuck: &HashSet<i64>) -> Result<Vec<i64>, Fault> {
    let kept_ms = tx.retention.of(state).map_or(i64::MAX, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
    let mut query = tx.db.prepare_cached(
        "SELECT seq FROM jobs INDEXED BY jobs_ended WHERE state = ?1 AND state >= 4 AND at <= ?2 ORDER BY at",
    )?;
    let until = tx.now.0.saturating_sub(kept_ms);
    let expired = query.query_map((state.number(), until), |row| row.get(0))?;
    Ok(expired
        .filter(|seq| !seq.as_ref().is_ok_and(|seq| stuck.contains(seq)))
        .take(limit)
        .collect::<Result<_, _>>()?)
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
