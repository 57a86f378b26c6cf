//! Handlers that fail, loop, wait or do nothing: the demo and the benchmarks show by them what the host does then.

use std::{hint::black_box, time::Duration};

use windlass_guest::{prelude::*, time};

windlass_guest::export!(flaky, endless, noop, noop_async, sleepy);

/// Which attempt is to be the first that succeeds.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Flaky {
    /// The number of that attempt, from 1.
    #[serde(default = "second")]
    pub succeed_on: u32,
}

const fn second() -> u32 {
    2
}

/// Fails until a given attempt, and then succeeds.
#[handler(max_attempts = 5, retry = "fixed(1s)", timeout = "10s")]
pub fn flaky(ctx: &Context, args: Flaky) -> Result<String, JobError> {
    let attempt = ctx.attempt();
    if attempt < args.succeed_on {
        ctx.warn(format!("attempt {attempt} fails on purpose"));
        let message = format!("attempt {attempt} failed on purpose, attempt {} will succeed", args.succeed_on);
        return Err(JobError::retry("not-yet", message));
    }
    Ok(format!("succeeded on attempt {attempt}"))
}

/// Loops for ever and never calls the host: only a limit of the host's ends it.
#[handler(max_attempts = 1, timeout = "2s")]
pub fn endless(ctx: &Context) -> Result<(), JobError> {
    ctx.info("looping for ever");
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// How long to wait.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Sleepy {
    /// Milliseconds.
    pub ms: u64,
}

/// Waits without taking a thread.
#[handler(timeout = "1h")]
pub async fn sleepy(args: Sleepy) -> Result<(), JobError> {
    time::sleep(Duration::from_millis(args.ms)).await;
    Ok(())
}

/// Does nothing.
#[handler]
pub fn noop() -> Result<(), JobError> {
    Ok(())
}

/// Does nothing, as an async handler.
#[handler]
pub async fn noop_async() -> Result<(), JobError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use windlass_guest::testing::{self, TestContext};

    use super::*;

    #[test]
    fn flaky_fails_until_the_given_attempt() {
        let run = |attempt| flaky(&TestContext::new().with_attempt(attempt).context(), Flaky { succeed_on: 3 });
        assert!(matches!(run(1), Err(JobError::Retry(failure)) if failure.code == "not-yet"));
        assert!(matches!(run(2), Err(JobError::Retry(_))));
        assert_eq!(run(3).unwrap(), "succeeded on attempt 3");
    }

    #[test]
    fn flaky_succeeds_on_the_second_attempt_unless_told_otherwise() {
        let test = TestContext::new().with_attempt(2);
        assert_eq!(testing::run::<flaky>(&test, serde_json::json!({})).unwrap(), "succeeded on attempt 2");
    }

    #[test]
    fn handlers_that_do_nothing_have_no_result() {
        let test = TestContext::new();
        assert!(testing::run::<noop>(&test, serde_json::Value::Null).unwrap().is_null());
        assert!(testing::run_async::<noop_async>(&test, serde_json::Value::Null).unwrap().is_null());
        assert!(testing::run_async::<sleepy>(&test, serde_json::json!({ "ms": 5 })).unwrap().is_null());
    }
}
