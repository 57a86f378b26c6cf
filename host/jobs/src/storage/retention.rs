//! How long things are kept.

use std::time::Duration;

use windlass_api::{State, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How long jobs that have ended are kept, their logs, and the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// From the end of a job that succeeded; 1 day by default.
    pub succeeded: Duration,
    /// From the end of a job that failed; 30 days by default.
    pub failed: Duration,
    /// From the end of a job that was deleted; 1 day by default.
    pub deleted: Duration,
    /// From the writing of a log line; 7 days by default.
    pub logs: Duration,
    /// From the writing of an entry of the audit log; 90 days by default.
    pub audit: Duration,
    /// The most that is kept of what the runs of one job logged, in bytes; 4 MiB by default. What comes after is dropped.
    pub log_bytes_per_job: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            succeeded: DAY,
            failed: 30 * DAY,
            deleted: DAY,
            logs: 7 * DAY,
            audit: 90 * DAY,
            log_bytes_per_job: 4 * 1024 * 1024,
        }
    }
}

impl Retention {
    /// How long a job is kept from when it came into this state; nothing for a state that is not final.
    #[must_use]
    pub fn of(&self, state: State) -> Option<Duration> {
        match state {
            State::Succeeded => Some(self.succeeded),
            State::Failed => Some(self.failed),
            State::Deleted => Some(self.deleted),
            State::Scheduled | State::Awaiting | State::Enqueued | State::Processing => None,
        }
    }

    /// When a job is removed that came into this state at this instant.
    #[must_use]
    pub fn expires_at(&self, state: State, since: Timestamp) -> Option<Timestamp> {
        self.of(state).map(|kept| since.plus_ms(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX)))
    }
}
