//! What an application enqueues with, and looks after its jobs.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep_until, timeout_at},
};
use windlass_api::{
    After, ContinueOn, CounterQuery, CounterRow, Counts, Enqueued, FilteredCount, JobDetail, JobFilter, JobId,
    JobRequest, JobSummary, LimitRule, LimitTarget, LimitView, LogLine, ModuleView, Page, Problem, ProblemCode,
    QueueName, QueueView, Relations, RequeueRequest, ServerView, Timestamp,
};

use crate::{
    admission::{Admission, AdmissionError},
    storage::{Commanded, Removal, Storage, StorageError},
};

/// How often a job is looked at that somebody waits for, where nothing tells of its end: a twentieth of a second is
/// short for people and cheap for a storage.
const WAIT_POLL: Duration = Duration::from_millis(50);

/// Why a client did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The job was not accepted.
    #[error(transparent)]
    Admission(AdmissionError),
    /// The storage did not do it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<AdmissionError> for ClientError {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Storage(error) => Self::Storage(error),
            error => Self::Admission(error),
        }
    }
}

impl ClientError {
    /// What an application answers whoever asked for it: what is wrong with a job is said as it is; of a storage only whether it
    /// may be tried again, since its words are for those who run it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Admission(error) => Problem { job: error.holder(), ..Problem::new(error.code(), error.to_string()) },
            Self::Storage(StorageError::Unavailable(_)) => {
                Problem::new(ProblemCode::StorageUnavailable, "the job cannot be kept now: try again")
            }
            Self::Storage(_) => Problem::new(ProblemCode::Internal, "the job cannot be kept; the log tells why"),
        }
    }
}

/// Tells what a storage refused as what the request lacked.
fn refused(error: StorageError, total: usize) -> ClientError {
    match error {
        StorageError::Refused { position, refusal } => {
            ClientError::Admission(AdmissionError::refused(position, total, refusal))
        }
        error => ClientError::Storage(error),
    }
}

