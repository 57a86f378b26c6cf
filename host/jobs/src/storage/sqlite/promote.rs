//! Jobs whose instant has come, and jobs whose time is over.

use std::collections::HashSet;

use rusqlite::OptionalExtension;
use windlass_api::{JobId, State, Timestamp};

use super::{
    audit, counters,
    damage::{Suspect, begin_ripple_of, leave_lines, set_aside, unless_damaged},
    expiry,
    fault::Fault,
    flow,
    follow::Consequences,
    lines,
    record::{Job, ties},
    ripples,
    tx::Tx,
    words::{self, Word},
};
use crate::storage::Promoted;

/// Who moves jobs when their instant has come.
pub(super) const SCHEDULER: &str = "scheduler";

/// How many log lines are removed by one step: writing waits for it.
const MAX_LINES: usize = 10_000;

/// How many starts that no longer count are forgotten by one step.
const MAX_STARTS: usize = 1_000;

/// Everything that belongs to a job besides the job itself.
const BELONGINGS: [&str; 11] = [
    "DELETE FROM unique_keys WHERE key = (SELECT unique_key FROM conditions WHERE seq = ?1) AND seq = ?1",
    "DELETE FROM conditions WHERE seq = ?1",
    "DELETE FROM edges WHERE child = ?1",
    "DELETE FROM payloads WHERE seq = ?1",
    "DELETE FROM results WHERE seq = ?1",
    "DELETE FROM history WHERE seq = ?1",
    "DELETE FROM progress WHERE seq = ?1",
    "DELETE FROM checkpoints WHERE seq = ?1",
    "DELETE FROM logs WHERE seq = ?1",
    "DELETE FROM log_sizes WHERE seq = ?1",
    "DELETE FROM jobs WHERE seq = ?1",
];

/// Does what is to be done now, no more than `limit` of it: deletes jobs that have expired, moves those that are due, goes on with
/// the children of jobs that ended, and moves jobs back that waited at a limit. `stuck` ones are those that cannot be written.
pub(super) fn promote(
    tx: &mut Tx<'_>,
    limit: usize,
    stuck: &HashSet<i64>,
    suspect: &Suspect,
) -> Result<Promoted, Fault> {
    let mut left = limit - expiry::expire_due(tx, limit, stuck, suspect)?.min(limit);
    let due = due(tx, left, suspect)?;
    left -= due;
    let spread = ripples::spread(tx, left, suspect)?;
    left -= spread.looked_at.min(left);
    let returned = lines::return_held(tx, left, suspect)?;
    lines::forget_starts(tx, MAX_STARTS)?;
    // What this itself has begun was gone on with above, as far as the limit allows.
    tx.effects.consequences = Consequences::default();
    let is_cut = returned.is_cut || ripples::are_left(tx)?;
    let next_due = tx
        .db
        .prepare_cached("SELECT at FROM scheduled ORDER BY at LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .map(Timestamp);
    let instants = [next_due, expiry::next(tx, stuck)?, lines::next_room(tx)?];
    let waits = instants.into_iter().flatten().map(|at| at.ms_since(tx.now));
    // A line that got back as many as there is room for is no reason to come again: whoever has no free slot must not be kept
    // busy by it.
    let next_in_ms = waits.chain(is_cut.then_some(0)).min();
    Ok(Promoted { moved: due + spread.enqueued, next_in_ms })
}

/// Moves jobs that are due to their lines; gives how many.
fn due(tx: &mut Tx<'_>, limit: usize, suspect: &Suspect) -> Result<usize, Fault> {
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
    Ok(due.len())
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
    job.save(tx, &before)
}

/// What came of removing jobs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removed {
    pub(super) jobs: usize,
    /// How many jobs were looked at that stay for those that continue them.
    pub(super) kept: usize,
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
    let mut removed = Removed { jobs: 0, kept: 0, lines_left: MAX_LINES };
    for state in [State::Succeeded, State::Failed, State::Deleted] {
        for seq in expired(tx, state, limit - removed.jobs, stuck)? {
            if state == State::Succeeded && suspect.watch(seq, || keep_for_children(tx, seq))? {
                removed.kept += 1;
                continue;
            }
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

/// Keeps a job that succeeded while one that continues it is unfinished: it is taken from those to be removed until such a one
/// ends. Gives whether it is kept.
fn keep_for_children(tx: &Tx<'_>, seq: i64) -> Result<bool, Fault> {
    let parent = tx
        .db
        .prepare_cached("SELECT id FROM jobs WHERE seq = ?1 AND ties & 1")?
        .query_row([seq], |row| Ok(row.get::<_, Vec<u8>>(0).ok()))
        .optional()?
        .flatten()
        .and_then(|id| words::uuid(&id).ok());
    let Some(parent) = parent else { return Ok(false) };
    if !flow::has_unfinished_child(tx, JobId(parent))? {
        return Ok(false);
    }
    tx.db.prepare_cached("UPDATE jobs SET ties = ties | 8 WHERE seq = ?1")?.execute([seq])?;
    Ok(true)
}

const _: () = assert!(ties::HAS_CHILDREN == 1 && ties::KEPT == 8, "the statements above name them");

/// Removes log lines, counters and entries of the audit log whose time is over; gives whether that was all of them.
pub(super) fn prune_rows(tx: &Tx<'_>, lines_left: usize) -> Result<bool, Fault> {
    let all_lines = remove_old_lines(tx, lines_left)?;
    let all_counters = counters::prune(tx)?;
    let all_entries = audit::prune(tx)?;
    Ok(all_lines && all_counters && all_entries)
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
    leave_lines(tx, seq)?;
    begin_ripple_of(tx, seq, State::Deleted)?;
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
        "SELECT seq FROM jobs INDEXED BY jobs_ended WHERE state = ?1 AND state >= 4 AND ties < 8 AND at <= ?2 ORDER BY at",
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
    job.leave(tx, &job.place())?;
    if job.is_tied(ties::HAS_CHILDREN) {
        ripples::begin(tx, job.id, State::Deleted)?;
    }
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
