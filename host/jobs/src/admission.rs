//! What makes a job acceptable: the one place where a request is checked before it becomes a [`NewJob`].
//!
//! Whoever enqueues goes through here: the API, the clients and a guest's follow-up jobs. What a handler leaves open is
//! filled in here too. Nothing here stores a job.

mod catalog;
mod conditions;
mod expansion;
mod fields;
mod payload;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use uuid::Uuid;
use windlass_api::{HandlerPath, JobId, JobRequest, Mode, ProblemCode};

use crate::{
    Conditions, NewJob, Start,
    storage::{Refusal, Storage, StorageError},
};

use catalog::Catalog;
pub use catalog::{ActiveHandler, ActiveModule};
pub(crate) use fields::MAX_PRIORITY;
pub use fields::check_retry;
pub use payload::{check_payload, check_schema};

/// The longest payload, in bytes of JSON text: 256 KiB.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// The most jobs in one request.
pub const MAX_BULK_JOBS: usize = 10_000;

/// The most payload and header bytes in one request: 16 MiB.
pub const MAX_BULK_BYTES: usize = 16 * 1024 * 1024;

/// The most parents in one request, those of all its jobs together: a storage looks at each in one step, while others wait.
pub const MAX_BULK_PARENTS: usize = 50_000;

/// How long a module's active version is believed to be the active one. A deploy through the same process calls
/// [`Admission::invalidate`]; this bounds how late another process's deploy is seen.
const CATALOG_TTL: Duration = Duration::from_secs(1);

/// How many payloads are checked at once on threads of their own: a flood of slow ones must not take them all.
const SLOW_CHECKS: usize = 4;

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// No module's active version has the handler.
    #[error("no module has the handler `{handler}`{hint}")]
    UnknownHandler {
        /// The handler that was asked for.
        handler: HandlerPath,
        /// The nearest handlers that there are, in words.
        hint: String,
    },
    /// The payload does not match the handler's schema.
    #[error("the payload does not match the schema of `{handler}`: {violations}")]
    PayloadMismatch {
        /// The handler.
        handler: HandlerPath,
        /// The first violation, with a JSON pointer into the payload.
        violations: String,
    },
    /// A field is not as it must be.
    #[error("`{field}` {message}")]
    InvalidField {
        /// The field's name on the wire.
        field: &'static str,
        /// What was expected.
        message: String,
    },
    /// Something is over its limit; the text names both.
    #[error("{0}")]
    TooLarge(String),
    /// It is to be unique, and another job is there that it must not stand beside.
    #[error("job {holder} is there already, and this one is to be unique")]
    NotUnique {
        /// The other one.
        holder: JobId,
    },
    /// One job of several was not accepted, and so none was.
    #[error("job {position} of {total}: {error}")]
    OneOfMany {
        /// Which, from 1.
        position: usize,
        /// Of how many.
        total: usize,
        /// What is wrong with it.
        #[source]
        error: Box<Self>,
    },
    /// The storage did not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AdmissionError {
    /// The kind of problem that the API tells of.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        match self {
            Self::UnknownHandler { .. } => ProblemCode::UnknownHandler,
            Self::PayloadMismatch { .. } => ProblemCode::PayloadMismatch,
            Self::InvalidField { .. } => ProblemCode::InvalidField,
            Self::TooLarge(_) => ProblemCode::TooLarge,
            Self::NotUnique { .. } => ProblemCode::NotUnique,
            Self::OneOfMany { error, .. } => error.code(),
            Self::Storage(StorageError::Unavailable(_)) => ProblemCode::StorageUnavailable,
            Self::Storage(_) => ProblemCode::Internal,
        }
    }

    /// The job that stands in the way, where one does.
    #[must_use]
    pub fn holder(&self) -> Option<JobId> {
        match self {
            Self::NotUnique { holder } => Some(*holder),
            Self::OneOfMany { error, .. } => error.holder(),
            _ => None,
        }
    }

    /// What a storage says of a job of a call of so many.
    pub(crate) fn refused(position: usize, total: usize, refusal: Refusal) -> Self {
        let error = match refusal {
            Refusal::Conflict { holder } => Self::NotUnique { holder },
            Refusal::UnknownParent { parent } => Self::InvalidField {
                field: "after",
                message: format!(
                    "names job {parent}, which is not here, or no longer: enqueue a job after those that it continues"
                ),
            },
        };
        if total == 1 { error } else { Self::OneOfMany { position: position + 1, total, error: Box::new(error) } }
    }
}

/// Checks requests against the modules that a storage holds.
pub struct Admission {
    catalog: Catalog,
    slow_checks: Arc<Semaphore>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl Admission {
    /// Checks against the modules of this storage.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { catalog: Catalog::new(storage, CATALOG_TTL), slow_checks: Arc::new(Semaphore::new(SLOW_CHECKS)) }
    }

    /// Forgets what is known of the modules: the next request reads them anew. To be called when a version was activated.
    pub fn invalidate(&self) {
        self.catalog.invalidate();
    }

