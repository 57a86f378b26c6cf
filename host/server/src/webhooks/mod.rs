//! Telling other programs what happened: a job failed for good, a handler works again, a recurring job was missed.
//!
//! An event is told by the host that settled the run, or was first to move the recurring job on: so once in the usual case. Its
//! id follows from what happened, so that a receiver recognises what it is told twice. What waits to be sent again waits in this
//! host's memory, bounded, and ends with it.

mod event;
mod receiver;
mod signature;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use windlass_api::{Failure, HandlerName, JobFilter, JobId, JobSummary, ModuleName, QueueName, State, Timestamp};
use windlass_jobs::{
    Claimed, Clock as _, Fence, Next, Settlement, SystemClock,
    recurring::Missed,
    storage::{Storage, StorageError},
};

use self::{event::Event, receiver::Receiver};
use crate::{config::WebhookSettings, metrics::Metrics};

/// How many handlers are remembered as failing; the recovery of others is not told.
const MAX_FAILING: usize = 10_000;

/// How many jobs that failed with a lost server are looked at, of each reason.
const MAX_LOST: usize = 200;

/// How much earlier another host's clock may date the end of a job that was lost with its server.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// Why jobs fail whose servers are lost: no run of them is settled.
const LOST_REASONS: [&str; 2] = ["server-lost", "poison"];

/// Whom to tell, shared by all parts of a host. Where nobody is to be told, nothing is remembered.
#[derive(Clone, Default)]
pub(crate) struct Webhooks(Option<Arc<Inner>>);

struct Inner {
    receivers: Vec<Arc<Receiver>>,
    /// Handlers that failed for good on this host and have not succeeded here since. Held for short synchronous sections only.
    failing: Mutex<HashMap<(ModuleName, HandlerName), Failing>>,
    /// What the last look at lost jobs told.
    lost: Mutex<HashSet<(JobId, u32)>>,
}

/// Since when a handler fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failing {
    since: Timestamp,
    /// The job that failed first.
    first: JobId,
    jobs: u64,
}

/// Whose run it was that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    module: ModuleName,
    handler: HandlerName,
    queue: QueueName,
    attempt: u32,
    max_attempts: u32,
}

impl Webhooks {
    /// Reads the secrets.
    ///
    /// # Errors
    /// Where one cannot be read or used; the text names the receiver.
    pub(crate) fn start(settings: &[WebhookSettings], metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        if settings.is_empty() {
            return Ok(Self(None));
        }
        let receivers = settings.iter().map(|settings| Ok(Arc::new(Receiver::new(settings, Arc::clone(metrics))?)));
        let receivers = receivers.collect::<anyhow::Result<_>>()?;
        Ok(Self(Some(Arc::new(Inner { receivers, failing: Mutex::default(), lost: Mutex::default() }))))
    }

    /// What is to be kept of a job until its run is settled; nothing where nobody is to be told.
    pub(crate) fn subject(&self, job: &Claimed) -> Option<Box<Subject>> {
        self.0.as_ref()?;
        Some(Box::new(Subject {
            module: job.module.clone(),
            handler: job.handler.clone(),
            queue: job.queue.clone(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
        }))
    }

    /// A run was settled, and its job is in this state for it.
    pub(crate) fn settled(&self, subject: &Subject, settlement: &Settlement, state: State) {
        let Some(inner) = &self.0 else { return };
        let (fence, now) = (settlement.fence, SystemClock.now());
        match &settlement.next {
            Next::Failed { failure } if state == State::Failed => {
                inner.failed(subject, fence.job, fence.run, failure, now);
            }
            Next::Succeeded { .. } if state == State::Succeeded => inner.succeeded(subject, fence, now),
            _ => {}
        }
    }

    /// A recurring job was missed.
    pub(crate) fn missed(&self, missed: &Missed) {
        if let Some(inner) = &self.0 {
            inner.tell(&Event::missed(missed, SystemClock.now()));
        }
    }

    /// A server was just lost, with runs: tells of the jobs that failed by it.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub(crate) async fn server_lost(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        self.lost_since(storage, Timestamp(SystemClock.now().0 - CLOCKS_DIFFER_MS)).await
    }

    /// Tells of the jobs that failed since then with the server that they ran on: a storage that one host uses at a time takes them
    /// from the host before when it is opened.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub(crate) async fn lost_since(&self, storage: &dyn Storage, since: Timestamp) -> Result<(), StorageError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let now = SystemClock.now();
        let mut told = HashSet::new();
        for reason in LOST_REASONS {
            let filter =
                JobFilter { state: Some(State::Failed), reason: Some(reason.to_owned()), ..JobFilter::default() };
            let failed = storage.jobs(&filter, None, MAX_LOST).await?.items;
            for job in failed.into_iter().filter(|job| job.finished_at.is_some_and(|at| at >= since)) {
                if !inner.was_told(&job) {
                    inner.lost(&job, now);
                }
                told.insert((job.id, job.run));
            }
        }
        *inner.lost.lock().unwrap_or_else(PoisonError::into_inner) = told;
        Ok(())
    }

    /// Lets what is being sent be sent, for a moment; what waits for another try is given up.
    pub(crate) async fn close(&self, within: Duration) {
        let Some(inner) = &self.0 else { return };
        futures::future::join_all(inner.receivers.iter().map(|receiver| receiver.close(within))).await;
    }
}

impl Inner {
    fn failed(&self, subject: &Subject, job: JobId, run: u32, failure: &Failure, now: Timestamp) {
        {
            let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (subject.module.clone(), subject.handler.clone());
            let has_room = failing.len() < MAX_FAILING;
            match failing.get_mut(&key) {
                Some(known) => known.jobs += 1,
                None if has_room => {
                    failing.insert(key, Failing { since: now, first: job, jobs: 1 });
                }
                None => {}
            }
        }
        self.tell(&Event::failed(subject, job, run, failure, now));
    }

    fn succeeded(&self, subject: &Subject, fence: Fence, now: Timestamp) {
        let failing = {
            let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            // Nearly always: nothing is made for it then.
            if failing.is_empty() {
                return;
            }
            failing.remove(&(subject.module.clone(), subject.handler.clone()))
        };
        if let Some(failing) = failing {
            self.tell(&Event::recovered(subject, fence, failing, now));
        }
    }

    fn was_told(&self, job: &JobSummary) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&(job.id, job.run))
    }

    fn lost(&self, job: &JobSummary, now: Timestamp) {
        let Some(failure) = &job.failure else { return };
        let subject = Subject {
            module: job.module.clone(),
            handler: job.handler.clone(),
            queue: job.queue.clone(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
        };
        self.failed(&subject, job.id, job.run, failure, now);
    }

    fn tell(&self, event: &Event) {
        for receiver in self.receivers.iter().filter(|receiver| receiver.wants(event)) {
            receiver.send(event);
        }
    }
}

/// Whether a webhook's secret can be read and used; an error says what is wrong.
pub(crate) fn check(settings: &WebhookSettings) -> anyhow::Result<()> {
    receiver::key(settings).map(drop)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
