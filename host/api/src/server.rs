//! Servers and queues, as they are shown.

use serde::{Deserialize, Serialize};

use crate::{QueueName, ServerId, Timestamp};

/// The slots of one kind on a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlotUse {
    /// How many there are.
    pub total: u32,
    /// How many run a job.
    pub busy: u32,
}

/// A host process that takes jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerView {
    /// Its id, new at every start.
    pub id: ServerId,
    /// The machine it runs on, as that calls itself.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The version of Windlass.
    pub version: String,
    /// The queues it takes from; empty where it takes from all.
    pub queues: Vec<QueueName>,
    /// Slots for sync handlers.
    pub sync_slots: SlotUse,
    /// Slots for async handlers.
    pub async_slots: SlotUse,
    /// How much memory its process holds, where its system tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_bytes: Option<u64>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub heartbeat_at: Timestamp,
}

/// A queue and what waits in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueView {
    /// Its name.
    pub name: QueueName,
    /// Whether no job is taken from it.
    pub paused: bool,
    /// Jobs ready to be taken.
    pub enqueued: u64,
    /// Jobs being run.
    pub processing: u64,
    /// When the job that waits longest became ready.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_at: Option<Timestamp>,
}
