//! Enqueueing what is due. Any number of hosts may do it at once: an entry moves on by compare-and-set, in one step with
//! the jobs of the instants that it leaves behind, so that each instant is fired once.

use std::{collections::HashSet, fmt, sync::Arc};

use futures::stream::{self, StreamExt as _};
use uuid::Uuid;
use windlass_api::{HandlerPath, JobId, JobRequest, Misfire, QueueName, RecurringName, Timestamp};

use super::{GRACE_MS, Plan, definition::Definition, plan};
use crate::{
    NewJob,
    admission::{Admission, AdmissionError},
    storage::{RecurringEntry, Storage, StorageError},
};

/// The header that tells a job which recurring job made it.
const NAME_HEADER: &str = "windlass-recurring";

/// The header that tells a job which instant it is for.
const INSTANT_HEADER: &str = "windlass-instant";

/// How many entries are looked at in one step.
const BATCH: usize = 100;

/// How many of them are fired at once: storages put what comes together into one step.
const AT_ONCE: usize = 16;

/// After so many failures of the storage a step gives up.
const MOST_FAILURES: usize = 3;

/// How long to wait where those that are due cannot be fired, in milliseconds.
const PAUSE_MS: u64 = 1_000;

/// How many jobs one entry enqueues in one step: the rest follows in the next.
const MOST_JOBS: usize = 100;

/// How many bytes these have in all, as far as one job has no more: a slow storage must take them in time.
const MOST_BYTES: usize = 1 << 20;

/// No more entries than this are remembered as unreadable, so that the memory for them is bounded.
const MAX_UNREADABLE: usize = 1_000;

/// Fires recurring jobs.
pub struct Scheduler {
    storage: Arc<dyn Storage>,
    admission: Arc<Admission>,
    /// Those that cannot be read here, by the revision that cannot be: they are told of once and do not hold up others.
    unreadable: HashSet<Key>,
    /// With which of those that are due it begins.
    begin: usize,
    missed: Option<TellMissed>,
}

/// An entry that was due for more than a minute while no host came to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The entry.
    pub name: RecurringName,
    /// What it enqueues.
    pub handler: HandlerPath,
    /// Into which queue, where the entry says so.
    pub queue: Option<QueueName>,
    /// The first instant that nobody came to in time.
    pub due_at: Timestamp,
    /// What was done about it.
    pub misfire: Misfire,
    /// How many jobs were enqueued now all the same.
    pub enqueued: usize,
    /// When it is due next.
    pub next_at: Option<Timestamp>,
}

/// Whoever is to know of what was missed.
type TellMissed = Box<dyn Fn(&Missed) + Send + Sync>;

/// An entry at a revision.
type Key = (RecurringName, u64);

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

/// When an entry is due next, once it was fired; nothing where another host was faster.
type Moved = Option<Option<Timestamp>>;

