//! What operators and applications ask of one job.

use rusqlite::Connection;
use windlass_api::{JobId, RequeueRequest, ServerId, State};

use super::{
    damage,
    fault::Fault,
    flow, modules,
    record::{COLUMN_COUNT, Job, columns, ties},
    settle::delete_reason,
    tx::Tx,
    unique,
    words::{self, Ask, Word},
};
use crate::{
    Fence,
    storage::{Commanded, Removal, Signal},
};

/// Deletes or cancels jobs, all or none.
pub(super) fn remove_all(tx: &mut Tx<'_>, jobs: &[JobId], how: Removal, by: &str) -> Result<Vec<Commanded>, Fault> {
    let ask = if how.deletes_ended { Ask::Delete } else { Ask::Cancel };
    jobs.iter().map(|id| remove(tx, *id, by, ask, how.expected_state)).collect()
}

pub(super) fn cancel(tx: &mut Tx<'_>, id: JobId, by: &str) -> Result<Commanded, Fault> {
    remove(tx, id, by, Ask::Cancel, None)
}

pub(super) fn delete(tx: &mut Tx<'_>, id: JobId, by: &str) -> Result<Commanded, Fault> {
    match Job::by_id(tx.db, id) {
        // What makes no sense of it is put right as far as it can be, as it is where it stands in a line: what is left can be
        // deleted, or says what it is.
        Err(fault) if fault.is_of_a_record() => {
            let seq = tx
                .db
                .prepare_cached("SELECT seq FROM jobs WHERE id = ?1")?
                .query_row([id.0.as_bytes()], |row| row.get(0))?;
            damage::set_aside_anywhere(tx, seq)?;
        }
        read => drop(read?),
    }
    remove(tx, id, by, Ask::Delete, None)
}

fn remove(tx: &mut Tx<'_>, id: JobId, by: &str, ask: Ask, expected_state: Option<State>) -> Result<Commanded, Fault> {
    let Some(mut job) = Job::by_id(tx.db, id)? else { return Ok(Commanded::NotFound) };
    let before = job.place();
    let from = job.state;
    if expected_state.is_some_and(|expected| expected != from) {
        return Ok(Commanded::Refused(from));
    }
    match (from, ask) {
        (State::Processing, _) => {
            job.ask = Some(ask);
            job.asked_by = Some(by.to_owned());
            job.save(tx, &before)?;
            let fence = job.fence(running_server(tx, &job)?);
            tx.signal(Signal::Cancel(fence));
            Ok(Commanded::Requested(fence))
        }
        (State::Deleted, _) | (State::Succeeded | State::Failed, Ask::Cancel) => Ok(Commanded::Refused(from)),
        _ => {
            job.become_now(tx, State::Deleted, Some(delete_reason(ask).as_str().into()));
            job.record_step(tx, from, by)?;
            job.save(tx, &before)?;
            Ok(Commanded::Done(State::Deleted))
        }
    }
}

fn running_server(tx: &Tx<'_>, job: &Job) -> Result<ServerId, Fault> {
    let id = tx
        .db
        .prepare_cached("SELECT id FROM servers WHERE n = ?1")?
        .query_row([job.server], |row| row.get::<_, Vec<u8>>(0))?;
    words::uuid(&id).map(ServerId)
}

pub(super) fn requeue(tx: &mut Tx<'_>, id: JobId, how: RequeueRequest, by: &str) -> Result<Commanded, Fault> {
    let Some(mut job) = Job::by_id(tx.db, id)? else { return Ok(Commanded::NotFound) };
    let from = job.state;
    let unexpected = how.expected_state.is_some_and(|expected| expected != from);
    if unexpected || matches!(from, State::Enqueued | State::Processing) {
        return Ok(Commanded::Refused(from));
    }
    if let Some(holder) = unique::in_the_way(tx, &job)? {
        return Ok(Commanded::Conflict(holder));
    }
    unique::hold_again(tx, &job)?;
    let before = job.place();
    (job.attempt, job.losses) = (0, 0);
    (job.ask, job.asked_by) = (None, None);
    (job.ended_line, job.started_at) = (None, None);
    // The log has a limit of its own, which the runs from before must not have used up.
    for forget in [
        "DELETE FROM results WHERE seq = ?1",
        "DELETE FROM progress WHERE seq = ?1",
        "DELETE FROM logs WHERE seq = ?1",
        "DELETE FROM log_sizes WHERE seq = ?1",
    ] {
        tx.db.prepare_cached(forget)?.execute([job.seq])?;
    }
    if how.fresh {
        tx.db.prepare_cached("DELETE FROM checkpoints WHERE seq = ?1")?.execute([job.seq])?;
    }
    // Nothing starts on a version that is retired.
    let lets_go = match job.version {
        Some(version) => how.newest || modules::is_retired(tx.db, version)?,
        None => how.newest,
    };
    if lets_go {
        job.version = None;
        let path = tx.handler_path(job.handler)?;
        job.mode = modules::active_mode(tx, &path)?.unwrap_or(job.mode);
    }
    if job.is_tied(ties::CONTINUES) {
        flow::wait_no_longer(tx, &mut job)?;
    }
    job.expires_at = None;
    job.become_ready(tx, Some("requeued".into()));
    job.record_step(tx, from, by)?;
    job.save(tx, &before)?;
    Ok(Commanded::Done(State::Enqueued))
}

/// The runs whose cancel was asked for.
pub(super) fn asked_runs(db: &Connection) -> Result<Vec<Fence>, Fault> {
    let mut query = db.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        ", servers.id FROM jobs JOIN servers ON servers.n = jobs.server WHERE jobs.ask IS NOT NULL AND jobs.state = 3"
    ))?;
    let mut rows = query.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let server = row.get::<_, Vec<u8>>(COLUMN_COUNT)?;
        // A damaged job must not keep its server from beating; whoever asked for its cancel was told of the damage.
        let Ok(job) = Job::read(row) else { continue };
        runs.push(job.fence(ServerId(words::uuid(&server)?)));
    }
    Ok(runs)
}

/// Whether a number of a state is the one that the statements above name.
const _: () = assert!(State::Processing as i64 == 3 && Ask::VALUES.len() == 2);
