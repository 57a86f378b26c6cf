//! What a run reports when it has ended.

use serde::{Deserialize, Serialize};
use windlass_api::{Failure, Json, Mode, Usage};

use crate::{Fence, NewJob};

/// What becomes of a job after a run. [`decide`](crate::decide) makes it; a storage only carries it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// It ended well: `succeeded`.
    Succeeded {
        /// What the handler gave.
        result: Option<Json>,
    },
    /// It is tried again: `scheduled`, reason `retry`. Deleted instead where a cancel was asked for.
    Retry {
        /// This much later, by the storage's clock.
        delay_ms: u64,
        /// Why the run did not succeed.
        failure: Failure,
    },
    /// It was too early: `scheduled`, reason `snooze`, the attempt given back. Deleted instead where a cancel was asked
    /// for.
    Snooze {
        /// This much later, by the storage's clock.
        delay_ms: u64,
    },
    /// It ended badly: `failed`. Deleted instead where a cancel was asked for.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It goes back to its line, the attempt given back, because its server could not run it to the end: `enqueued`.
    /// Deleted instead where a cancel was asked for.
    Released {
        /// Why: `shutdown`, `lease-lost`, `other-mode` or `not-started`.
        reason: String,
        /// The line that it goes to.
        mode: Mode,
    },
    /// Its module no longer has its handler: `awaiting`, reason `handler-missing`, the attempt given back. Deleted
    /// instead where a cancel was asked for.
    HandlerMissing,
    /// It was cancelled and has stopped: `deleted`, reason `cancelled`.
    Cancelled,
}

impl Next {
    /// Whether the handler was begun: not where the job was handed back because there was no room to run it.
    #[must_use]
    pub fn has_run(&self) -> bool {
        !matches!(self, Self::Released { reason, .. } if reason == "not-started")
    }
}

/// The end of one run. It takes effect only where the fence still holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Which run.
    pub fence: Fence,
    /// What becomes of the job.
    pub next: Next,
    /// What the run used.
    pub usage: Usage,
    /// The jobs that the handler enqueued: stored in the same step, and only with [`Next::Succeeded`].
    pub follow_ups: Vec<NewJob>,
}