impl Scheduler {
    /// Fires the entries of this storage; their jobs are checked by `admission`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, admission: Arc<Admission>) -> Self {
        let begin = usize::try_from(Uuid::new_v4().as_u128() >> 112).unwrap_or(0);
        Self { storage, admission, unreadable: HashSet::new(), begin, missed: None }
    }

    /// Tells of entries that were missed, once each, by whoever was first to move it on. Where all is caught up with, nothing was
    /// missed.
    #[must_use]
    pub fn telling(self, missed: impl Fn(&Missed) + Send + Sync + 'static) -> Self {
        Self { missed: Some(Box::new(missed)), ..self }
    }

    /// Enqueues the jobs of the entries that are due. Gives how long until it is worth doing again, in milliseconds; 0
    /// where there is more already.
    ///
    /// # Errors
    /// Where the storage does not answer. What was done until then is done, and where it was one entry that failed, the others
    /// were fired.
    pub async fn step(&mut self) -> Result<Option<u64>, StorageError> {
        let due = self.storage.due_recurring(BATCH + self.unreadable.len()).await?;
        let mut next_in_ms = due.next_in_ms;
        let (known, mut entries): (Vec<_>, Vec<_>) =
            due.entries.into_iter().partition(|entry| self.unreadable.contains(&(entry.name.clone(), entry.revision)));
        let mut unreadable: HashSet<_> = known.into_iter().map(|entry| (entry.name, entry.revision)).collect();
        // Each host begins elsewhere, so that several do not all try the same ones.
        let middle = self.begin % entries.len().max(1);
        entries.rotate_left(middle);
        let (mut failures, mut answered) = (Vec::new(), false);
        let firing: Vec<_> = entries.into_iter().map(|entry| self.fire_named(entry, due.now)).collect();
        let mut firing = stream::iter(firing).buffer_unordered(AT_ONCE);
        while let Some((key, outcome)) = firing.next().await {
            match outcome {
                Ok(moved) => {
                    answered = true;
                    let in_ms = moved.flatten().map(|next_at| next_at.ms_since(due.now));
                    next_in_ms = next_in_ms.into_iter().chain(in_ms).min();
                }
                Err(error @ StorageError::Unavailable(_)) => {
                    failures.push(error);
                    if failures.len() == MOST_FAILURES {
                        break;
                    }
                }
                // Whatever else is wrong lies in the entry itself, or in its jobs: the others must not wait for it.
                Err(error) => {
                    let (name, _) = &key;
                    tracing::error!(recurring = %name, %error, "a recurring job cannot be fired by this host");
                    unreadable.insert(key);
                }
            }
        }
        drop(firing);
        self.unreadable = unreadable.into_iter().take(MAX_UNREADABLE).collect();
        match failures.pop() {
            Some(error) => Err(error),
            // Where nothing moved, nothing will at once.
            None if !answered && next_in_ms == Some(0) => Ok(Some(PAUSE_MS)),
            None => Ok(next_in_ms),
        }
    }

    async fn fire_named(&self, entry: RecurringEntry, now: Timestamp) -> (Key, Result<Moved, StorageError>) {
        let key = (entry.name.clone(), entry.revision);
        (key, self.fire(entry, now).await)
    }

    async fn fire(&self, mut entry: RecurringEntry, now: Timestamp) -> Result<Moved, StorageError> {
        let Some(due_at) = entry.next_at else { return Ok(None) };
        let mut definition = Definition::of(&entry)?;
        let schedule = definition
            .schedule()
            .map_err(|error| StorageError::Damaged(format!("the recurring job {}: {error}", entry.name)))?;
        let request = &definition.request;
        let Plan { fire, mut next_at, left_out } =
            plan(&schedule, request.misfire, definition.catch_up(), due_at, now, most_jobs(&request.job));
        if left_out {
            tracing::warn!(recurring = %entry.name, since = %due_at, policy = ?request.misfire, "instants were missed");
        }
        let mut jobs = Vec::new();
        if let Some(last) = fire.last().copied() {
            (entry.last_at, entry.left_out) = (Some(last), false);
            match self.admission.admit(request.job.clone()).await {
                Ok(job) => {
                    jobs = of_instants(&entry.name, &job, &fire);
                    entry.last_job = jobs.last().map(|job| job.id);
                    definition.refused = None;
                }
                // Another host may be able to read what this one cannot.
                Err(AdmissionError::Storage(error)) => return Err(error),
                // It says so, and goes on to its next instant: what is wrong now may be right then.
                Err(error) => {
                    tracing::warn!(recurring = %entry.name, %error, "a recurring job enqueues nothing");
                    entry.last_job = None;
                    definition.refused = Some(error.to_string());
                    next_at = schedule.next_after(now.max(last));
                }
            }
            entry.definition = definition.write()?;
        }
        entry.next_at = next_at;
        let is_late = now.ms_since(due_at) > GRACE_MS;
        // With a policy that catches up, it is but late unless some were too many.
        let missed = (is_late && (left_out || request.misfire != Misfire::CatchUp)).then(|| Missed {
            name: entry.name.clone(),
            handler: request.job.handler.clone(),
            queue: request.job.queue.clone(),
            due_at,
            misfire: request.misfire,
            enqueued: jobs.len(),
            next_at,
        });
        let expected = Some(entry.revision);
        let put = self.storage.put_recurring(entry, expected, jobs).await?;
        if let (Some(_), Some(missed), Some(tell)) = (&put, &missed, &self.missed) {
            tell(missed);
        }
        Ok(put.map(|_| next_at))
    }
}

/// How many jobs may be enqueued in one step, given how long each is.
fn most_jobs(job: &JobRequest) -> usize {
    let headers = job.headers.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    (MOST_BYTES / (job.payload.as_str().len() + headers).max(1)).clamp(1, MOST_JOBS)
}

/// A job for each instant, which tells the handler the instant that it is for.
fn of_instants(name: &RecurringName, job: &NewJob, instants: &[Timestamp]) -> Vec<NewJob> {
    let of = |instant: &Timestamp| {
        let mut job = job.clone();
        job.id = JobId(Uuid::now_v7());
        job.headers.insert(NAME_HEADER.to_owned(), name.to_string());
        job.headers.insert(INSTANT_HEADER.to_owned(), instant.to_string());
        job
    };
    instants.iter().map(of).collect()
}