/// Enqueues jobs and looks after them, over any storage. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use windlass_jobs::{
///     Client, SystemClock,
///     api::{JobRequest, Json, State},
///     storage::sqlite::SqliteStorage,
/// };
///
/// let client = Client::new(SqliteStorage::in_memory(Arc::new(SystemClock))?);
///
/// // No module has been deployed here yet: the job waits for its handler.
/// let mut request = JobRequest::new("images/thumbnail".parse()?, Json::write(&["a.jpg"])?);
/// request.wait_for_handler = true;
/// let job = client.enqueue(request.clone()).await?;
///
/// let stored = client.get(job.id).await?.expect("it was stored just now");
/// assert_eq!(stored.job.state, State::Awaiting);
/// assert_eq!(stored.payload.as_str(), r#"["a.jpg"]"#);
///
/// // Without that wish, a handler that nobody knows is refused.
/// request.wait_for_handler = false;
/// let refused = client.enqueue(request).await.unwrap_err();
/// assert_eq!(refused.to_string(), "no module has the handler `images/thumbnail`");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Client {
    storage: Arc<dyn Storage>,
    admission: Arc<Admission>,
    by: Arc<str>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of this storage. Its commands stand in the history as those of `client`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let admission = Arc::new(Admission::new(Arc::clone(&storage)));
        Self { storage, admission, by: "client".into() }
    }

    /// The same client, its commands standing in the history as somebody else's.
    #[must_use]
    pub fn acting_as(&self, by: &str) -> Self {
        Self { by: by.into(), ..self.clone() }
    }

    /// What checks this client's requests.
    #[must_use]
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// The storage.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Enqueues a job. With an id of the caller's own, asking twice makes one job.
    ///
    /// # Errors
    /// Where the job is not acceptable, or the storage does not answer.
    pub async fn enqueue(&self, request: JobRequest) -> Result<Enqueued, ClientError> {
        let job = self.admission.admit(request).await?;
        let id = job.id;
        let enqueued = self.storage.enqueue(vec![job], &self.by).await.map_err(|error| refused(error, 1))?;
        Ok(enqueued.into_iter().next().unwrap_or(Enqueued { id, existing: false, replaced: false }))
    }

    /// Enqueues jobs, all or none: at most 10,000, and 16 MiB.
    ///
    /// # Errors
    /// Where one of them is not acceptable, or the storage does not answer.
    pub async fn enqueue_many(&self, requests: Vec<JobRequest>) -> Result<Vec<Enqueued>, ClientError> {
        let jobs = self.admission.admit_all(requests).await?;
        let total = jobs.len();
        self.storage.enqueue(jobs, &self.by).await.map_err(|error| refused(error, total))
    }

    /// Enqueues a job in a transaction of the application's own on the database that the storage is in: the job is there
    /// when the transaction is committed, and never where it is rolled back.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use windlass_jobs::{
    ///     Client,
    ///     api::{JobRequest, Json},
    ///     storage::postgres::{PostgresOptions, PostgresStorage},
    /// };
    ///
    /// let url = "postgres://shop@localhost/shop";
    /// let client = Client::new(PostgresStorage::connect(url, PostgresOptions::default()).await?);
    /// let pool = sqlx::PgPool::connect(url).await?;
    ///
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("INSERT INTO orders (id) VALUES ($1)").bind(7).execute(&mut *transaction).await?;
    /// let bill = JobRequest::new("shop/bill".parse()?, Json::write(&7)?);
    /// client.enqueue_in(&mut transaction, bill).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the job is not acceptable, or the storage is not PostgreSQL or does not answer. Roll the transaction back then.
    #[cfg(feature = "postgres")]
    pub async fn enqueue_in(
        &self,
        connection: &mut sqlx::PgConnection,
        request: JobRequest,
    ) -> Result<Enqueued, ClientError> {
        let job = self.admission.admit(request).await?;
        let id = job.id;
        let enqueued = self.postgres()?.enqueue_in(connection, &[job], &self.by).await;
        let enqueued = enqueued.map_err(|error| refused(error, 1))?;
        Ok(enqueued.into_iter().next().unwrap_or(Enqueued { id, existing: false, replaced: false }))
    }

    /// Enqueues jobs in a transaction of the application's own, as [`Self::enqueue_in`] does: at most 10,000, and 16 MiB.
    ///
    /// # Errors
    /// Where one of them is not acceptable, or the storage is not PostgreSQL or does not answer. Roll the transaction back
    /// then.
    #[cfg(feature = "postgres")]
    pub async fn enqueue_many_in(
        &self,
        connection: &mut sqlx::PgConnection,
        requests: Vec<JobRequest>,
    ) -> Result<Vec<Enqueued>, ClientError> {
        let jobs = self.admission.admit_all(requests).await?;
        let enqueued = self.postgres()?.enqueue_in(connection, &jobs, &self.by).await;
        enqueued.map_err(|error| refused(error, jobs.len()))
    }

    #[cfg(feature = "postgres")]
    fn postgres(&self) -> Result<&crate::storage::postgres::PostgresStorage, StorageError> {
        let why = "jobs can only be enqueued within a transaction where the storage is PostgreSQL: use `enqueue`";
        self.storage.as_postgres().ok_or_else(|| StorageError::Unusable(why.to_owned()))
    }

    /// Enqueues a job that is run when another one has succeeded. [`JobRequest::after`] says more: several parents, and what
    /// happens where one fails.
    ///
    /// # Errors
    /// As [`Self::enqueue`], and where there is no such parent.
    pub async fn continue_with(&self, parent: JobId, request: JobRequest) -> Result<Enqueued, ClientError> {
        let after = Some(After { jobs: vec![parent], on: ContinueOn::Success });
        self.enqueue(JobRequest { after, ..request }).await
    }

    /// Enqueues a job that is not started before an instant.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    pub async fn schedule(&self, at: Timestamp, request: JobRequest) -> Result<Enqueued, ClientError> {
        self.enqueue(JobRequest { run_at: Some(at), ..request }).await
    }

    /// The jobs that a job continues, and those that continue it, at most `limit` (1 to 1,000) of these; `cursor` is the `next` of
    /// the page of children before. Nothing where there is no such job.
    ///
    /// # Errors
    /// Where the cursor comes from elsewhere, or the storage does not answer.
    pub async fn relations(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Option<Relations>, ClientError> {
        Ok(self.storage.relations(job, cursor, limit).await?)
    }

    /// All limits, with how many jobs run under each and wait for room.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn limits(&self) -> Result<Vec<LimitView>, ClientError> {
        Ok(self.storage.limits().await?)
    }

    /// Puts a limit, or another in its place. It holds from now on, over all hosts.
    ///
    /// # Errors
    /// Where the limit could not be kept, there are too many, or the storage does not answer.
    pub async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Result<(), ClientError> {
        rule.check().map_err(|message| AdmissionError::InvalidField {
            field: "limit",
            message: format!("{target}: {message}"),
        })?;
        Ok(self.storage.put_limit(target, rule).await?)
    }

    /// Removes a limit; gives whether it was there.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn remove_limit(&self, target: &LimitTarget) -> Result<bool, ClientError> {
        Ok(self.storage.remove_limit(target).await?)
    }

    /// One job with all that is known of it.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn get(&self, job: JobId) -> Result<Option<JobDetail>, ClientError> {
        Ok(self.storage.job(job).await?)
    }

    /// Waits until a job has ended, no longer than `timeout`, and gives it as it is then: its state tells whether it
    /// has ended. Nothing where there is no such job.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn wait(&self, job: JobId, timeout: Duration) -> Result<Option<JobDetail>, ClientError> {
        let deadline = Instant::now() + timeout.min(Duration::from_secs(365 * 24 * 3_600));
        // Listening begins before the first look, so that no end falls in between.
        let mut ends = self.storage.wake().and_then(crate::storage::Wake::ends);
        loop {
            let detail = self.get(job).await?;
            let ended = detail.as_ref().is_none_or(|detail| detail.job.state.is_final());
            if ended || Instant::now() >= deadline {
                return Ok(detail);
            }
            let next_look = deadline.min(Instant::now() + WAIT_POLL);
            match &mut ends {
                Some(listening) => {
                    if end_of(job, listening, next_look).await == Listened::Closed {
                        ends = None;
                    }
                }
                None => sleep_until(next_look).await,
            }
        }
    }

    /// Jobs that pass the filter, newest first. `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn list(
        &self,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobSummary>, ClientError> {
        Ok(self.storage.jobs(filter, cursor, limit).await?)
    }

    /// How many jobs pass the filter: counted to 100,000, and for 50 ms where no index answers it.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn count(&self, filter: &JobFilter) -> Result<FilteredCount, ClientError> {
        Ok(self.storage.count(filter).await?)
    }

    /// What happened, by span and handler, oldest first; no more than the newest 3,000 spans.
    ///
    /// # Errors
    /// Where the storage does not answer, or the answer would have more than 100,000 rows.
    pub async fn counters(&self, query: &CounterQuery) -> Result<Vec<CounterRow>, ClientError> {
        Ok(self.storage.counters(query).await?)
    }

    /// How many jobs there are, by state.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn counts(&self) -> Result<Counts, ClientError> {
        Ok(self.storage.counts().await?)
    }

    /// What a job's runs logged, oldest first. `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn logs(&self, job: JobId, cursor: Option<&str>, limit: usize) -> Result<Page<LogLine>, ClientError> {
        Ok(self.storage.logs(job, cursor, limit).await?)
    }

    /// Cancels a job: one that runs is stopped first, one that waits is deleted at once, one that has ended is refused.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn cancel(&self, job: JobId) -> Result<Commanded, ClientError> {
        Ok(self.storage.cancel(job, &self.by).await?)
    }

    /// Deletes a job: as [`Self::cancel`], but one that has succeeded or failed is deleted too.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn delete(&self, job: JobId) -> Result<Commanded, ClientError> {
        Ok(self.storage.delete(job, &self.by).await?)
    }

    /// Deletes or cancels jobs, all in one step: gives what came of each, in their order. At most
    /// [`MAX_REMOVED_AT_ONCE`](crate::storage::MAX_REMOVED_AT_ONCE) should be given.
    ///
    /// # Errors
    /// Where the storage does not answer, or one of the jobs cannot be read: then nothing was done to any.
    pub async fn remove_all(&self, jobs: Vec<JobId>, how: Removal) -> Result<Vec<Commanded>, ClientError> {
        Ok(self.storage.remove_all(jobs, how, &self.by).await?)
    }

    /// Enqueues a job anew, with its attempts counted from the start.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn requeue(&self, job: JobId, how: RequeueRequest) -> Result<Commanded, ClientError> {
        Ok(self.storage.requeue(job, how, &self.by).await?)
    }

    /// All modules by name.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn modules(&self) -> Result<Vec<ModuleView>, ClientError> {
        Ok(self.storage.modules().await?)
    }

    /// All queues that hold jobs or are paused.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn queues(&self) -> Result<Vec<QueueView>, ClientError> {
        Ok(self.storage.queues().await?)
    }

    /// Stops taking jobs from a queue; those that run go on.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn pause(&self, queue: &QueueName) -> Result<(), ClientError> {
        Ok(self.storage.set_paused(queue, true).await?)
    }

    /// Takes jobs from a queue again.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn resume(&self, queue: &QueueName) -> Result<(), ClientError> {
        Ok(self.storage.set_paused(queue, false).await?)
    }

    /// The servers that are known.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn servers(&self) -> Result<Vec<ServerView>, ClientError> {
        Ok(self.storage.servers().await?)
    }
}

#[derive(PartialEq, Eq)]
enum Listened {
    LookAgain,
    Closed,
}

/// Waits for the end of one job among all that end, no longer than `until`.
async fn end_of(job: JobId, ends: &mut broadcast::Receiver<JobId>, until: Instant) -> Listened {
    loop {
        match timeout_at(until, ends.recv()).await {
            Ok(Ok(ended)) if ended != job => {}
            Ok(Err(RecvError::Closed)) => return Listened::Closed,
            Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => return Listened::LookAgain,
        }
    }
}
