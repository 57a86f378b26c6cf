//! Runs of whole handlers, by way of JSON.

use std::{
    pin::pin,
    sync::Arc,
    task::{self, Poll, Wake, Waker},
    thread::{self, Thread},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::TestContext;
use crate::{
    Context, JobError, ResultExt,
    bindings::types as wit,
    handler::{AsyncHandler, Handler, Outcome, SyncHandler},
};

/// Runs a sync handler as the host does: `run::<thumbnail>(&test, json!({ … }))`.
///
/// # Errors
/// What the handler says; [`JobError::Fatal`] with the code `bad-payload` where the payload is not what it takes.
pub fn run<H: SyncHandler>(test: &TestContext, payload: impl Serialize) -> Result<Value, JobError> {
    result(H::run(&context::<H>(test, payload)?))
}

/// Runs an async handler as the host does, to its end.
///
/// # Errors
/// As for [`run`].
pub fn run_async<H: AsyncHandler>(test: &TestContext, payload: impl Serialize) -> Result<Value, JobError> {
    result(block_on(H::run(&context::<H>(test, payload)?)))
}

fn context<H: Handler>(test: &TestContext, payload: impl Serialize) -> Result<Context, JobError> {
    Ok(test.context_for(H::NAME, &serde_json::to_value(payload).or_fatal("bad-payload")?))
}

fn result(outcome: Outcome) -> Result<Value, JobError> {
    Ok(outcome?.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// What a handler's component says of it, as JSON: `name`, `summary`, `queue`, `priority`, `max_attempts`,
/// `timeout_ms`, `cancel_grace_ms`, `fuel`, `memory_bytes`, `payload_schema`, `result_schema`, `redact` and
/// `schedules` (their expressions).
#[must_use]
pub fn describe<H: Handler>() -> Value {
    let wit::Handler {
        name,
        summary,
        queue,
        priority,
        max_attempts,
        retry,
        timeout,
        cancel_grace,
        fuel,
        memory,
        payload_schema,
        result_schema,
        redact,
        schedules,
        extensions: _,
    } = H::describe();
    let parse = |schema: Option<String>| schema.map(|text| serde_json::from_str::<Value>(&text).unwrap_or_default());
    json!({
        "name": name,
        "summary": summary,
        "queue": queue,
        "priority": priority,
        "max_attempts": max_attempts,
        "retry": retry.map(|policy| format!("{policy:?}")),
        "timeout_ms": timeout,
        "cancel_grace_ms": cancel_grace,
        "fuel": fuel,
        "memory_bytes": memory,
        "payload_schema": parse(payload_schema),
        "result_schema": parse(result_schema),
        "redact": redact,
        "schedules": schedules.into_iter().map(|schedule| schedule.expression).collect::<Vec<_>>(),
    })
}

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut task::Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
