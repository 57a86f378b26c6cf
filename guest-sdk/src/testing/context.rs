//! The test's own side of a context.

use std::{rc::Rc, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::{Enqueued, LogLine, Progress, RecordedStep, Recorder, responder::Responder};
use crate::{
    Context, JobId, Parent,
    bindings::types as wit,
    http::{Error, Request, Response},
    steps,
};

/// Makes contexts for handlers under test, and tells afterwards what they did.
///
/// It stands for one job: all contexts that it makes share logs, checkpoints and the rest, as attempts of a job do.
#[derive(Debug)]
pub struct TestContext {
    job: wit::Job,
    recorder: Rc<Recorder>,
    responder: Option<Responder>,
}

impl Default for TestContext {
    fn default() -> Self {
        Self::new()
    }
}

/// What the handler is to find.
impl TestContext {
    /// The first attempt of ten of a job with the payload `null`, in the queue `default`, without a deadline.
    #[must_use]
    pub fn new() -> Self {
        let job = wit::Job {
            id: "00000000-0000-7000-8000-000000000000".into(),
            handler: "test".into(),
            queue: "default".into(),
            run: 1,
            attempt: 1,
            max_attempts: 10,
            payload: "null".into(),
            enqueued_at: 0,
            deadline: None,
            headers: Vec::new(),
            parents: Vec::new(),
        };
        Self { job, recorder: Rc::default(), responder: None }
    }

    /// The job's id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.job.id = id.into();
        self
    }

    /// The attempt, from 1; the run has the same number.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.job.attempt = attempt;
        self.job.run = attempt;
        self
    }

    /// How many attempts there are in all.
    #[must_use]
    pub const fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.job.max_attempts = attempts;
        self
    }

    /// The payload that [`Context::payload`] gives. [`run`](super::run) and a direct call bring their own.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Serialize) -> Self {
        self.set_payload(&serde_json::to_value(payload).unwrap_or_default());
        self
    }

    /// What the application attached to the job; may be called several times.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.job.headers.push((name.into(), value.into()));
        self
    }

    /// A job that this one continues; may be called several times.
    #[must_use]
    pub fn with_parent(mut self, id: impl Into<String>) -> Self {
        self.job.parents.push(id.into());
        self
    }

    /// A job that this one continues and that succeeded, with where it went and what it gave; may be called several times.
    #[must_use]
    pub fn with_parent_result(self, id: &str, handler: &str, result: impl Serialize) -> Self {
        let result = serde_json::to_value(result).unwrap_or_default().to_string();
        let parent = Parent {
            id: JobId::new(id),
            handler: handler.to_owned(),
            state: "succeeded".to_owned(),
            result: Some(result),
            failure: None,
        };
        self.with_parent_told(parent)
    }

    /// A job that this one continues, with how it ended; may be called several times.
    #[must_use]
    pub fn with_parent_told(self, parent: Parent) -> Self {
        let id = parent.id.to_string();
        self.recorder.parents.borrow_mut().push(parent);
        self.with_parent(id)
    }

    /// A plain setting of the module.
    #[must_use]
    pub fn with_config(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.recorder.config.borrow_mut().insert(key.into(), value.into());
        self
    }

    /// A secret granted to the module.
    #[must_use]
    pub fn with_secret(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.recorder.secrets.borrow_mut().insert(key.into(), value.into());
        self
    }

    /// What an earlier attempt put under a key.
    #[must_use]
    pub fn with_checkpoint(self, key: impl Into<String>, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.recorder.keep(key.into(), value);
        self
    }

    /// A step that an earlier attempt recorded, with what it returned: the handler is not to do it again.
    #[must_use]
    pub fn with_step(self, name: &str, result: impl Serialize) -> Self {
        self.recorder.keep(format!("{}{name}", steps::PREFIX), serde_json::to_value(result).unwrap_or_default());
        self
    }

    /// How much time is left.
    #[must_use]
    pub fn with_remaining(self, remaining: Duration) -> Self {
        self.recorder.remaining.set(Some(remaining));
        self
    }

    /// Answers the HTTP requests that this thread sends, until the test context is dropped.
    #[must_use]
    pub fn with_http(mut self, answer: impl Fn(&Request) -> Result<Response, Error> + 'static) -> Self {
        self.responder = Some(Responder::new(answer));
        self
    }

    /// Asks for the job to be cancelled, from now on.
    pub fn cancel(&self) {
        self.recorder.cancelled.set(true);
    }

    /// Takes back that a step is recorded, as if the run had been interrupted after its work and before that.
    pub fn forget_step(&self, name: &str) {
        self.recorder.forget(&format!("{}{name}", steps::PREFIX));
    }

    /// A context to call a handler with: a run of its own.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(self.job.clone(), Rc::<Recorder>::clone(&self.recorder))
    }

    pub(crate) fn context_for(&self, handler: &str, payload: &Value) -> Context {
        let job = wit::Job { handler: handler.into(), payload: payload.to_string(), ..self.job.clone() };
        Context::new(job, Rc::<Recorder>::clone(&self.recorder))
    }

    fn set_payload(&mut self, payload: &Value) {
        self.job.payload = payload.to_string();
    }
}

/// What the handler did.
impl TestContext {
    /// The lines that it logged, oldest first.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.recorder.logs.borrow().clone()
    }

    /// How far it said that it was, each time that it said so.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        self.recorder.progress.borrow().clone()
    }

    /// The jobs that it asked for. A host drops them where the handler does not succeed.
    #[must_use]
    pub fn enqueued(&self) -> Vec<Enqueued> {
        self.recorder.enqueued.borrow().clone()
    }

    /// What is kept under a key.
    #[must_use]
    pub fn checkpoint(&self, key: &str) -> Option<Value> {
        self.recorder.kept(key)
    }

    /// The steps that are recorded, in the order in which they were.
    #[must_use]
    pub fn steps(&self) -> Vec<RecordedStep> {
        self.recorder.steps()
    }
}
