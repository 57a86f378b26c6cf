//! The span of a run: the child of what enqueued its job, and the parent of what it asks of others.

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};
use windlass_api::Usage;
use windlass_jobs::{Claimed, Next};

use super::{now_ns, text, whole};
use crate::{
    http::trace::{self, PARENT, STATE},
    metrics::outcome,
};

/// A run takes work that was put in line: `SPAN_KIND_CONSUMER`.
const CONSUMER: u32 = 5;

/// `STATUS_CODE_ERROR`
const ERROR: u32 = 2;

/// The bit of the flags that says that a trace is recorded.
const SAMPLED: u8 = 1;

/// No message of a failure is sent longer, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// A run that goes on. It has no span where nothing is sent, or where whoever enqueued the job said not to record.
pub(crate) struct RunSpan(Option<Open>);

struct Open {
    trace: String,
    span: String,
    parent: Option<String>,
    state: Option<String>,
    flags: String,
    begun_ns: u64,
    begun_at: Instant,
}

/// A span that has ended, as it is sent.
pub(super) struct Finished(pub(super) Value);

impl RunSpan {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Begins the span of a job with these headers: in their trace, or in one of its own.
    pub(super) fn begin(headers: &BTreeMap<String, String>) -> Self {
        let parent = headers.get(PARENT).filter(|parent| trace::is_parent(parent));
        let parts = parent.map(|parent| parent.split('-').skip(1).take(3).map(str::to_owned).collect::<Vec<_>>());
        let (trace, parent, flags, state) = match parts.as_deref() {
            Some([trace, span, flags]) => {
                (trace.clone(), Some(span.clone()), flags.clone(), headers.get(STATE).cloned())
            }
            _ => (random_trace(), None, format!("{SAMPLED:02x}"), None),
        };
        if u8::from_str_radix(&flags, 16).is_ok_and(|flags| flags & SAMPLED == 0) {
            return Self::none();
        }
        let span = format!("{:016x}", fastrand::u64(1..));
        Self(Some(Open { trace, span, parent, state, flags, begun_ns: now_ns(), begun_at: Instant::now() }))
    }

    /// What belongs to the run says so by these headers.
    pub(crate) fn headers(&self) -> Option<BTreeMap<String, String>> {
        let Open { trace, span, state, flags, .. } = self.0.as_ref()?;
        let parent = (PARENT.to_owned(), format!("00-{trace}-{span}-{flags}"));
        let state = state.iter().map(|state| (STATE.to_owned(), state.clone()));
        Some([parent].into_iter().chain(state).collect())
    }

