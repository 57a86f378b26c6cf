//! Commands on all jobs that pass a filter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BulkActionId, FilteredCount, JobFilter, JobId, State, Timestamp, words::words};

words! {
    /// What is done to each job.
    BulkVerb {
        /// It is enqueued anew; refused for one that is enqueued or processing.
        Requeue = "requeue",
        /// It is deleted, whether it has ended or not; one that runs is stopped first.
        Delete = "delete",
        /// It is deleted where it waits and stopped where it runs; refused for one that has ended.
        Cancel = "cancel",
    }
}

impl BulkVerb {
    /// Whether it may be done to a job in this state.
    #[must_use]
    pub fn may_act_on(self, state: State) -> bool {
        match self {
            Self::Requeue => !matches!(state, State::Enqueued | State::Processing),
            Self::Delete => state != State::Deleted,
            Self::Cancel => !state.is_final(),
        }
    }
}

words! {
    /// How far a bulk action is.
    BulkState {
        /// It goes on.
        Running = "running",
        /// It was told to stop, and does after the jobs that it is at.
        Stopping = "stopping",
        /// It has come to its end, or to its limit.
        Finished = "finished",
        /// It was told to stop and has.
        Stopped = "stopped",
        /// It gave up, because the storage did not answer for too long.
        Failed = "failed",
    }
}

impl BulkState {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed)
    }
}

words! {
    /// Why a job that passed the filter was left as it is.
    SkipReason {
        /// It is no longer in the state that the filter names.
        OtherState = "other-state",
        /// Its state does not allow the command.
        NotAllowed = "not-allowed",
        /// It is unique, and another job is there that it must not stand beside.
        NotUnique = "not-unique",
        /// It is no longer there.
        Gone = "gone",
    }
}

/// What to do, and to which jobs: those of these ids, or all that pass a filter. Of a filter only jobs that were made before it
/// starts are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkActionRequest {
    /// What is done to each job.
    pub action: BulkVerb,
    /// Which jobs; without ids it must ask for something. Where it names a state, a job that has left it meanwhile is left
    /// alone; with ids it may name that alone.
    #[serde(default)]
    pub filter: JobFilter,
    /// Which jobs, by their ids: 1,000 at most. One that is named twice is looked at once.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ids: Vec<JobId>,
    /// No more jobs are looked at, 1 to 100,000; 100,000 where absent. Where the filter names no state, those whose state does not
    /// allow the action are passed over and do not count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100_000))]
    pub limit: Option<u32>,
    /// Whether only to tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// With `requeue`: forget checkpoints and recorded steps.
    #[serde(default)]
    pub fresh: bool,
    /// With `requeue`: run on the version that is active now instead of the one each job started with.
    #[serde(default)]
    pub newest: bool,
}

impl BulkActionRequest {
    /// No bulk action looks at more jobs.
    pub const MAX_LIMIT: u32 = 100_000;

    /// No bulk action names more jobs by their ids.
    pub const MAX_IDS: usize = 1_000;

    /// This action on the jobs that pass the filter, up to the highest limit.
    #[must_use]
    pub const fn new(action: BulkVerb, filter: JobFilter) -> Self {
        Self { action, filter, ids: Vec::new(), limit: None, dry_run: false, fresh: false, newest: false }
    }

    /// The filters whose jobs together are those that the action can be done to. What is looked for job by job is looked for once:
    /// there, those whose state does not allow the action are among them.
    #[must_use]
    pub fn countable(&self) -> Vec<JobFilter> {
        let filter = &self.filter;
        if filter.state.is_some() || filter.text.is_some() || filter.reason.is_some() {
            return vec![filter.clone()];
        }
        let states = State::ALL.iter().filter(|state| self.action.may_act_on(**state));
        states.map(|state| JobFilter { state: Some(*state), ..filter.clone() }).collect()
    }

    /// This action on the jobs of these ids; where a state is given, only on those that are in it.
    #[must_use]
    pub fn on(action: BulkVerb, ids: Vec<JobId>, state: Option<State>) -> Self {
        Self { ids, ..Self::new(action, JobFilter { state, ..JobFilter::default() }) }
    }
}

/// A bulk action and what came of it so far. It is known to the host that took it alone, and ends with that host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkAction {
    /// Its id.
    pub id: BulkActionId,
    /// What is done to each job.
    pub action: BulkVerb,
    /// Which jobs; where they were named by their ids, in which state they must be at most.
    pub filter: JobFilter,
    /// How many jobs were named by their ids; absent where the filter says which.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub named: Option<u32>,
    /// No more jobs are looked at.
    pub limit: u32,
    /// Whether it only tells what would be done.
    pub dry_run: bool,
    /// Who asked for it.
    pub by: String,
    /// How far it is.
    pub state: BulkState,
    /// How many jobs passed the filter when it began; absent until they are counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub matched: Option<FilteredCount>,
    /// How many jobs it has looked at.
    pub looked_at: u64,
    /// For how many of them the command was taken; with `dry_run`, would have been.
    pub done: u64,
    /// How many of those that are done still run: the command takes effect when their sandboxes have stopped.
    pub pending: u64,
    /// How many were left as they are, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub skipped: BTreeMap<SkipReason, u64>,
    /// For how many the command failed.
    pub failed: u64,
    /// What went wrong: the first 10 messages.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<String>,
    /// Whether its limit ended it, so that there may be more jobs.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub limit_reached: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Timestamp>,
}