    /// A handler as its module's active version describes it; nothing where no active version has it.
    ///
    /// # Errors
    /// Where the storage does not answer.
    pub async fn handler(&self, path: &HandlerPath) -> Result<Option<ActiveHandler>, StorageError> {
        self.catalog.handler(path).await
    }

    /// Makes a job of a request.
    ///
    /// # Errors
    /// Where the handler is not known, the payload does not match its schema, a field is not as it must be, or the
    /// storage does not answer.
    pub async fn admit(&self, request: JobRequest) -> Result<NewJob, AdmissionError> {
        fields::check(&request)?;
        let conditions = conditions::of(&request)?;
        let handler = self.catalog.handler(&request.handler).await?;
        let Some(handler) = handler else {
            if request.wait_for_handler {
                return Ok(waiting(request, conditions));
            }
            let hint = self.catalog.nearest(&request.handler).await?;
            return Err(AdmissionError::UnknownHandler { handler: request.handler, hint });
        };
        if handler.is_fast_for(&request.payload) {
            handler.check_payload(&request.handler, &request.payload)?;
        } else {
            self.check_on_a_thread(&handler, &request).await?;
        }
        Ok(job(request, &handler, conditions))
    }

    /// Makes jobs of requests, all or none: at most 10,000, and 16 MiB of payloads and headers.
    ///
    /// # Errors
    /// As [`Self::admit`], naming the request; and where there are too many, or they are too large together.
    pub async fn admit_all(&self, requests: Vec<JobRequest>) -> Result<Vec<NewJob>, AdmissionError> {
        fields::check_bulk(&requests)?;
        let total = requests.len();
        let one_of_many = |at, error| AdmissionError::OneOfMany { position: at + 1, total, error: Box::new(error) };
        conditions::check_order(&requests).map_err(|(at, error)| one_of_many(at, error))?;
        let mut jobs = Vec::with_capacity(total);
        for (at, request) in requests.into_iter().enumerate() {
            jobs.push(self.admit(request).await.map_err(|error| one_of_many(at, error))?);
            if at % 32 == 31 {
                tokio::task::yield_now().await;
            }
        }
        Ok(jobs)
    }

    async fn check_on_a_thread(&self, handler: &ActiveHandler, request: &JobRequest) -> Result<(), AdmissionError> {
        let stopping = || AdmissionError::Storage(StorageError::Unavailable("the host is shutting down".to_owned()));
        let permit = Arc::clone(&self.slow_checks).acquire_owned().await.map_err(|_| stopping())?;
        let (handler, path, payload) = (handler.clone(), request.handler.clone(), request.payload.clone());
        let check = move || {
            // Held by the work and not by whoever waits for it, who may go away earlier.
            let _permit = permit;
            handler.check_payload(&path, &payload)
        };
        tokio::task::spawn_blocking(check).await.map_err(|_| stopping())?
    }
}

fn job(request: JobRequest, handler: &ActiveHandler, conditions: Conditions) -> NewJob {
    let spec = handler.spec();
    let start = start(&request).unwrap_or(Start::Now);
    NewJob {
        mode: spec.mode,
        queue: request.queue.or_else(|| spec.queue.clone()).unwrap_or_default(),
        priority: request.priority.or(spec.priority).map_or(fields::DEFAULT_PRIORITY, |it| it.min(MAX_PRIORITY)),
        max_attempts: request
            .max_attempts
            .or(spec.max_attempts)
            .map_or(fields::DEFAULT_ATTEMPTS, |it| it.clamp(1, fields::MAX_ATTEMPTS)),
        retry: request
            .retry
            .or_else(|| spec.retry.clone().filter(|policy| check_retry(policy).is_ok()))
            .unwrap_or_default(),
        id: request.id.unwrap_or_else(|| JobId(Uuid::now_v7())),
        module: request.handler.module,
        handler: request.handler.handler,
        start,
        payload: request.payload,
        headers: request.headers,
        tags: request.tags,
        timeout_ms: request.timeout_ms,
        conditions,
    }
}

/// A job whose handler is not there yet. Its mode is a guess that the handler's arrival puts right; one that may only
/// start later is scheduled like any other, and waits for its handler from then on.
fn waiting(request: JobRequest, conditions: Conditions) -> NewJob {
    let start = start(&request).unwrap_or(Start::WithHandler);
    NewJob {
        mode: Mode::Sync,
        queue: request.queue.unwrap_or_default(),
        priority: request.priority.unwrap_or(fields::DEFAULT_PRIORITY),
        max_attempts: request.max_attempts.unwrap_or(fields::DEFAULT_ATTEMPTS),
        retry: request.retry.unwrap_or_default(),
        id: request.id.unwrap_or_else(|| JobId(Uuid::now_v7())),
        module: request.handler.module,
        handler: request.handler.handler,
        start,
        payload: request.payload,
        headers: request.headers,
        tags: request.tags,
        timeout_ms: request.timeout_ms,
        conditions,
    }
}

fn start(request: &JobRequest) -> Option<Start> {
    request.run_at.map(Start::At).or(request.delay_ms.map(Start::After))
}
