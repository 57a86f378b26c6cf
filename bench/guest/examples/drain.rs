//! What `bench drain` runs: handlers that do nothing, one of each mode, and one that says when it was started.

use std::time::{SystemTime, UNIX_EPOCH};

use windlass_guest::prelude::*;

/// Does nothing.
#[handler]
fn noop() -> Result<(), JobError> {
    Ok(())
}

/// Does nothing, as a task.
#[handler]
async fn noop_async() -> Result<(), JobError> {
    Ok(())
}

/// Gives the time, in nanoseconds since the Unix epoch.
#[handler]
fn now() -> Result<u64, JobError> {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| JobError::fatal("clock", error.to_string()))?;
    Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

windlass_guest::export!(noop, noop_async, now);
