//! Recurring jobs: how they are asked for, and how they are shown.

use serde::{Deserialize, Serialize};

use crate::{Failure, JobId, JobRequest, Misfire, ModuleName, RecurringName, State, Timestamp};

/// A recurring job to be put in place: what it enqueues and when. Only the schedule and the job's handler must be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RecurringRequest {
    /// When: five fields of Unix cron (`30 2 * * 1-5`), six with seconds first, `@daily` and its kin, or `every 90s`.
    pub schedule: String,
    /// The IANA time zone that the schedule's clock shows, such as `Europe/Berlin`; UTC where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_zone: Option<String>,
    /// What happens to instants that passed while no host was there; `run-once` where absent.
    #[serde(default)]
    pub misfire: Misfire,
    /// How many missed instants are caught up with at most, the newest ones: 1 to 1000, 100 where absent. Only with the
    /// misfire policy `catch-up`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub catch_up_limit: Option<u32>,
    /// The job that is enqueued each time. It has neither id nor delay of its own.
    pub job: JobRequest,
}

impl RecurringRequest {
    /// This job at these times by UTC, everything else left to its defaults.
    #[must_use]
    pub fn new(schedule: impl Into<String>, job: JobRequest) -> Self {
        Self { schedule: schedule.into(), time_zone: None, misfire: Misfire::default(), catch_up_limit: None, job }
    }
}

/// A recurring job with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecurringJob {
    /// Its name.
    pub name: RecurringName,
    /// What it enqueues and when, as it was put.
    pub request: RecurringRequest,
    /// Whether it is passed over.
    pub paused: bool,
    /// The module that brought it; absent where an operator or an application put it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<ModuleName>,
    /// When its present schedule was put: where intervals are counted from.
    pub since: Timestamp,
    /// When it is due next, and the instants that follow; five at most. Empty where it will never be due again.
    pub next_runs: Vec<Timestamp>,
    /// What came of it last; absent before the first time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<RecurringOutcome>,
}

/// What came of the last time that a recurring job was due or triggered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecurringOutcome {
    /// The instant that it was due; the one of the command where it was triggered.
    pub at: Timestamp,
    /// The job that was enqueued, or with `left_out` the one that was there already; absent where none was, as `refused` tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<JobId>,
    /// The job's state; absent where it has been removed after its retention, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<State>,
    /// Why the job's last run did not succeed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// Why no job was enqueued: its handler is gone, or does not take the payload any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// Whether no job was enqueued since it is unique and must not stand beside `job`, which was there already.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub left_out: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;

    #[test]
    fn only_a_schedule_and_a_handler_must_be_given() {
        let text = r#"{"schedule":"@daily","job":{"handler":"shop/report"}}"#;
        let job = JobRequest::new("shop/report".parse().unwrap(), Json::null());
        assert_eq!(serde_json::from_str::<RecurringRequest>(text).unwrap(), RecurringRequest::new("@daily", job));
        for wrong in [text.replace("job", "jobs"), text.replace("@daily\"", "@daily\",\"misfire\":\"never\"")] {
            assert!(serde_json::from_str::<RecurringRequest>(&wrong).is_err(), "{wrong}");
        }
    }
}
