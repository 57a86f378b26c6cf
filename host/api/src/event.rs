//! What `GET /api/v1/events` tells: that something changed, never what it is now. Whoever hears it reads again.

use serde::{Deserialize, Serialize};

use crate::{JobId, State, words::words};

words! {
    /// The kinds of events, as `event:` names them in the stream.
    Event {
        /// How many jobs there are changed in some states; the data is [`StatesChanged`].
        Counts = "counts",
        /// A watched job changed; the data is [`WatchedJob`].
        Job = "job",
        /// A server came, went, or uses other slots; the data is `{}`.
        Servers = "servers",
        /// A queue came, went, was paused or resumed, or holds more or fewer jobs; the data is `{}`.
        Queues = "queues",
        /// A version was deployed or activated; the data is `{}`.
        Modules = "modules",
        /// Events were missed: read everything again; the data is `{}`.
        Missed = "missed",
    }
}

/// The data of [`Event::Counts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatesChanged {
    /// The states whose counts changed.
    pub states: Vec<State>,
}

/// The data of [`Event::Job`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedJob {
    /// The job.
    pub id: JobId,
}
