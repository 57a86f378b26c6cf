//! The context of a run: what a handler may ask about its job, and what it may tell the host meanwhile.

use std::{
    fmt,
    rc::Rc,
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    CheckpointError, EnqueueError, JobError, JobId, JobRequest, Level, Parent, ParentError, bindings::types as wit,
    error::Failure, host::Host, steps,
};

/// A handler's view of its job and its host.
///
/// In a component it speaks to the host; in a native test, a [`TestContext`](crate::testing::TestContext) makes one.
pub struct Context {
    id: JobId,
    parents: Vec<JobId>,
    job: wit::Job,
    host: Rc<dyn Host>,
    step_names: steps::Names,
}

/// The job.
impl Context {
    pub(crate) fn new(job: wit::Job, host: Rc<dyn Host>) -> Self {
        let parents = job.parents.iter().map(|id| JobId::new(id.as_str())).collect();
        Self { id: JobId::new(job.id.as_str()), parents, job, host, step_names: steps::Names::default() }
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    pub(crate) const fn step_names(&self) -> &steps::Names {
        &self.step_names
    }

    /// The job's id: the same for every attempt.
    #[must_use]
    pub const fn id(&self) -> &JobId {
        &self.id
    }

    /// The handler's name within its module.
    #[must_use]
    pub fn handler(&self) -> &str {
        &self.job.handler
    }

    /// The queue that the job was taken from.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.job.queue
    }

    /// The number of this claim of the job: strictly increasing, never given back.
    #[must_use]
    pub const fn run(&self) -> u32 {
        self.job.run
    }

    /// The counted try, from 1. A snooze or a host that shuts down gives it back.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// How many attempts the job has in all.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.job.max_attempts
    }

    /// When the job was made.
    #[must_use]
    pub fn enqueued_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.job.enqueued_at)
    }

    /// When the host stops this run, whatever it is doing.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        self.job.deadline.map(|at| SystemTime::UNIX_EPOCH + Duration::from_millis(at))
    }

    /// What the application attached to the job, each a name with a value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.job.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the application attached under this name, such as `traceparent`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(at, _)| *at == name).map(|(_, value)| value)
    }

    /// The jobs that this one continues, in the order in which they were given.
    #[must_use]
    pub fn parents(&self) -> &[JobId] {
        &self.parents
    }

    /// How one of them ended, with what it gave.
    ///
    /// ```
    /// use windlass_guest::testing::TestContext;
    ///
    /// let test = TestContext::new().with_parent_result("0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "shop/charge", 250);
    /// let ctx = test.context();
    /// let charged: u32 = ctx.parent(&ctx.parents()[0])?.read()?;
    /// assert_eq!(charged, 250);
    /// # Ok::<(), windlass_guest::JobError>(())
    /// ```
    ///
    /// # Errors
    /// Where it is no parent of this job, has been removed since, or the storage cannot be reached.
    pub fn parent(&self, id: &JobId) -> Result<Parent, ParentError> {
        self.host.parent(id)
    }

    /// The payload as the JSON text that the application sent.
    #[must_use]
    pub fn raw_payload(&self) -> &str {
        &self.job.payload
    }

    /// The payload.
    ///
    /// # Errors
    /// [`JobError::Fatal`] with the code `bad-payload` where it is not what was asked for: no further attempt would
    /// change that.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_str(&self.job.payload).map_err(|error| {
            JobError::Fatal(Failure {
                code: "bad-payload".into(),
                message: format!("failed to read the payload: {error}"),
                details: None,
            })
        })
    }
}

/// The run.
impl Context {
    /// Says how far the run is, in percent, and what it is doing. The host passes on at most two a second, and always
    /// the last one.
    pub fn progress(&self, percent: f32, note: &str) {
        self.host.progress(percent, (!note.is_empty()).then_some(note));
    }

