//! Further jobs, asked for by a handler.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    ContinueOn, Unique,
    bindings::{queue as wit, types},
    conditions::Conditions,
    milliseconds,
};

/// Names a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(Box<str>);

impl JobId {
    pub(crate) fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text, a UUID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How long to wait before an attempt that follows a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryPolicy {
    /// The same delay each time.
    Fixed(Duration),
    /// This delay times the number of the attempt that failed.
    Linear(Duration),
    /// Doubling from a base up to a bound, drawn at random around its value so that retries spread out.
    Exponential {
        /// The delay after the first attempt.
        base: Duration,
        /// No delay is longer.
        max: Duration,
    },
    /// One delay per failed attempt; the last one repeats.
    Delays(Vec<Duration>),
}

impl RetryPolicy {
    fn to_wit(&self) -> types::RetryPolicy {
        match self {
            Self::Fixed(delay) => types::RetryPolicy::Fixed(milliseconds(*delay)),
            Self::Linear(delay) => types::RetryPolicy::Linear(milliseconds(*delay)),
            Self::Exponential { base, max } => types::RetryPolicy::Exponential(types::Exponential {
                base: milliseconds(*base),
                max: milliseconds(*max),
            }),
            Self::Delays(delays) => types::RetryPolicy::Delays(delays.iter().copied().map(milliseconds).collect()),
        }
    }
}

/// When a job may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As soon as there is a slot.
    #[default]
    Now,
    /// This long after the handler that asked for it has succeeded.
    After(Duration),
    /// At this instant.
    At(SystemTime),
}

/// A job to be made. Everything but the handler and its payload may be left to the handler's own settings.
///
/// ```
/// use std::time::Duration;
/// use windlass_guest::{JobRequest, testing::TestContext};
///
/// let test = TestContext::new();
/// let request = JobRequest::new("reports/publish", serde_json::json!({ "report": 7 }))
///     .queue("slow")
///     .after(Duration::from_secs(60));
/// let id = test.context().enqueue(request)?;
/// assert_eq!(test.enqueued()[0].id, id);
/// # Ok::<(), windlass_guest::EnqueueError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a request does nothing until it is handed to `Context::enqueue`"]
pub struct JobRequest {
    pub(crate) handler: String,
    /// A payload that cannot be written as JSON is reported where the request is handed over.
    pub(crate) payload: Result<serde_json::Value, String>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<u8>,
    pub(crate) start: Start,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tags: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) conditions: Conditions,
}

impl JobRequest {
    /// A job for a handler, `module/handler` or the name of a handler of the same module, with what it is to work on.
    pub fn new(handler: impl Into<String>, payload: impl Serialize) -> Self {
        Self {
            handler: handler.into(),
            payload: serde_json::to_value(payload).map_err(|error| error.to_string()),
            queue: None,
            priority: None,
            start: Start::Now,
            max_attempts: None,
            retry: None,
            timeout: None,
            tags: Vec::new(),
            headers: Vec::new(),
            conditions: Conditions::default(),
        }
    }

    /// The queue, instead of the handler's.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// 0, the first to be taken, to 9.
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Not before this long after the handler that asks has succeeded.
    pub const fn after(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// Not before this instant.
    pub const fn at(mut self, instant: SystemTime) -> Self {
        self.start = Start::At(instant);
        self
    }

    /// How many attempts it has in all, at least 1.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// The delay before an attempt that follows a failure.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// How long a run may take.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What to find it by; may be called several times.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// What to attach to it; may be called several times.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A job that it continues: it waits for that one. May be called several times, with the id of the job that asks, or of one
    /// that it asked for before, too; a delay then counts from when all of them are done.
    pub fn continues(mut self, parent: &JobId) -> Self {
        self.conditions.parents.push(parent.clone());
        self
    }

    /// How the jobs must have ended that it continues; all must have succeeded where this is not said.
    pub const fn continues_on(mut self, on: ContinueOn) -> Self {
        self.conditions.on = on;
        self
    }

    /// What it must be the only one of.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.conditions.unique = Some(unique);
        self
    }

    /// If it has not been started by then, it is deleted.
    pub const fn expires_at(mut self, instant: SystemTime) -> Self {
        self.conditions.expires_at = Some(instant);
        self
    }

    /// What it counts under where an operator limits keys, such as a tenant: 1 to 200 bytes.
    pub fn limit_key(mut self, key: impl Into<String>) -> Self {
        self.conditions.limit_key = Some(key.into());
        self
    }

    /// The handler that it is for.
    #[must_use]
    pub fn handler(&self) -> &str {
        &self.handler
    }

    /// When it may start.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only a component hands requests to a host"))]
    pub(crate) fn into_wit(self) -> Result<wit::Request, EnqueueError> {
        Ok(wit::Request {
            payload: self.payload.map_err(EnqueueError::unserialisable)?.to_string(),
            handler: self.handler,
            queue: self.queue,
            priority: self.priority,
            start: match self.start {
                Start::Now => wit::Start::Now,
                Start::After(delay) => wit::Start::After(milliseconds(delay)),
                Start::At(instant) => {
                    let since_epoch = instant.duration_since(SystemTime::UNIX_EPOCH);
                    wit::Start::At(since_epoch.map_or(0, milliseconds))
                }
            },
            max_attempts: self.max_attempts,
            retry: self.retry.as_ref().map(RetryPolicy::to_wit),
            timeout: self.timeout.map(milliseconds),
            tags: self.tags,
            headers: self.headers,
            extensions: self.conditions.extensions(),
        })
    }
}

/// Why a job was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnqueueError {
    /// No module has this handler; the text names it.
    UnknownHandler(String),
    /// A field is not as it must be; the text names it and what is allowed.
    Invalid(String),
    /// The run has enqueued as many jobs, or as many bytes of them, as it may; the text gives the limit.
    LimitReached(String),
}

impl EnqueueError {
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    pub(crate) fn unserialisable(error: String) -> Self {
        Self::Invalid(format!("the payload cannot be written as JSON: {error}"))
    }
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHandler(text) => write!(f, "failed to enqueue a job: no such handler: {text}"),
            Self::Invalid(text) => write!(f, "failed to enqueue a job: invalid request: {text}"),
            Self::LimitReached(text) => write!(f, "failed to enqueue a job: limit reached: {text}"),
        }
    }
}

impl std::error::Error for EnqueueError {}
