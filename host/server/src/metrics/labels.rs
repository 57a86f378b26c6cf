//! What numbers are told apart by.

use prometheus_client::encoding::EncodeLabelSet;

/// Of a handler.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfHandler {
    pub(super) module: String,
    pub(super) handler: String,
}

/// Of a handler, by what became of the job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Ended {
    pub(super) module: String,
    pub(super) handler: String,
    pub(super) outcome: &'static str,
}

/// Of a webhook, by what became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfWebhook {
    pub(super) receiver: String,
    pub(super) outcome: &'static str,
}

/// By what became of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfOutcome {
    pub(super) outcome: &'static str,
}

/// Of sync or async handlers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfMode {
    pub(super) mode: &'static str,
}

/// Of one thing that a storage does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfVerb {
    pub(super) verb: &'static str,
}

/// Of jobs in a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfState {
    pub(super) state: &'static str,
}

/// Of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfQueue {
    pub(super) queue: String,
}