    /// Whether somebody asked for the job to be cancelled. It can turn true only for a handler with a `cancel_grace`,
    /// since others are stopped at once.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.host.cancelled()
    }

    /// Ends a run that was cancelled: `ctx.check_cancelled()?` where nothing must be put in order first.
    ///
    /// # Errors
    /// [`JobError::Cancelled`] where somebody asked for the job to be cancelled.
    pub fn check_cancelled(&self) -> Result<(), JobError> {
        if self.cancelled() { Err(JobError::Cancelled) } else { Ok(()) }
    }

    /// How much of the run's time is left; absent where it has no limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.host.remaining()
    }

    /// What this attempt or an earlier one put under the key; absent where none did.
    ///
    /// # Errors
    /// Where the storage cannot be reached, what was kept is not of this type, or the key is one of those of
    /// [steps](Self::step), which begin with `windlass:step:`.
    pub fn checkpoint<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, CheckpointError> {
        plain(key)?;
        let Some(value) = self.host.checkpoint(key)? else { return Ok(None) };
        serde_json::from_str(&value)
            .map(Some)
            .map_err(|error| CheckpointError::InvalidJson(format!("`{key}`: {error}")))
    }

    /// Keeps a value under a key of 1 to 200 bytes, for this attempt and all later ones. When it returns, the value
    /// survives the host. For work that must not be done twice there is [`step`](Self::step).
    ///
    /// # Errors
    /// Where the value cannot be written as JSON, is too large, or was not kept, or the key is one of those of
    /// [steps](Self::step), which begin with `windlass:step:`.
    pub fn put_checkpoint(&self, key: &str, value: impl Serialize) -> Result<(), CheckpointError> {
        plain(key)?;
        let value =
            serde_json::to_string(&value).map_err(|error| CheckpointError::InvalidJson(format!("`{key}`: {error}")))?;
        self.host.put_checkpoint(key, &value)
    }

    /// Asks for a further job and gives its id. It is enqueued when this handler succeeds, in the same step that
    /// records its result; where the handler does not succeed, there never was such a job.
    ///
    /// # Errors
    /// Where the request is not as it must be, or a limit of the run is reached.
    pub fn enqueue(&self, request: JobRequest) -> Result<JobId, EnqueueError> {
        self.host.enqueue(request)
    }
}

/// Steps have keys that no plain checkpoint has, so that neither is taken for the other.
fn plain(key: &str) -> Result<(), CheckpointError> {
    if key.starts_with(steps::PREFIX) { Err(CheckpointError::ReservedKey(key.to_owned())) } else { Ok(()) }
}

/// What the operator tells the module.
impl Context {
    /// A plain setting of the module; absent where the operator set none.
    #[must_use]
    pub fn config(&self, key: &str) -> Option<String> {
        self.host.config(key)
    }

    /// A plain setting that the handler cannot do without.
    ///
    /// # Errors
    /// Where the operator set none; retried by `?`, since an operator may set it.
    pub fn require_config(&self, key: &str) -> Result<String, MissingSetting> {
        self.config(key).ok_or_else(|| MissingSetting { what: "config value", key: key.into() })
    }

    /// A secret granted to the module; absent where none is granted. Do not log it.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<String> {
        self.host.secret(key)
    }

    /// A secret that the handler cannot do without.
    ///
    /// # Errors
    /// Where none is granted; retried by `?`, since an operator may grant it.
    pub fn require_secret(&self, key: &str) -> Result<String, MissingSetting> {
        self.secret(key).ok_or_else(|| MissingSetting { what: "secret", key: key.into() })
    }
}

/// Log lines. They are kept with the job and shown beside it; past the log limit of the run, they are dropped.
impl Context {
    /// Writes a line.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.host.log(level, message.as_ref(), None);
    }

    /// Writes a line with fields: anything that serialises to a JSON object. Fields that cannot be written as JSON
    /// are left out.
    pub fn log_with(&self, level: Level, message: impl AsRef<str>, fields: impl Serialize) {
        let fields = serde_json::to_string(&fields).ok();
        self.host.log(level, message.as_ref(), fields.as_deref());
    }

    /// Writes a line at [`Level::Trace`].
    pub fn trace(&self, message: impl AsRef<str>) {
        self.log(Level::Trace, message);
    }

    /// Writes a line at [`Level::Debug`].
    pub fn debug(&self, message: impl AsRef<str>) {
        self.log(Level::Debug, message);
    }

    /// Writes a line at [`Level::Info`].
    pub fn info(&self, message: impl AsRef<str>) {
        self.log(Level::Info, message);
    }

    /// Writes a line at [`Level::Warn`].
    pub fn warn(&self, message: impl AsRef<str>) {
        self.log(Level::Warn, message);
    }

    /// Writes a line at [`Level::Error`].
    pub fn error(&self, message: impl AsRef<str>) {
        self.log(Level::Error, message);
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("id", &self.id).field("attempt", &self.job.attempt).finish_non_exhaustive()
    }
}

/// A setting that a handler needs and the operator has not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSetting {
    what: &'static str,
    key: String,
}

impl fmt::Display for MissingSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} `{}` is missing: ask the operator to grant it to this module", self.what, self.key)
    }
}

impl std::error::Error for MissingSetting {}
