//! Jobs of which there is to be only one: each key has an entry that names the last job that was stored with it.

use rusqlite::OptionalExtension;
use windlass_api::{Digest, Enqueued, HandlerPath, JobId, OnConflict, State, UniqueRule};

use super::{
    conditions,
    conditions::Kept,
    enqueue::{Birth, birth},
    fault::Fault,
    flow,
    record::{Job, ties},
    tx::Tx,
};
use crate::{NewJob, storage::Signal};

/// Why a job takes another step than the one that it was made for.
const REPLACED: &str = "replaced";

/// What a new job meets at the entry of its key.
pub(super) enum Meeting {
    /// Nothing that it must not stand beside.
    Nobody,
    /// This job, which it must not stand beside.
    Holder(JobId),
    /// A job that is given in its place.
    Instead(Enqueued),
}

/// Looks at the entry of a new job's key, and does with the one that it names what the new job's rule says.
pub(super) fn meet(tx: &mut Tx<'_>, new: &NewJob, rule: &UniqueRule, by: &str) -> Result<Meeting, Fault> {
    let Some(holder) = holder(tx, rule.key)?.filter(|holder| counts(tx, rule, holder)) else {
        return Ok(Meeting::Nobody);
    };
    let id = holder.id;
    let replaced = match rule.on_conflict {
        OnConflict::Reject => return Ok(Meeting::Holder(id)),
        OnConflict::Existing => false,
        OnConflict::Replace => replace(tx, holder, new, by)?,
    };
    Ok(Meeting::Instead(Enqueued { id, existing: true, replaced }))
}

/// The job that keeps another one from being requeued.
pub(super) fn in_the_way(tx: &Tx<'_>, job: &Job) -> Result<Option<JobId>, Fault> {
    let Some(rule) = rule_of(tx, job)? else { return Ok(None) };
    let holder = holder(tx, rule.key)?.filter(|holder| holder.seq != job.seq && counts(tx, &rule, holder));
    Ok(holder.map(|holder| holder.id))
}

/// Makes a job the holder of its key again.
pub(super) fn hold_again(tx: &Tx<'_>, job: &Job) -> Result<(), Fault> {
    rule_of(tx, job)?.map_or(Ok(()), |rule| hold(tx, rule.key, job.seq))
}

fn rule_of(tx: &Tx<'_>, job: &Job) -> Result<Option<UniqueRule>, Fault> {
    if job.is_tied(ties::UNIQUE) { Ok(Kept::of(tx.db, job)?.unique) } else { Ok(None) }
}

/// Makes a job the holder of a key.
pub(super) fn hold(tx: &Tx<'_>, key: Digest, seq: i64) -> Result<(), Fault> {
    tx.db.prepare_cached("INSERT OR REPLACE INTO unique_keys (key, seq) VALUES (?1, ?2)")?.execute((key.0, seq))?;
    Ok(())
}

/// Makes a job the holder of a key that has none.
pub(super) fn hold_where_free(tx: &Tx<'_>, key: Digest, seq: i64) -> Result<(), Fault> {
    tx.db
        .prepare_cached("INSERT INTO unique_keys (key, seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((key.0, seq))?;
    Ok(())
}

/// Whether a job is the holder of a key.
pub(super) fn holds(db: &rusqlite::Connection, rule: &UniqueRule, seq: i64) -> Result<bool, Fault> {
    Ok(db.prepare_cached("SELECT 1 FROM unique_keys WHERE key = ?1 AND seq = ?2")?.exists((rule.key.0, seq))?)
}

fn counts(tx: &Tx<'_>, rule: &UniqueRule, holder: &Job) -> bool {
    rule.counts(holder.state, holder.created_at, tx.now)
}

/// The job that the entry of a key names. One that is gone or cannot be read is none.
fn holder(tx: &Tx<'_>, key: Digest) -> Result<Option<Job>, Fault> {
    let seq = tx
        .db
        .prepare_cached("SELECT seq FROM unique_keys WHERE key = ?1")?
        .query_row([key.0], |row| row.get(0))
        .optional()?;
    match seq.map(|seq| Job::by_seq(tx.db, seq)).transpose() {
        Err(fault) if fault.is_of_a_record() => Ok(None),
        found => found,
    }
}

/// Gives a job that was never claimed the payload, the start and the expiry of another; gives whether it could be.
fn replace(tx: &mut Tx<'_>, mut job: Job, new: &NewJob, by: &str) -> Result<bool, Fault> {
    if job.run > 0 || !matches!(job.state, State::Scheduled | State::Awaiting | State::Enqueued) {
        return Ok(false);
    }
    tx.db
        .prepare_cached("UPDATE payloads SET payload = ?2 WHERE seq = ?1")?
        .execute((job.seq, new.payload.as_str()))?;
    job.expires_at = new.conditions.expires_at;
    if job.expires_at.is_some() {
        // It may be the next instant that a promotion is for.
        tx.signal(Signal::Work);
    }
    if flow::waits_for_parents(&job) {
        conditions::put_start(tx, job.seq, new.start)?;
        job.write(tx)?;
        return Ok(true);
    }
    let path = HandlerPath { module: new.module.clone(), handler: new.handler.clone() };
    let Birth { state, at, mode, reason } = birth(tx, new.start, job.mode, &path)?;
    let (before, from) = (job.place(), job.state);
    if (from, state) == (State::Enqueued, State::Enqueued) {
        job.write(tx)?;
        return Ok(true);
    }
    (job.mode, job.ready_at) = (mode, tx.now);
    job.become_now(tx, state, Some(REPLACED.into()));
    job.at = at;
    job.record_step(tx, from, by)?;
    // What waits for its handler is found by its reason.
    job.reason = Some(reason.unwrap_or(REPLACED).into());
    job.save(tx, &before)?;
    Ok(true)
}
