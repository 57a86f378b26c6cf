//! Waiting before another try.

use std::time::Duration;

/// Waits longer each time, up to 5 seconds, drawn at random so that servers do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) async fn wait(&mut self) {
        let longest_ms = 100_u64.saturating_mul(1 << self.failures.min(6)).min(5_000);
        self.failures += 1;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(longest_ms / 2..=longest_ms))).await;
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}
