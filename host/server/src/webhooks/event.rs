//! What is told: an event as JSON, which never holds what a job was given or what it gave.

use serde::Serialize;
use windlass_api::{Failure, JobId, Misfire, ModuleName, QueueName, Timestamp};
use windlass_jobs::{Fence, recurring::Missed};

use super::{Failing, Subject};
use crate::config::WebhookEvent;

/// No message of a handler's is told longer, in bytes: a thousand events wait at most for each receiver.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// No code of a handler's is told longer, in bytes.
const MAX_CODE_BYTES: usize = 200;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: WebhookEvent,
    /// The same whoever tells it, and without a full stop, which ends it in what is signed.
    pub(super) id: String,
    pub(super) module: ModuleName,
    /// Where it is known.
    pub(super) queue: Option<QueueName>,
    pub(super) body: Vec<u8>,
}

#[derive(Serialize)]
struct Body<T> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: T,
}

#[derive(Serialize)]
struct Failed<'a> {
    job: JobId,
    handler: String,
    queue: &'a str,
    run: u32,
    attempt: u32,
    max_attempts: u32,
    cause: String,
    code: Option<&'a str>,
    message: &'a str,
}

#[derive(Serialize)]
struct Recovered<'a> {
    handler: String,
    queue: &'a str,
    /// The job that succeeded.
    job: JobId,
    /// The first of those that had failed.
    failed_job: JobId,
    failing_since: Timestamp,
    failed_jobs: u64,
}

#[derive(Serialize)]
struct MissedRecurring<'a> {
    recurring: &'a str,
    handler: String,
    /// The first instant that nobody was there for.
    due_at: Timestamp,
    misfire: Misfire,
    /// How many jobs were enqueued now all the same.
    enqueued: usize,
    next_at: Option<Timestamp>,
}

impl Event {
    /// A job failed for good.
    pub(super) fn failed(subject: &Subject, job: JobId, run: u32, failure: &Failure, now: Timestamp) -> Self {
        let data = Failed {
            job,
            handler: path(subject),
            queue: subject.queue.as_str(),
            run,
            attempt: subject.attempt,
            max_attempts: subject.max_attempts,
            cause: failure.cause.to_string(),
            code: failure.code.as_deref().map(|code| begin(code, MAX_CODE_BYTES)),
            message: begin(&failure.message, MAX_MESSAGE_BYTES),
        };
        Self {
            kind: WebhookEvent::Failed,
            id: format!("failed_{job}_{run}"),
            module: subject.module.clone(),
            queue: Some(subject.queue.clone()),
            body: body("job.failed", now, data),
        }
    }

    /// A handler succeeded that had failed.
    pub(super) fn recovered(subject: &Subject, fence: Fence, failing: Failing, now: Timestamp) -> Self {
        let data = Recovered {
            handler: path(subject),
            queue: subject.queue.as_str(),
            job: fence.job,
            failed_job: failing.first,
            failing_since: failing.since,
            failed_jobs: failing.jobs,
        };
        Self {
            kind: WebhookEvent::Recovered,
            id: format!("recovered_{}_{}", fence.job, fence.run),
            module: subject.module.clone(),
            queue: Some(subject.queue.clone()),
            body: body("handler.recovered", now, data),
        }
    }

    /// A recurring job was due while nobody was there.
    pub(super) fn missed(missed: &Missed, now: Timestamp) -> Self {
        let data = MissedRecurring {
            recurring: missed.name.as_str(),
            handler: missed.handler.to_string(),
            due_at: missed.due_at,
            misfire: missed.misfire,
            enqueued: missed.enqueued,
            next_at: missed.next_at,
        };
        Self {
            kind: WebhookEvent::MissedRecurring,
            id: format!("missed_{}_{}", missed.name.as_str().replace('.', "~"), missed.due_at.0),
            module: missed.handler.module.clone(),
            queue: missed.queue.clone(),
            body: body("recurring.missed", now, data),
        }
    }
}

fn path(subject: &Subject) -> String {
    format!("{}/{}", subject.module, subject.handler)
}

fn begin(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn body<T: Serialize>(r#type: &'static str, timestamp: Timestamp, data: T) -> Vec<u8> {
    // Texts and numbers always are JSON.
    serde_json::to_vec(&Body { r#type, timestamp, data }).unwrap_or_default()
}
