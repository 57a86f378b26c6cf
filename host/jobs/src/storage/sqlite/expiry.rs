//! Jobs that must have been started by an instant: they are deleted where they were not.

use std::collections::HashSet;

use windlass_api::{State, Timestamp};

use super::{
    damage::{Suspect, set_aside_anywhere, unless_damaged},
    fault::Fault,
    promote::SCHEDULER,
    record::Job,
    tx::Tx,
};

/// Why a job was deleted that was not started in time.
const EXPIRED: &str = "expired";

/// Whether a job's time is over and it was never started.
pub(super) fn has_expired(tx: &Tx<'_>, job: &Job) -> bool {
    job.expires_at.is_some_and(|at| at <= tx.now)
}

/// Deletes a job whose time is over.
pub(super) fn expire(tx: &mut Tx<'_>, mut job: Job) -> Result<(), Fault> {
    let (before, from) = (job.place(), job.state);
    job.become_now(tx, State::Deleted, Some(EXPIRED.into()));
    job.record_step(tx, from, SCHEDULER)?;
    job.save(tx, &before)
}

/// Deletes jobs whose time is over, no more than so many, without those that cannot be written; gives how many.
pub(super) fn expire_due(
    tx: &mut Tx<'_>,
    limit: usize,
    stuck: &HashSet<i64>,
    suspect: &Suspect,
) -> Result<usize, Fault> {
    let due = {
        let mut query = tx.db.prepare_cached(
            "SELECT seq FROM jobs INDEXED BY jobs_expiring
             WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at, seq",
        )?;
        let due = query.query_map([tx.now.0], |row| row.get(0))?;
        let due = due.filter(|seq| !seq.as_ref().is_ok_and(|seq| stuck.contains(seq)));
        due.take(limit).collect::<Result<Vec<i64>, _>>()?
    };
    for seq in &due {
        let expired = suspect.watch_beside(*seq, tx, |tx| {
            unless_damaged(tx, *seq, |tx| {
                let job = suspect.watch(*seq, || Job::by_seq(tx.db, *seq))?;
                // Its history is about to be written to: whether that can be is seen by looking at the place.
                suspect.watch(*seq, || {
                    Ok(tx.db.prepare_cached("SELECT 1 FROM history WHERE seq = ?1")?.exists([seq])?)
                })?;
                expire(tx, job)
            })
        })?;
        if expired.is_none() {
            set_aside_anywhere(tx, *seq)?;
        }
    }
    Ok(due.len())
}

/// The next instant at which a job expires, without those that cannot be written.
pub(super) fn next(tx: &Tx<'_>, stuck: &HashSet<i64>) -> Result<Option<Timestamp>, Fault> {
    let mut query = tx.db.prepare_cached(
        "SELECT expires_at, seq FROM jobs INDEXED BY jobs_expiring WHERE expires_at IS NOT NULL ORDER BY expires_at, seq",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if !stuck.contains(&row.get(1)?) {
            return Ok(Some(Timestamp(row.get(0)?)));
        }
    }
    Ok(None)
}
