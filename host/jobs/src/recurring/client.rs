//! What a [`Client`] does with recurring jobs.

use futures::stream::{self, StreamExt as _};
use windlass_api::{
    Enqueued, JobSummary, OnConflict, Page, RecurringJob, RecurringName, RecurringOutcome, RecurringRequest, Timestamp,
};

use super::definition::{self, Definition, PlacingError};
use crate::{
    Client, ClientError,
    admission::AdmissionError,
    storage::{RecurringEntry, Storage, StorageError},
};

/// How many entries of a list are looked up at once.
const AT_ONCE: usize = 16;

/// How many instants are shown of those to come.
const NEXT_RUNS: usize = 5;

/// How often a change is tried where others change the same entry: each time, one of them gets through.
const TRIES: usize = 50;

impl Client {
    /// Puts a recurring job in place, or changes the one of this name. Where its times stay as they were, so does the next
    /// instant; whether it is paused stays in any case.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use windlass_jobs::{
    ///     Client, SystemClock,
    ///     api::{JobRequest, Json, RecurringRequest},
    ///     storage::sqlite::SqliteStorage,
    /// };
    ///
    /// let client = Client::new(SqliteStorage::in_memory(Arc::new(SystemClock))?);
    /// let mut job = JobRequest::new("shop/report".parse()?, Json::null());
    /// job.wait_for_handler = true;
    /// let mut nightly = RecurringRequest::new("30 2 * * mon-fri", job);
    /// nightly.time_zone = Some("Europe/Berlin".to_owned());
    /// let put = client.put_recurring(&"nightly-report".parse()?, nightly).await?;
    /// assert_eq!(put.next_runs.len(), 5);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// Where the schedule, its zone or a field is not as it must be, the handler is not known or does not take the payload,
    /// or the storage does not answer.
    pub async fn put_recurring(
        &self,
        name: &RecurringName,
        request: RecurringRequest,
    ) -> Result<RecurringJob, ClientError> {
        let storage = &**self.storage();
        definition::check(&request, now(storage).await?)?;
        self.admission().admit(request.job.clone()).await?;
        for _ in 0..TRIES {
            let (known, now) = (storage.recurring(name).await?, now(storage).await?);
            let placed = definition::placed(name, request.clone(), None, known.as_ref(), now);
            match (placed.map_err(refused)?, known) {
                (None, Some(known)) => return shown(storage, &known).await,
                (None, None) => {}
                (Some(entry), known) => {
                    let expected = known.map(|known| known.revision);
                    if storage.put_recurring(entry.clone(), expected, Vec::new()).await?.is_some() {
                        return shown(storage, &entry).await;
                    }
                }
            }
        }
        Err(contended(name))
    }

