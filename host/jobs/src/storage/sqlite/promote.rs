//! Jobs whose instant has come, and jobs whose time is over.

use rusqlite::OptionalExtension;
use windlass_api::{State, Timestamp};

use super::{fault::Fault, record::Job, tx::Tx, words::Word};
use crate::storage::Promoted;

/// Who moves jobs when their instant has come.
const SCHEDULER: &str = "scheduler";

/// How many log lines are removed at once.
const OLD_LINES: i64 = 1000;

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
        let mut job = Job::by_seq(tx.db, *seq)?;
        let before = job.place();
        let due_at = job.at;
        job.become_ready(tx, None);
        // It has waited in its line since it was due, whenever it was moved.
        job.ready_at = due_at.min(tx.now);
        job.record_step(tx, State::Scheduled, SCHEDULER)?;
        job.save(tx, before)?;
    }
    let next = tx
        .db
        .prepare_cached("SELECT at FROM scheduled ORDER BY at LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(Promoted { moved: due.len(), next_in_ms: next.map(|at| Timestamp(at).ms_since(tx.now)) })
}

pub(super) fn prune(tx: &mut Tx<'_>, limit: usize) -> Result<usize, Fault> {
    let mut removed = 0;
    for state in [State::Succeeded, State::Failed, State::Deleted] {
        for job in expired(tx, state, limit - removed)? {
            remove(tx, &job)?;
            removed += 1;
        }
    }
    let kept_ms = i64::try_from(tx.retention.logs.as_millis()).unwrap_or(i64::MAX);
    tx.db
        .prepare_cached("DELETE FROM logs WHERE n IN (SELECT n FROM logs ORDER BY n LIMIT ?2) AND at <= ?1")?
        .execute((tx.now.0.saturating_sub(kept_ms), OLD_LINES))?;
    Ok(removed)
}

fn expired(tx: &Tx<'_>, state: State, limit: usize) -> Result<Vec<Job>, Fault> {
    let kept_ms = tx.retention.of(state).map_or(i64::MAX, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
    let mut query = tx.db.prepare_cached(concat!(
        "SELECT ",
        super::record::columns!(),
        " FROM jobs INDEXED BY jobs_ended WHERE state = ?1 AND state >= 4 AND at <= ?2 ORDER BY at LIMIT ?3"
    ))?;
    let until = tx.now.0.saturating_sub(kept_ms);
    let mut rows = query.query((state.number(), until, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(Job::read(row)?);
    }
    Ok(jobs)
}

fn remove(tx: &mut Tx<'_>, job: &Job) -> Result<(), Fault> {
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
             (SELECT value, ?1 FROM payloads, json_each(payloads.tags) WHERE payloads.seq = ?1)",
        )?
        .execute([seq])?;
    Ok(())
}
