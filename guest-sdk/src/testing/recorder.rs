//! The stand-in for the host: answers from what a test gave it, and keeps what the handler did.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use serde_json::Value;

use crate::{CheckpointError, EnqueueError, JobId, JobRequest, Level, Parent, ParentError, host::Host, steps};

/// A line that a handler logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// Its fields; `null` where it has none.
    pub fields: Value,
}

/// How far a handler said that it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// 0 to 100, as the handler said it.
    pub percent: f32,
    /// What it was doing.
    pub note: Option<String>,
}

/// A step that is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedStep {
    /// Its name.
    pub name: String,
    /// What it returned.
    pub result: Value,
}

/// A job that a handler asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Enqueued {
    /// The id that the handler was given.
    pub id: JobId,
    /// The handler that it asked for.
    pub handler: String,
    /// What that is to work on.
    pub payload: Value,
    /// All of it.
    pub request: JobRequest,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) config: RefCell<BTreeMap<String, String>>,
    pub(crate) secrets: RefCell<BTreeMap<String, String>>,
    pub(crate) parents: RefCell<Vec<Parent>>,
    checkpoints: RefCell<Vec<(String, Value)>>,
    pub(crate) cancelled: Cell<bool>,
    pub(crate) remaining: Cell<Option<Duration>>,
    pub(crate) logs: RefCell<Vec<LogLine>>,
    pub(crate) progress: RefCell<Vec<Progress>>,
    pub(crate) enqueued: RefCell<Vec<Enqueued>>,
}

/// The most checkpoints that a job may have, and how large each may be, in bytes: the host's own limits.
const MAX_CHECKPOINTS: usize = 1_000;
const MAX_CHECKPOINT_BYTES: usize = 256 << 10;

/// The checkpoints, in the order in which they were first kept.
impl Recorder {
    pub(crate) fn kept(&self, key: &str) -> Option<Value> {
        self.checkpoints.borrow().iter().find(|(at, _)| at == key).map(|(_, value)| value.clone())
    }

    pub(crate) fn keep(&self, key: String, value: Value) {
        let mut checkpoints = self.checkpoints.borrow_mut();
        match checkpoints.iter_mut().find(|(at, _)| *at == key) {
            Some((_, kept)) => *kept = value,
            None => checkpoints.push((key, value)),
        }
    }

    pub(crate) fn forget(&self, key: &str) {
        self.checkpoints.borrow_mut().retain(|(at, _)| at != key);
    }

    pub(crate) fn steps(&self) -> Vec<RecordedStep> {
        let checkpoints = self.checkpoints.borrow();
        let steps = checkpoints.iter().filter_map(|(key, value)| Some((key.strip_prefix(steps::PREFIX)?, value)));
        steps.map(|(name, result)| RecordedStep { name: name.to_owned(), result: result.clone() }).collect()
    }
}

impl Host for Recorder {
    fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let fields = fields.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|_| text.into()));
        self.logs.borrow_mut().push(LogLine { level, message: message.to_owned(), fields });
    }

    fn progress(&self, percent: f32, note: Option<&str>) {
        self.progress.borrow_mut().push(Progress { percent, note: note.map(str::to_owned) });
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    fn remaining(&self) -> Option<Duration> {
        self.remaining.get()
    }

    fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError> {
        Ok(self.kept(key).map(|value| value.to_string()))
    }

    fn put_checkpoint(&self, key: &str, value: &str) -> Result<(), CheckpointError> {
        if !(1..=200).contains(&key.len()) {
            return Err(CheckpointError::TooLarge("a key has 1 to 200 bytes".into()));
        }
        if value.len() > MAX_CHECKPOINT_BYTES {
            let message = format!("the value has {} bytes: expected at most {MAX_CHECKPOINT_BYTES}", value.len());
            return Err(CheckpointError::TooLarge(message));
        }
        let value = serde_json::from_str(value).map_err(|error| CheckpointError::InvalidJson(error.to_string()))?;
        let there = self.checkpoints.borrow().len();
        if there >= MAX_CHECKPOINTS && self.kept(key).is_none() {
            let message = format!("the job has {there} checkpoints: at most {MAX_CHECKPOINTS} are allowed");
            return Err(CheckpointError::TooLarge(message));
        }
        self.keep(key.to_owned(), value);
        Ok(())
    }

    fn parent(&self, id: &JobId) -> Result<Parent, ParentError> {
        let parents = self.parents.borrow();
        let known = parents.iter().find(|parent| parent.id == *id);
        known.cloned().ok_or_else(|| ParentError::Unknown(format!("the test tells nothing of job {id}")))
    }

    fn config(&self, key: &str) -> Option<String> {
        self.config.borrow().get(key).cloned()
    }

    fn secret(&self, key: &str) -> Option<String> {
        self.secrets.borrow().get(key).cloned()
    }

    fn enqueue(&self, request: JobRequest) -> Result<JobId, EnqueueError> {
        let payload = request.payload.clone().map_err(EnqueueError::unserialisable)?;
        let mut enqueued = self.enqueued.borrow_mut();
        // A UUID that says which of the test's jobs it is.
        let id = JobId::new(format!("00000000-0000-7000-8000-{:012x}", enqueued.len() + 1));
        enqueued.push(Enqueued { id: id.clone(), handler: request.handler.clone(), payload, request });
        Ok(id)
    }
}