    /// Ends it.
    pub(super) fn end(self, job: &Claimed, next: &Next, usage: &Usage) -> Option<Finished> {
        let open = self.0?;
        let took = u64::try_from(open.begun_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let handler = format!("{}/{}", job.module, job.handler);
        let mut attributes = vec![
            text("windlass.job.id", &job.fence.job.to_string()),
            text("windlass.handler", &handler),
            text("windlass.queue", job.queue.as_str()),
            whole("windlass.run", job.fence.run.into()),
            whole("windlass.attempt", job.attempt.into()),
            text("windlass.outcome", outcome(next)),
            whole("windlass.fuel", usage.fuel),
            whole("windlass.peak_memory_bytes", usage.peak_memory_bytes),
        ];
        let mut status = json!({});
        if let Next::Failed { failure } | Next::Retry { failure, .. } = next {
            attributes.push(text("error.type", failure.cause.as_str()));
            let message = &failure.message[..failure.message.floor_char_boundary(MAX_MESSAGE_BYTES)];
            status = json!({ "code": ERROR, "message": message });
        }
        let mut span = json!({
            "traceId": open.trace,
            "spanId": open.span,
            "name": handler,
            "kind": CONSUMER,
            "startTimeUnixNano": open.begun_ns.to_string(),
            "endTimeUnixNano": open.begun_ns.saturating_add(took).to_string(),
            "attributes": attributes,
            "status": status,
            "flags": u32::from_str_radix(&open.flags, 16).unwrap_or_default(),
        });
        for (key, value) in [("parentSpanId", open.parent), ("traceState", open.state)] {
            if let Some(value) = value {
                span[key] = Value::String(value);
            }
        }
        Some(Finished(span))
    }
}

fn random_trace() -> String {
    format!("{:032x}", fastrand::u128(1..))
}

#[cfg(test)]
mod tests {
    use windlass_api::{Cause, Failure, JobId, Json, Mode, QueueName, RetryPolicy, ServerId, Timestamp};
    use windlass_jobs::Fence;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn job(headers: &[(&str, &str)]) -> Claimed {
        Claimed {
            fence: Fence { job: JobId(uuid::Uuid::nil()), run: 2, server: ServerId(uuid::Uuid::nil()) },
            module: "images".parse().unwrap(),
            handler: "thumbnail".parse().unwrap(),
            mode: Mode::Sync,
            queue: QueueName::default(),
            version: None,
            payload: Json::null(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            attempt: 2,
            max_attempts: 3,
            retry: RetryPolicy::default(),
            timeout_ms: None,
            created_at: Timestamp(0),
            parents: Vec::new(),
        }
    }

    fn ended(job: &Claimed, next: &Next) -> Option<Value> {
        let usage = Usage { fuel: 7, ..Usage::default() };
        RunSpan::begin(&job.headers).end(job, next, &usage).map(|finished| finished.0)
    }

    #[test]
    fn a_span_is_the_child_of_what_enqueued_the_job_and_the_parent_of_what_it_asks() {
        let job = job(&[(PARENT, GOOD), (STATE, "vendor=7")]);
        let span = RunSpan::begin(&job.headers);
        let headers = span.headers().unwrap();
        let Finished(span) = span.end(&job, &Next::Succeeded { result: None }, &Usage::default()).unwrap();
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((&span["parentSpanId"], &span["traceState"]), (&json!("00f067aa0ba902b7"), &json!("vendor=7")));
        let own = span["spanId"].as_str().unwrap();
        assert!(own.len() == 16 && own != "00f067aa0ba902b7");
        assert_eq!(headers[PARENT], format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{own}-01"));
        assert_eq!(headers[STATE], "vendor=7");
    }

    #[test]
    fn a_job_without_a_trace_begins_one_and_what_is_no_trace_is_none() {
        for headers in [&[][..], &[(PARENT, "00-nothing"), (STATE, "vendor=7")]] {
            let span = ended(&job(headers), &Next::Cancelled).unwrap();
            assert!(span.get("parentSpanId").is_none() && span.get("traceState").is_none(), "{span}");
            assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
        }
    }

    #[test]
    fn what_is_not_to_be_recorded_is_not() {
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(ended(&job(&[(PARENT, &unsampled)]), &Next::Cancelled), None);
        assert!(RunSpan::begin(&job(&[(PARENT, &unsampled)]).headers).headers().is_none());
    }

    #[test]
    fn a_failure_tells_its_cause_at_bounded_length() {
        let message = "ä".repeat(5_000);
        let failure = Failure { cause: Cause::Timeout, code: None, message, details: None, backtrace: None };
        let span = ended(&job(&[]), &Next::Failed { failure }).unwrap();
        assert_eq!(span["status"]["code"], 2);
        assert_eq!(span["status"]["message"].as_str().unwrap().len(), 1_000);
        let attributes = span["attributes"].as_array().unwrap();
        let of = |key: &str| attributes.iter().find(|attribute| attribute["key"] == key).unwrap()["value"].clone();
        assert_eq!(of("error.type"), json!({ "stringValue": "timeout" }));
        assert_eq!(of("windlass.outcome"), json!({ "stringValue": "failed" }));
        assert_eq!(of("windlass.fuel"), json!({ "intValue": "7" }));
        assert_eq!(
            (of("windlass.run"), of("windlass.attempt")),
            (json!({ "intValue": "2" }), json!({ "intValue": "2" }))
        );
    }
}
