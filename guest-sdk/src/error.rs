//! What a handler says when it has no result.

use std::{any::Any, fmt, time::Duration};

use serde::Serialize;

use crate::{CheckpointError, EnqueueError, MissingSetting, ParentError, bindings::types as wit, http, milliseconds};

/// Why a run did not succeed, in words that help whoever reads them in the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short, stable name for programs to tell failures apart by, such as `card-declined`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Anything else worth keeping.
    pub details: Option<serde_json::Value>,
}

/// What a handler returns instead of a result.
///
/// Any [`std::error::Error`] becomes a [`JobError::Retry`] by `?`, with the code `error` and the messages of the error
/// and its sources; those of this crate bring codes of their own. This type is no [`std::error::Error`] itself, for
/// that conversion's sake.
///
/// ```
/// use windlass_guest::JobError;
///
/// fn charge(amount: i64) -> Result<(), JobError> {
///     if amount < 0 {
///         return Err(JobError::fatal("negative-amount", format!("cannot charge {amount}")));
///     }
///     let _rate: f64 = std::fs::read_to_string("/rates/today")?.trim().parse()?;
///     Ok(())
/// }
///
/// assert_eq!(charge(-1).unwrap_err().failure().unwrap().code, "negative-amount");
/// assert!(matches!(charge(1), Err(JobError::Retry(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobError {
    /// It went wrong and may go right later: try again after the delay of the job's retry policy.
    Retry(Failure),
    /// It went wrong and may go right later: try again after this delay. The attempt counts.
    RetryAfter(Duration, Failure),
    /// Nothing went wrong, it is only too early: run again after this delay. The attempt does not count.
    Snooze(Duration),
    /// It went wrong and always will: no further attempt.
    Fatal(Failure),
    /// The handler saw that its job was cancelled and has put its things in order.
    Cancelled,
}

impl JobError {
    /// It went wrong and may go right later: try again after the delay of the job's retry policy.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry(Failure::new(code, message))
    }

    /// It went wrong and may go right after this delay. The attempt counts.
    pub fn retry_after(delay: Duration, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::RetryAfter(delay, Failure::new(code, message))
    }

    /// It went wrong and always will: no further attempt.
    pub fn fatal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fatal(Failure::new(code, message))
    }

    /// It is only too early: run again after this delay. The attempt does not count.
    #[must_use]
    pub const fn snooze(delay: Duration) -> Self {
        Self::Snooze(delay)
    }

    /// The job was cancelled, and the handler has put its things in order.
    #[must_use]
    pub const fn cancelled() -> Self {
        Self::Cancelled
    }

    /// Attaches details, shown beside the failure. Those that cannot be written as JSON, and those of a snooze or a
    /// cancelled job, are left out.
    #[must_use]
    pub fn with_details(mut self, details: impl Serialize) -> Self {
        if let Self::Retry(failure) | Self::RetryAfter(_, failure) | Self::Fatal(failure) = &mut self {
            failure.details = serde_json::to_value(details).ok();
        }
        self
    }

    /// What went wrong; absent for a snooze and for a cancelled job.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Retry(failure) | Self::RetryAfter(_, failure) | Self::Fatal(failure) => Some(failure),
            Self::Snooze(_) | Self::Cancelled => None,
        }
    }

    pub(crate) fn into_wit(self) -> wit::JobError {
        match self {
            Self::Retry(failure) => wit::JobError::Retry(failure.into_wit()),
            Self::RetryAfter(delay, failure) => wit::JobError::RetryAfter((milliseconds(delay), failure.into_wit())),
            Self::Snooze(delay) => wit::JobError::Snooze(milliseconds(delay)),
            Self::Fatal(failure) => wit::JobError::Fatal(failure.into_wit()),
            Self::Cancelled => wit::JobError::Cancelled,
        }
    }
}

impl Failure {
    fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: None }
    }

    fn into_wit(self) -> wit::Failure {
        wit::Failure {
            code: self.code,
            message: self.message,
            details: self.details.map(|details| details.to_string()),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(failure) => write!(f, "{failure}, to be retried"),
            Self::RetryAfter(delay, failure) => write!(f, "{failure}, to be retried after {delay:?}"),
            Self::Snooze(delay) => write!(f, "too early, to be run again after {delay:?}"),
            Self::Fatal(failure) => write!(f, "{failure}, for good"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl<E: std::error::Error + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        classify(&error)
    }
}

/// Gives each error of this crate its own code, and tells which of them no further attempt can mend. A conversion for
/// each type would clash with the one for all errors.
fn classify<E: std::error::Error + 'static>(error: &E) -> JobError {
    let message = chain(error);
    let any: &dyn Any = error;
    if let Some(error) = any.downcast_ref::<http::Error>() {
        return JobError::retry(error.code(), message);
    }
    match any.downcast_ref() {
        Some(EnqueueError::UnknownHandler(_)) => return JobError::fatal("unknown-handler", message),
        Some(EnqueueError::Invalid(_)) => return JobError::fatal("invalid-request", message),
        Some(EnqueueError::LimitReached(_)) => return JobError::fatal("too-many-jobs", message),
        None => {}
    }
    match any.downcast_ref() {
        Some(CheckpointError::InvalidJson(_) | CheckpointError::TooLarge(_) | CheckpointError::ReservedKey(_)) => {
            return JobError::fatal("bad-checkpoint", message);
        }
        Some(_) => return JobError::retry("checkpoint", message),
        None => {}
    }
    match any.downcast_ref() {
        Some(ParentError::Unknown(_)) => return JobError::fatal("unknown-parent", message),
        Some(ParentError::Unavailable(_)) => return JobError::retry("parent", message),
        None => {}
    }
    if any.is::<MissingSetting>() {
        return JobError::retry("missing-setting", message);
    }
    JobError::retry("error", message)
}

/// The messages of an error and of its sources, without those that only repeat what was said.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !message.ends_with(&cause) {
            message = format!("{message}: {cause}");
        }
        source = error.source();
    }
    message
}

/// Turns any error that can be shown into a [`JobError`] with a code, also those that are no [`std::error::Error`].
pub trait ResultExt<T> {
    /// May go right later.
    ///
    /// # Errors
    /// [`JobError::Retry`] with this code and the error's message.
    fn or_retry(self, code: &str) -> Result<T, JobError>;

    /// Will never go right.
    ///
    /// # Errors
    /// [`JobError::Fatal`] with this code and the error's message.
    fn or_fatal(self, code: &str) -> Result<T, JobError>;
}

impl<T, E: fmt::Display> ResultExt<T> for Result<T, E> {
    fn or_retry(self, code: &str) -> Result<T, JobError> {
        self.map_err(|error| JobError::retry(code, error.to_string()))
    }

    fn or_fatal(self, code: &str) -> Result<T, JobError> {
        self.map_err(|error| JobError::fatal(code, error.to_string()))
    }
}
