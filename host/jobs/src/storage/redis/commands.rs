//! What operators and applications ask of one job, and what time brings.

use std::time::Duration;

use uuid::Uuid;
use windlass_api::{Grain, JobId, RequeueRequest, ServerId, State};

use super::{
    RedisStorage,
    answer::{self, List},
    bytes::{cut, state_number},
    fault::{damaged, of_job},
    record::id,
    script,
};
use crate::{
    Fence,
    storage::{Commanded, MAX_AUDIT_ENTRIES, Promoted, Signal, StorageError},
};

/// No step moves more jobs whose instant has come, nor removes more: others get their turn in between.
const MAX_STEP: usize = 500;

/// What is asked of a job.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    Cancel = 1,
    Delete = 2,
}

impl RedisStorage {
    pub(super) async fn remove(&self, job: JobId, ask: Ask, by: &str) -> Result<Commanded, StorageError> {
        let removed = self.remove_in_one_step(&[job], ask, None, by).await.map_err(|error| of_job(error, job))?;
        Ok(removed.into_iter().next().unwrap_or(Commanded::NotFound))
    }

    /// The same for several jobs, all or none.
    pub(super) async fn remove_in_one_step(
        &self,
        jobs: &[JobId],
        ask: Ask,
        expected_state: Option<State>,
        by: &str,
    ) -> Result<Vec<Commanded>, StorageError> {
        let mut call = self.call(&script::REMOVE);
        call.arg(ask as u8)
            .arg(cut(by))
            .arg(expected_state.map(|state| state_number(state).to_string()).unwrap_or_default());
        for job in jobs {
            call.arg(job.0.as_bytes());
        }
        let mut answer = List::of(self.run(call).await?)?;
        self.tell_changes(&mut answer)?;
        let mut commanded = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (what, state, run, server) =
                (answer.text()?, state(answer.number()?)?, answer.number()?, answer.bytes()?);
            commanded.push(match what.as_str() {
                "gone" => Commanded::NotFound,
                "requested" => {
                    let server =
                        Uuid::from_slice(&server).map_err(|error| damaged(format_args!("job {job}"), error))?;
                    let fence = Fence { job: *job, run, server: ServerId(server) };
                    self.hub.tell(Signal::Cancel(fence));
                    Commanded::Requested(fence)
                }
                "done" => Commanded::Done(state),
                _ => Commanded::Refused(state),
            });
        }
        Ok(commanded)
    }

    pub(super) async fn enqueue_anew(
        &self,
        job: JobId,
        how: RequeueRequest,
        by: &str,
    ) -> Result<Commanded, StorageError> {
        let mut call = self.call(&script::REQUEUE);
        call.arg(job.0.as_bytes())
            .arg(how.expected_state.map(|state| state_number(state).to_string()).unwrap_or_default())
            .arg(u8::from(how.fresh))
            .arg(u8::from(how.newest))
            .arg(cut(by));
        let mut answer = List::of(self.run_for(job, call).await?)?;
        if answer.is_empty() {
            return Ok(Commanded::NotFound);
        }
        let (what, state) = (answer.text()?, state(answer.number()?)?);
        Ok(match what.as_str() {
            "done" => {
                self.hub.tell(Signal::Work);
                Commanded::Done(state)
            }
            "conflict" => Commanded::Conflict(id(&answer.bytes()?)?),
            _ => Commanded::Refused(state),
        })
    }

    /// Tells what a script changed besides: whether there may be work, and the jobs that ended.
    fn tell_changes(&self, answer: &mut List) -> Result<(), StorageError> {
        if answer.number::<i64>()? == 1 {
            self.hub.tell(Signal::Work);
        }
        self.hub.tell_ends(answer::ids(&answer.bytes()?)?);
        Ok(())
    }

    pub(super) async fn move_due(&self, limit: usize) -> Result<Promoted, StorageError> {
        let mut call = self.call(&script::PROMOTE);
        call.arg(limit.min(MAX_STEP));
        let mut answer = List::of(self.run(call).await?)?;
        let (moved, next_in_ms) = (answer.number::<i64>()?, answer::optional_number(answer.next()?)?);
        for job in answer::ids(&answer.bytes()?)? {
            tracing::error!(%job, "a job is passed over, because its record is damaged");
        }
        self.tell_changes(&mut answer)?;
        let moved = usize::try_from(moved).unwrap_or(0);
        if !answer.is_empty() {
            let (path, activation) = (answer.text()?, answer.text()?);
            match self.rehome(&path, &activation).await {
                Ok(true) => return Ok(Promoted { moved, next_in_ms: Some(0) }),
                Ok(false) => {}
                Err(error) => tracing::warn!(%path, %error, "the handler's jobs wait on; they are moved later"),
            }
        }
        Ok(Promoted { moved, next_in_ms })
    }

    pub(super) async fn remove_old(&self, limit: usize) -> Result<usize, StorageError> {
        let kept = &self.retention;
        let asked = limit.min(MAX_STEP);
        let mut call = self.call(&script::PRUNE);
        call.arg(asked);
        for span in [kept.succeeded, kept.failed, kept.deleted, kept.logs] {
            call.arg(ms(span));
        }
        for grain in Grain::ALL {
            // From the end of the span on.
            call.arg(grain.kept_ms() + grain.span_ms());
        }
        call.arg(ms(kept.audit)).arg(MAX_AUDIT_ENTRIES);
        let mut answer = List::of(self.run(call).await?)?;
        let (removed, more) = (answer.number::<i64>()?, answer.number::<i64>()? == 1);
        for job in answer::ids(&answer.bytes()?)? {
            tracing::error!(%job, "the record of a removed job was damaged");
        }
        self.tell_changes(&mut answer)?;
        let removed = usize::try_from(removed).unwrap_or(0);
        // Where the step was cut short, there may be more.
        Ok(if more || (removed == asked && asked < limit) { limit } else { removed })
    }
}

fn state(number: i64) -> Result<State, StorageError> {
    let state = usize::try_from(number).ok().and_then(|number| State::ALL.get(number));
    state.copied().ok_or_else(|| damaged("a job's state", format_args!("there is no number {number}")))
}

/// A span in milliseconds, as far as Lua's numbers hold it exactly.
fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(1 << 50)
}
