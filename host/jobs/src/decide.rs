//! What becomes of a job after a run.
//!
//! ```text
//!                    ┌─ ok ───────────────────────────────▶ succeeded
//!                    ├─ retryable failure ─┬ attempts left ▶ scheduled (retry)
//!   processing ──────┤                     └ none left ────▶ failed
//!                    ├─ fatal failure ────────────────────▶ failed
//!                    ├─ snooze ───────────────────────────▶ scheduled (snooze, attempt given back)
//!                    ├─ the host let go of it ────────────▶ enqueued (attempt given back)
//!                    ├─ no such handler any more ─────────▶ awaiting (handler-missing, attempt given back)
//!                    └─ cancelled ────────────────────────▶ deleted
//! ```

use windlass_api::{Failure, Json, Mode};

use crate::{Claimed, Next, retry};

/// No delay that a guest asks for is longer: 10 years, which any storage's clock can still add.
const MAX_DELAY_MS: u64 = 10 * 365 * 24 * 3_600_000;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The handler succeeded.
    Ok(Option<Json>),
    /// It failed in a way that may pass. `delay_ms` is the handler's own wish, where it has one.
    Retryable {
        /// Why.
        failure: Failure,
        /// How long to wait, instead of what the job's policy says.
        delay_ms: Option<u64>,
    },
    /// It failed in a way that will not pass.
    Fatal(Failure),
    /// It was too early.
    Snoozed {
        /// How long to wait.
        delay_ms: u64,
    },
    /// Its job was cancelled, and it has stopped.
    Cancelled,
    /// The host stopped it for a reason of its own, such as `shutdown`, or could not start it.
    Released {
        /// Why.
        reason: &'static str,
    },
    /// The version that it resolved to runs this handler in the other mode.
    OtherMode(Mode),
    /// The version that it resolved to has no such handler.
    HandlerMissing,
}

/// Decides what becomes of a job. Pure: `draw` is a random number from 0 up to but not including 1, for the retry delay.
#[must_use]
pub fn decide(verdict: Verdict, job: &Claimed, draw: f64) -> Next {
    match verdict {
        Verdict::Ok(result) => Next::Succeeded { result },
        Verdict::Retryable { failure, .. } if job.attempt >= job.max_attempts => Next::Failed { failure },
        Verdict::Retryable { failure, delay_ms } => {
            let delay_ms = delay_ms.unwrap_or_else(|| retry::delay_ms(&job.retry, job.attempt, draw));
            Next::Retry { delay_ms: delay_ms.min(MAX_DELAY_MS), failure }
        }
        Verdict::Fatal(failure) => Next::Failed { failure },
        Verdict::Snoozed { delay_ms } => Next::Snooze { delay_ms: delay_ms.min(MAX_DELAY_MS) },
        Verdict::Cancelled => Next::Cancelled,
        Verdict::Released { reason } => Next::Released { reason: reason.to_owned(), mode: job.mode },
        Verdict::OtherMode(mode) => Next::Released { reason: "other-mode".to_owned(), mode },
        Verdict::HandlerMissing => Next::HandlerMissing,
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::{Cause, RetryPolicy, ServerId, Timestamp};

    use super::*;
    use crate::Fence;

    fn job(attempt: u32, max_attempts: u32) -> Claimed {
        Claimed {
            fence: Fence { job: windlass_api::JobId(uuid::Uuid::nil()), run: 1, server: ServerId(uuid::Uuid::nil()) },
            module: "m".parse().unwrap(),
            handler: "h".parse().unwrap(),
            mode: Mode::Sync,
            queue: windlass_api::QueueName::default(),
            version: None,
            payload: Json::null(),
            headers: std::collections::BTreeMap::new(),
            attempt,
            max_attempts,
            retry: RetryPolicy::Fixed { delay_ms: 50 },
            timeout_ms: None,
            created_at: Timestamp(0),
            parents: Vec::new(),
        }
    }

    fn failure() -> Failure {
        Failure { cause: Cause::Handler, code: None, message: "no".into(), details: None, backtrace: None }
    }

    fn retryable(delay_ms: Option<u64>) -> Verdict {
        Verdict::Retryable { failure: failure(), delay_ms }
    }

    #[test]
    fn a_retryable_failure_is_retried_after_the_policys_delay_while_attempts_are_left() {
        assert_eq!(decide(retryable(None), &job(2, 3), 0.0), Next::Retry { delay_ms: 50, failure: failure() });
        assert_eq!(decide(retryable(None), &job(3, 3), 0.0), Next::Failed { failure: failure() });
    }

    #[test]
    fn a_handlers_own_delay_wins_and_is_clamped() {
        assert_eq!(decide(retryable(Some(9)), &job(1, 2), 0.0), Next::Retry { delay_ms: 9, failure: failure() });
        let Next::Snooze { delay_ms } = decide(Verdict::Snoozed { delay_ms: u64::MAX }, &job(1, 1), 0.0) else {
            panic!("a snooze stays a snooze, whatever the attempt");
        };
        assert_eq!(delay_ms, MAX_DELAY_MS);
    }

    #[test]
    fn a_fatal_failure_ends_the_job_whatever_is_left() {
        assert_eq!(decide(Verdict::Fatal(failure()), &job(1, 9), 0.0), Next::Failed { failure: failure() });
    }

    #[test]
    fn a_job_of_the_other_mode_goes_to_the_other_line() {
        let next = decide(Verdict::OtherMode(Mode::Async), &job(1, 9), 0.0);
        assert_eq!(next, Next::Released { reason: "other-mode".into(), mode: Mode::Async });
    }
}
