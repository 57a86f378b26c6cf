//! How long things are kept.

use schemars::JsonSchema;
use serde::Deserialize;
use windlass_jobs::storage::Retention;

use super::{Size, Span};

/// `[retention]`: how long jobs that have ended are kept, what they logged, and who did what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of spans of time")]
pub struct RetentionSettings {
    /// From the end of a job that succeeded. Default: 1 day.
    pub succeeded: Span,
    /// From the end of a job that failed. Default: 30 days.
    pub failed: Span,
    /// From the end of a job that was deleted. Default: 1 day.
    pub deleted: Span,
    /// From the writing of a log line. Default: 7 days.
    pub logs: Span,
    /// From the writing of an entry of the audit log. Default: 90 days.
    pub audit: Span,
    /// The most that is kept of what the runs of one job logged. Default: 4 MiB.
    pub log_bytes_per_job: Size,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        let Retention { succeeded, failed, deleted, logs, audit, log_bytes_per_job } = Retention::default();
        Self {
            succeeded: Span(succeeded),
            failed: Span(failed),
            deleted: Span(deleted),
            logs: Span(logs),
            audit: Span(audit),
            log_bytes_per_job: Size(log_bytes_per_job),
        }
    }
}

impl From<RetentionSettings> for Retention {
    fn from(settings: RetentionSettings) -> Self {
        let RetentionSettings { succeeded, failed, deleted, logs, audit, log_bytes_per_job } = settings;
        Self {
            succeeded: succeeded.0,
            failed: failed.0,
            deleted: deleted.0,
            logs: logs.0,
            audit: audit.0,
            log_bytes_per_job: log_bytes_per_job.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_kept_as_long_as_the_storage_keeps_it_by_default() {
        assert_eq!(Retention::from(RetentionSettings::default()), Retention::default());
    }
}