    /// A recurring job.
    ///
    /// # Errors
    /// Where the storage does not answer, or what it keeps cannot be read.
    pub async fn recurring(&self, name: &RecurringName) -> Result<Option<RecurringJob>, ClientError> {
        match self.storage().recurring(name).await? {
            Some(entry) => shown(&**self.storage(), &entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// Recurring jobs by name. `cursor` is a page's `next`. One that cannot be read is left out; asked for by its name, it
    /// says why.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn recurring_jobs(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RecurringJob>, ClientError> {
        let page = self.storage().recurring_entries(cursor, limit).await?;
        let mut jobs = Vec::with_capacity(page.items.len());
        let asked: Vec<_> =
            page.items.iter().map(|entry| async move { (entry, shown(&**self.storage(), entry).await) }).collect();
        let mut answers = stream::iter(asked).buffered(AT_ONCE);
        while let Some((entry, answer)) = answers.next().await {
            match answer {
                Ok(job) => jobs.push(job),
                Err(ClientError::Storage(StorageError::Damaged(reason))) => {
                    tracing::error!(recurring = %entry.name, reason, "a recurring job is left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        drop(answers);
        Ok(Page::new(jobs, page.next))
    }

    /// Removes a recurring job; the jobs that it made stay. Gives whether there was one. One that a module brought is back
    /// when a version of the module is activated or a host starts.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn remove_recurring(&self, name: &RecurringName) -> Result<bool, ClientError> {
        Ok(self.storage().remove_recurring(name, None).await?)
    }

    /// Has a recurring job passed over until it is resumed. Nothing where there is none.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn pause_recurring(&self, name: &RecurringName) -> Result<Option<RecurringJob>, ClientError> {
        self.set_recurring_paused(name, true).await
    }

    /// Has a paused recurring job go on with its next instant: those that passed meanwhile are left out. Nothing where there
    /// is none.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn resume_recurring(&self, name: &RecurringName) -> Result<Option<RecurringJob>, ClientError> {
        self.set_recurring_paused(name, false).await
    }

    async fn set_recurring_paused(
        &self,
        name: &RecurringName,
        paused: bool,
    ) -> Result<Option<RecurringJob>, ClientError> {
        let storage = &**self.storage();
        for _ in 0..TRIES {
            let Some(mut entry) = storage.recurring(name).await? else { return Ok(None) };
            if entry.paused == paused {
                return shown(storage, &entry).await.map(Some);
            }
            let now = now(storage).await?;
            entry.paused = paused;
            if !paused && entry.next_at.is_some_and(|next_at| next_at < now) {
                let schedule = Definition::of(&entry)?.schedule().map_err(|error| unreadable(name, &error))?;
                entry.next_at = schedule.next_after(now);
            }
            let expected = Some(entry.revision);
            if storage.put_recurring(entry.clone(), expected, Vec::new()).await?.is_some() {
                return shown(storage, &entry).await.map(Some);
            }
        }
        Err(contended(name))
    }

    /// Enqueues a recurring job's job now, whether it is paused or not; when it is due next does not change. Nothing where
    /// there is no such recurring job. Where the job is unique and must not stand beside one that is there, that one is given as
    /// `existing`, unless its rule refuses it.
    ///
    /// # Errors
    /// Where its handler is not known or does not take the payload, another job is there that it is refused beside, or the
    /// storage does not answer.
    pub async fn trigger_recurring(&self, name: &RecurringName) -> Result<Option<Enqueued>, ClientError> {
        let storage = &**self.storage();
        for _ in 0..TRIES {
            let Some(mut entry) = storage.recurring(name).await? else { return Ok(None) };
            let mut definition = Definition::of(&entry)?;
            let job = self.admission().admit(definition.request.job.clone()).await?;
            let id = job.id;
            let rejects = job.conditions.unique.as_ref().is_some_and(|rule| rule.on_conflict == OnConflict::Reject);
            (entry.last_at, entry.last_job, entry.left_out) = (Some(now(storage).await?), Some(id), false);
            definition.refused = None;
            entry.definition = definition.write()?;
            let expected = Some(entry.revision);
            let Some(put) = storage.put_recurring(entry, expected, vec![job]).await? else { continue };
            return match put.jobs.first() {
                Some(there) if there.id != id && rejects => Err(AdmissionError::NotUnique { holder: there.id }.into()),
                Some(enqueued) => Ok(Some(*enqueued)),
                None => Ok(Some(Enqueued { id, existing: false, replaced: false })),
            };
        }
        Err(contended(name))
    }
}

/// The storage's clock, which is the one that counts.
async fn now(storage: &dyn Storage) -> Result<Timestamp, StorageError> {
    Ok(storage.due_recurring(1).await?.now)
}

fn refused(error: PlacingError) -> ClientError {
    match error {
        PlacingError::Schedule(error) => {
            AdmissionError::InvalidField { field: error.field, message: error.message }.into()
        }
        PlacingError::Storage(error) => error.into(),
    }
}

fn unreadable(name: &RecurringName, error: &dyn std::fmt::Display) -> StorageError {
    StorageError::Damaged(format!("the recurring job {name}: {error}"))
}

fn contended(name: &RecurringName) -> ClientError {
    let reason = format!("the recurring job {name} is being changed by others all the time: try again");
    StorageError::Unavailable(reason).into()
}

/// An entry as it is shown.
async fn shown(storage: &dyn Storage, entry: &RecurringEntry) -> Result<RecurringJob, ClientError> {
    let definition = Definition::of(entry)?;
    let next_at = entry.next_at.filter(|_| !entry.paused);
    let following = next_at.zip(definition.schedule().ok());
    let following =
        following.map(|(next_at, schedule)| schedule.after(next_at).take(NEXT_RUNS - 1).collect::<Vec<_>>());
    let last = match entry.last_at {
        Some(at) => Some(outcome(storage, at, entry, definition.refused).await),
        None => None,
    };
    Ok(RecurringJob {
        name: entry.name.clone(),
        request: definition.request,
        paused: entry.paused,
        module: definition.module,
        since: definition.since,
        next_runs: next_at.into_iter().chain(following.into_iter().flatten()).collect(),
        last,
    })
}

async fn outcome(
    storage: &dyn Storage,
    at: Timestamp,
    entry: &RecurringEntry,
    refused: Option<String>,
) -> RecurringOutcome {
    let summary: Option<JobSummary> = match entry.last_job {
        // The entry is what was asked for: a job that cannot be read is one without a state.
        Some(job) => storage.job(job).await.ok().flatten().map(|detail| detail.job),
        None => None,
    };
    let (state, failure) = summary.map(|job| (job.state, job.failure)).unzip();
    let left_out = entry.left_out;
    RecurringOutcome { at, job: entry.last_job, state, failure: failure.flatten(), refused, left_out }
}
