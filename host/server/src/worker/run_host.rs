//! What a running guest reaches of its job: its log, progress, checkpoints and follow-up jobs.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use windlass_api::{JobDetail, JobId, JobRequest, Json, LogLine, ModuleName, Progress, RetryPolicy, Timestamp};
use windlass_jobs::{
    Clock as _, SystemClock,
    admission::AdmissionError,
    storage::{StorageError, Superseded},
};
use windlass_wasm::{
    RunHost, StopReason,
    contract::{self, CheckpointError, EnqueueError, Parent, ParentError},
};

use super::{Parts, running::Entry};
use crate::{http::trace, modules::manifest};

/// The host of one run.
pub(super) struct JobHost {
    parts: Parts,
    module: ModuleName,
    /// The jobs that it continues, and may ask about.
    parents: Vec<JobId>,
    entry: Arc<Entry>,
    /// The headers of the job that say which trace it belongs to.
    trace: BTreeMap<String, String>,
}

impl JobHost {
    pub(super) fn new(
        parts: Parts,
        module: ModuleName,
        parents: Vec<JobId>,
        entry: Arc<Entry>,
        trace: BTreeMap<String, String>,
    ) -> Self {
        Self { parts, module, parents, entry, trace }
    }

    fn not_kept(error: &StorageError) -> CheckpointError {
        match error {
            StorageError::TooLarge(limit) => CheckpointError::TooLarge(limit.clone()),
            _ => CheckpointError::Unavailable(error.to_string()),
        }
    }
}

#[async_trait]
impl RunHost for JobHost {
    fn log(&self, level: contract::Level, message: String, fields: Option<String>) {
        let (message, fields) = match fields.map(Json::from_text) {
            None => (message, None),
            Some(Ok(fields)) => (message, Some(fields)),
            Some(Err(_)) => (format!("{message} (the fields attached to this line were not JSON)"), None),
        };
        let line = LogLine {
            run: self.entry.fence.run,
            at: SystemClock.now(),
            level: manifest::level(level),
            message,
            fields,
        };
        self.entry.written().lines.push(line);
    }

    fn progress(&self, percent: f32, note: Option<String>) {
        self.entry.written().progress = Some(Progress { percent, note, at: SystemClock.now() });
    }

    async fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError> {
        let value = self.parts.storage.checkpoint(self.entry.fence.job, key).await;
        value.map(|value| value.map(|value| value.as_str().to_owned())).map_err(|error| Self::not_kept(&error))
    }

    async fn put_checkpoint(&self, key: &str, value: String) -> Result<(), CheckpointError> {
        let value = Json::from_text(value).map_err(|error| CheckpointError::InvalidJson(error.to_string()))?;
        match self.parts.storage.put_checkpoint(self.entry.fence, key, &value).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Superseded)) => {
                self.entry.stop.stop(StopReason::LeaseLost);
                Err(CheckpointError::Superseded)
            }
            Err(error) => Err(Self::not_kept(&error)),
        }
    }

    async fn parent(&self, id: &str) -> Result<Parent, ParentError> {
        let known = id.parse().ok().filter(|id| self.parents.contains(id));
        let Some(id) = known else {
            let id = id.chars().take(60).collect::<String>();
            return Err(ParentError::Unknown(format!("job {id} is no parent of this one")));
        };
        match self.parts.storage.job(id).await {
            Ok(Some(parent)) => Ok(told(parent)),
            Ok(None) => Err(ParentError::Unknown(format!("job {id} has been removed since it ended"))),
            Err(error) => Err(ParentError::Unavailable(error.to_string())),
        }
    }

    async fn enqueue(&self, request: contract::Request) -> Result<String, EnqueueError> {
        let mut request = to_request(request, &self.module)?;
        trace::continue_in(&mut request.headers, &self.trace);
        let job = self.parts.admission.admit(request).await.map_err(|error| refused(&error))?;
        let id = job.id;
        self.entry.written().follow_ups.push(job);
        Ok(id.to_string())
    }
}

fn told(parent: JobDetail) -> Parent {
    let JobDetail { job, result, .. } = parent;
    Parent {
        handler: format!("{}/{}", job.module, job.handler),
        state: job.state.to_string(),
        result: result.map(|result| result.as_str().to_owned()),
        failure: job.failure.map(|failure| contract::Failure {
            code: failure.code.unwrap_or_else(|| failure.cause.to_string()),
            message: failure.message,
            details: failure.details.map(|details| details.as_str().to_owned()),
        }),
    }
}

fn refused(error: &AdmissionError) -> EnqueueError {
    match error {
        AdmissionError::UnknownHandler { .. } => EnqueueError::UnknownHandler(error.to_string()),
        _ => EnqueueError::Invalid(error.to_string()),
    }
}

/// A job that a guest asks for, in the words of the API.
pub(crate) fn to_request(request: contract::Request, module: &ModuleName) -> Result<JobRequest, EnqueueError> {
    fn invalid(error: impl std::fmt::Display) -> EnqueueError {
        EnqueueError::Invalid(format!("{error}"))
    }
    let path = if request.handler.contains('/') { request.handler } else { format!("{module}/{}", request.handler) };
    let (run_at, delay_ms) = match request.start {
        contract::Start::Now => (None, None),
        contract::Start::After(delay_ms) => (None, Some(delay_ms)),
        contract::Start::At(instant) => (
            Some(i64::try_from(instant).map_or(Timestamp::MAX, |instant| Timestamp(instant).min(Timestamp::MAX))),
            None,
        ),
    };
    let extension =
        |name: &str| request.extensions.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let (after, unique) = (read("after", extension("after"))?, read("unique", extension("unique"))?);
    let (expires_at, limit_key) =
        (read("expires_at", extension("expires_at"))?, read("limit_key", extension("limit_key"))?);
    Ok(JobRequest {
        handler: path.parse().map_err(invalid)?,
        payload: Json::from_text(request.payload).map_err(|error| invalid(format!("payload: {error}")))?,
        id: None::<JobId>,
        queue: request.queue.map(|queue| queue.parse()).transpose().map_err(invalid)?,
        priority: request.priority,
        max_attempts: request.max_attempts,
        retry: request.retry.map(manifest::retry_policy) as Option<RetryPolicy>,
        timeout_ms: request.timeout,
        run_at,
        delay_ms,
        tags: request.tags,
        headers: request.headers.into_iter().collect(),
        wait_for_handler: false,
        after,
        unique,
        expires_at,
        limit_key,
    })
}

fn read<T: DeserializeOwned>(name: &str, value: Option<&str>) -> Result<Option<T>, EnqueueError> {
    let read = value.map(serde_json::from_str).transpose();
    read.map_err(|error| EnqueueError::Invalid(format!("extension `{name}`: {error}")))
}
