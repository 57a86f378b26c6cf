//! Jobs that continue others.

use serde::{Deserialize, Serialize};

use crate::{HandlerName, JobId, ModuleName, Page, State, words::words};

words! {
    /// How its parents must have ended for a continuation to be run.
    ContinueOn {
        /// All of them succeeded. While one has failed it waits, since that one may be requeued; where one is deleted or
        /// removed, it is deleted.
        Success = "success",
        /// All of them failed. Where one succeeds, or is deleted or removed before it has failed, it is deleted.
        Failure = "failure",
        /// All of them succeeded, failed or were deleted.
        Finished = "finished",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the words knows no default")]
impl Default for ContinueOn {
    fn default() -> Self {
        Self::Success
    }
}

/// What a continuation waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct After {
    /// Its parents: 1 to 100 different jobs that are there already, or stand earlier in the same call.
    pub jobs: Vec<JobId>,
    /// How they must have ended; `success` where absent.
    #[serde(default)]
    pub on: ContinueOn,
}

/// A parent or a child of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Relative {
    /// Its id.
    pub id: JobId,
    /// Its module; absent where the job has been removed since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<ModuleName>,
    /// Its handler; absent where the job has been removed since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handler: Option<HandlerName>,
    /// The state that it is in; absent where the job has been removed since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<State>,
    /// How the parent of the two must have ended.
    pub on: ContinueOn,
    /// Whether the child of the two no longer waits for the parent.
    pub met: bool,
}

/// The parents and the children of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Relations {
    /// The jobs that it continues, in the order in which they were given.
    pub parents: Vec<Relative>,
    /// The jobs that continue it, in the order of their making.
    pub children: Page<Relative>,
}
