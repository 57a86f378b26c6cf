//! From what a sandbox reports to what it means for the job.

use windlass_api::{Cause, Failure, Json, Usage};
use windlass_jobs::Verdict;
use windlass_wasm::{Outcome, RunCause, StopReason, contract};

/// What an outcome means.
pub(crate) fn of(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Ok(result) => match result.map(Json::from_text).transpose() {
            Ok(result) => Verdict::Ok(result),
            Err(error) => retryable(Failure {
                cause: Cause::ResultNotJson,
                code: None,
                message: format!("the handler's result is {error}"),
                details: None,
                backtrace: None,
            }),
        },
        Outcome::Error(error) => of_error(error),
        Outcome::Failed(failure) => retryable(Failure {
            cause: cause(failure.cause),
            code: None,
            message: failure.message,
            details: None,
            backtrace: failure.backtrace,
        }),
        Outcome::Stopped(reason) => of_stop(reason),
        Outcome::NoRoom => Verdict::Snoozed { delay_ms: NO_ROOM_MS },
    }
}

/// How long a job waits that found no room in the engine, which is no fault of its own: runs make room all the time.
const NO_ROOM_MS: u64 = 1_000;

/// What it means that a run was stopped, whether it had begun or not.
pub(super) fn of_stop(reason: StopReason) -> Verdict {
    match reason {
        StopReason::Cancelled => Verdict::Cancelled,
        StopReason::Shutdown => Verdict::Released { reason: "shutdown" },
        StopReason::LeaseLost => Verdict::Released { reason: "lease-lost" },
    }
}

fn of_error(error: contract::JobError) -> Verdict {
    match error {
        contract::JobError::Retry(failure) => retryable(from_handler(failure)),
        contract::JobError::RetryAfter((delay_ms, failure)) => {
            Verdict::Retryable { failure: from_handler(failure), delay_ms: Some(delay_ms) }
        }
        contract::JobError::Snooze(delay_ms) => Verdict::Snoozed { delay_ms },
        contract::JobError::Fatal(failure) => Verdict::Fatal(from_handler(failure)),
        contract::JobError::Cancelled => Verdict::Cancelled,
    }
}

fn retryable(failure: Failure) -> Verdict {
    Verdict::Retryable { failure, delay_ms: None }
}

/// No code or message that a guest gives is kept longer, in characters.
const MAX_TEXT: usize = 4_000;

fn from_handler(failure: contract::Failure) -> Failure {
    let clamp = |text: String| if text.len() <= MAX_TEXT { text } else { text.chars().take(MAX_TEXT).collect() };
    Failure {
        cause: Cause::Handler,
        code: Some(clamp(failure.code)).filter(|code| !code.is_empty()),
        message: clamp(failure.message),
        details: failure
            .details
            .filter(|details| details.len() <= 16 << 10)
            .and_then(|details| Json::from_text(details).ok()),
        backtrace: None,
    }
}

fn cause(cause: RunCause) -> Cause {
    match cause {
        RunCause::Trap => Cause::Trap,
        RunCause::OutOfFuel => Cause::OutOfFuel,
        RunCause::Timeout => Cause::Timeout,
        RunCause::OutOfMemory => Cause::OutOfMemory,
        RunCause::StackOverflow => Cause::StackOverflow,
        RunCause::Exited => Cause::Exited,
        RunCause::ResultTooLarge => Cause::ResultTooLarge,
        RunCause::ResultNotJson => Cause::ResultNotJson,
        RunCause::Deadlock => Cause::Deadlock,
        RunCause::Unloadable => Cause::Unloadable,
        RunCause::Host => Cause::Host,
    }
}

/// What a run used, in the words of the API.
pub(crate) fn usage(usage: &windlass_wasm::Usage) -> Usage {
    Usage {
        fuel: usage.fuel,
        peak_memory_bytes: usage.peak_memory_bytes,
        wall_us: usage.wall_us,
        log_bytes: usage.log_bytes,
        sent_bytes: usage.sent_bytes,
        received_bytes: usage.received_bytes,
    }
}
