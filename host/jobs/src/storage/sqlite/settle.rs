//! The ends of runs.

use std::borrow::Cow;

use windlass_api::{DeleteReason, Failure, HandlerPath, Json, State};

use super::{
    enqueue::{self, HANDLER_MISSING, Unfit},
    fault::Fault,
    modules,
    record::{Job, RunEnd},
    tx::Tx,
    words::Ask,
};
use crate::{Next, Settlement, storage::Superseded};

pub(super) fn settle(tx: &mut Tx<'_>, settlements: &[Settlement]) -> Result<Vec<Result<State, Superseded>>, Fault> {
    settlements
        .iter()
        .map(|settlement| {
            let job = Job::fenced(tx, &settlement.fence)?;
            job.map(|job| end(tx, job, settlement)).transpose().map(|state| state.ok_or(Superseded))
        })
        .collect()
}

fn end(tx: &mut Tx<'_>, mut job: Job, settlement: &Settlement) -> Result<State, Fault> {
    let before = job.place();
    let run = job.current_run();
    let (failure, gives_back) = match &settlement.next {
        Next::Retry { failure, .. } | Next::Failed { failure } => (Some(failure), false),
        Next::Snooze { .. } | Next::Released { .. } | Next::HandlerMissing => (None, true),
        Next::Succeeded { .. } | Next::Cancelled => (None, false),
    };
    if gives_back {
        job.give_attempt_back();
    }
    let mut by = None;
    match (&settlement.next, job.ask) {
        (Next::Succeeded { result }, _) => {
            // It was too late to stop it, so nothing is asked any more.
            (job.ask, job.asked_by) = (None, None);
            job.become_now(tx, State::Succeeded, None);
            keep_result(tx, job.seq, result.as_ref())?;
        }
        (_, Some(ask)) => {
            by = job.asked_by.clone();
            job.become_now(tx, State::Deleted, Some(delete_reason(ask).as_str().into()));
        }
        (Next::Failed { failure }, None) => job.become_now(tx, State::Failed, Some(failure.cause.as_str().into())),
        (Next::Cancelled, None) => job.become_now(tx, State::Deleted, Some(DeleteReason::Cancelled.as_str().into())),
        (Next::Retry { delay_ms, .. }, None) => postpone(tx, &mut job, *delay_ms, "retry"),
        (Next::Snooze { delay_ms }, None) => postpone(tx, &mut job, *delay_ms, "snooze"),
        (Next::Released { reason, mode }, None) => {
            job.mode = *mode;
            // It keeps its place in the line.
            job.become_now(tx, State::Enqueued, Some(reason.clone().into()));
        }
        (Next::HandlerMissing, None) => await_handler(tx, &mut job)?,
    }
    job.server = None;
    let happened = tx.happened(job.handler);
    if settlement.next.has_run() {
        happened.runs += 1;
        happened.run_us = happened.run_us.saturating_add(settlement.usage.wall_us);
        happened.fuel = happened.fuel.saturating_add(settlement.usage.fuel);
    }
    if matches!(settlement.next, Next::Retry { .. }) && job.state == State::Scheduled {
        happened.retried += 1;
    }
    job.record_run(tx, &RunEnd { usage: settlement.usage, failure }, &run, by.as_deref())?;
    job.save(tx, &before)?;
    if job.state == State::Succeeded && !settlement.follow_ups.is_empty() {
        // Only now, since they may continue the job that made them.
        enqueue::enqueue(tx, &settlement.follow_ups, &format!("job {}", job.id), Unfit::LeaveOut)?;
    }
    Ok(job.state)
}

pub(super) fn delete_reason(ask: Ask) -> DeleteReason {
    match ask {
        Ask::Cancel => DeleteReason::Cancelled,
        Ask::Delete => DeleteReason::Deleted,
    }
}

fn postpone(tx: &Tx<'_>, job: &mut Job, delay_ms: u64, reason: &'static str) {
    job.become_now(tx, State::Scheduled, Some(Cow::Borrowed(reason)));
    job.at = tx.now.plus_ms(delay_ms);
}

/// Lets a job wait for its handler, unless another version has brought it since the run began.
fn await_handler(tx: &mut Tx<'_>, job: &mut Job) -> Result<(), Fault> {
    let path: HandlerPath = tx.handler_path(job.handler)?;
    let moved_on = modules::active(tx, &path.module)? != job.version.take();
    match modules::active_mode(tx, &path)? {
        Some(mode) if moved_on => {
            job.mode = mode;
            job.become_now(tx, State::Enqueued, None);
        }
        _ => job.become_now(tx, State::Awaiting, Some(HANDLER_MISSING.into())),
    }
    Ok(())
}

pub(super) fn keep_result(tx: &Tx<'_>, seq: i64, result: Option<&Json>) -> Result<(), Fault> {
    if let Some(result) = result {
        tx.db
            .prepare_cached("INSERT OR REPLACE INTO results (seq, result) VALUES (?1, ?2)")?
            .execute((seq, result.as_str()))?;
    }
    Ok(())
}

/// A failure that the host itself finds.
pub(super) fn host_failure(cause: windlass_api::Cause, message: String) -> Failure {
    Failure { cause, code: None, message, details: None, backtrace: None }
}
