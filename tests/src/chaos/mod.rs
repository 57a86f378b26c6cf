//! What the chaos tests share: hosts on one storage, a load of jobs whose handlers write down what they do, and a checker
//! that holds these records against the hosts' own history. The faults are in `tests/tests/chaos`.
//!
//! Nothing here knows how Windlass works inside, and the checker knows neither the faults nor the storage.

mod checker;
mod history;
mod hosts;
mod http;
mod load;
mod look;
mod records;
mod scale;
mod store;
mod times;

pub use checker::{AFTER_SUSPENSION_MS, AT_ONCE_MS, Expected, Report, check};
pub use hosts::{Addresses, Hosts, LOST_AFTER, Settings};
pub use http::{Answered, request};
pub use load::{BATCH, Load, until, until_all_ended};
pub use look::jobs;
pub use records::{Record, Records};
pub use scale::Scale;
pub use store::{Kind, Store};
pub use times::Suspension;

use std::{
    thread::ScopedJoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, anyhow};

/// The clock on the wall in milliseconds, as the handlers' records have it.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Waits for a thread that a test started, and gives what it gave.
///
/// # Errors
/// Where the thread panicked, or gave an error.
pub fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the test panicked"))?
}
