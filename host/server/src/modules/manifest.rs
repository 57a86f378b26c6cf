//! From what a component says of itself to what is kept of it. A guest's words are checked here, once.

use windlass_api::{HandlerSpec, Json, LogLevel, Misfire, Mode, RetryPolicy, ScheduleSpec};
use windlass_wasm::{DescribedHandler, Description, contract};

/// A description that has been checked.
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sdk: String,
    pub(crate) handlers: Vec<HandlerSpec>,
}

/// Checks a description. The error names the handler and the field.
pub(crate) fn read(description: Description) -> Result<Described, String> {
    let handlers = description.handlers.into_iter().map(|DescribedHandler { mode, handler }| {
        let name = handler.name.clone();
        spec(mode, handler).map_err(|error| format!("handler `{name}`: {error}"))
    });
    Ok(Described {
        name: description.name,
        version: description.version,
        sdk: description.sdk,
        handlers: handlers.collect::<Result<_, String>>()?,
    })
}

fn spec(mode: windlass_wasm::Mode, handler: contract::Handler) -> Result<HandlerSpec, String> {
    let retry = handler.retry.map(retry_policy);
    if let Some(policy) = &retry {
        windlass_jobs::admission::check_retry(policy).map_err(|error| format!("retry: {error}"))?;
    }
    if handler.priority.is_some_and(|priority| priority > 9) {
        return Err("priority: expected 0, the first to be taken, to 9".to_owned());
    }
    if handler.max_attempts == Some(0) {
        return Err("max-attempts: expected at least 1".to_owned());
    }
    let payload_schema = handler.payload_schema.map(|schema| schema_json("payload-schema", schema)).transpose()?;
    let result_schema = handler.result_schema.map(|schema| schema_json("result-schema", schema)).transpose()?;
    if let Some(schema) = &payload_schema {
        windlass_jobs::admission::check_schema(schema).map_err(|error| format!("payload-schema: {error}"))?;
    }
    let name = handler.name.parse::<windlass_api::HandlerName>().map_err(|error| error.to_string())?;
    let schedules = handler.schedules.into_iter().map(|schedule| {
        Ok(ScheduleSpec {
            name: schedule.name.unwrap_or_else(|| name.as_str().to_owned()),
            expression: schedule.expression,
            time_zone: schedule.time_zone,
            payload: schedule.payload.map_or(Ok(Json::null()), |payload| schema_json("schedule", payload))?,
            misfire: schedule.misfire.map(misfire).unwrap_or_default(),
        })
    });
    Ok(HandlerSpec {
        mode: match mode {
            windlass_wasm::Mode::Sync => Mode::Sync,
            windlass_wasm::Mode::Async => Mode::Async,
        },
        summary: handler.summary,
        queue: handler.queue.map(|queue| queue.parse()).transpose().map_err(|error| format!("queue: {error}"))?,
        priority: handler.priority,
        max_attempts: handler.max_attempts,
        retry,
        timeout_ms: handler.timeout,
        cancel_grace_ms: handler.cancel_grace,
        fuel: handler.fuel,
        memory_bytes: handler.memory,
        payload_schema,
        result_schema,
        redact: handler.redact,
        schedules: schedules.collect::<Result<_, String>>()?,
        name,
    })
}

fn schema_json(field: &str, text: String) -> Result<Json, String> {
    Json::from_text(text).map_err(|error| format!("{field}: {error}"))
}

/// A retry policy in the words of the API.
pub(crate) fn retry_policy(policy: contract::RetryPolicy) -> RetryPolicy {
    match policy {
        contract::RetryPolicy::Fixed(delay_ms) => RetryPolicy::Fixed { delay_ms },
        contract::RetryPolicy::Linear(delay_ms) => RetryPolicy::Linear { delay_ms },
        contract::RetryPolicy::Exponential(contract::Exponential { base, max }) => {
            RetryPolicy::Exponential { base_ms: base, max_ms: max }
        }
        contract::RetryPolicy::Delays(delays_ms) => RetryPolicy::Delays { delays_ms },
    }
}

/// A log level in the words of the API.
pub(crate) fn level(level: contract::Level) -> LogLevel {
    match level {
        contract::Level::Trace => LogLevel::Trace,
        contract::Level::Debug => LogLevel::Debug,
        contract::Level::Info => LogLevel::Info,
        contract::Level::Warn => LogLevel::Warn,
        contract::Level::Error => LogLevel::Error,
    }
}

fn misfire(misfire: contract::Misfire) -> Misfire {
    match misfire {
        contract::Misfire::Skip => Misfire::Skip,
        contract::Misfire::RunOnce => Misfire::RunOnce,
        contract::Misfire::CatchUp => Misfire::CatchUp,
    }
}
