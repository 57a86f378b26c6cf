//! A job on its way in, and a job in a server's hands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windlass_api::{
    After, Digest, HandlerName, HandlerPath, JobId, Json, LimitKey, Mode, ModuleName, QueueName, RetryPolicy, ServerId,
    Timestamp, UniqueRule,
};

/// When a new job may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// As soon as there is a slot.
    Now,
    /// This long after it was stored, in milliseconds.
    After(u64),
    /// Not before this instant.
    At(Timestamp),
    /// When a version of its module brings its handler: the job is `awaiting`, reason `handler-missing`.
    WithHandler,
}

/// A job that has passed [`admission`](crate::admission) and is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Its module.
    pub module: ModuleName,
    /// Its handler.
    pub handler: HandlerName,
    /// The line that it waits in.
    pub mode: Mode,
    /// Its queue.
    pub queue: QueueName,
    /// 0, the first to be taken, to 9.
    pub priority: u8,
    /// When it may start.
    pub start: Start,
    /// What it is to work on.
    pub payload: Json,
    /// What the application attached.
    pub headers: BTreeMap<String, String>,
    /// What to find it by.
    pub tags: Vec<String>,
    /// How many attempts it has in all.
    pub max_attempts: u32,
    /// The delays between them.
    pub retry: RetryPolicy,
    /// How long a run may take, where the job says.
    pub timeout_ms: Option<u64>,
    /// What it depends on besides its turn.
    #[serde(default)]
    pub conditions: Conditions,
}

impl NewJob {
    /// Where it goes.
    #[must_use]
    pub fn path(&self) -> HandlerPath {
        HandlerPath { module: self.module.clone(), handler: self.handler.clone() }
    }
}

/// What a job depends on besides its turn. Most jobs have none of it, and pay nothing for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The jobs that it continues: it is `awaiting`, reason `parents`, until they ended as asked, and only then its
    /// [`Start`] begins to count.
    pub after: Option<After>,
    /// What it must be the only one of.
    pub unique: Option<UniqueRule>,
    /// If its first run has not begun by then, it is deleted, reason `expired`.
    pub expires_at: Option<Timestamp>,
    /// What it counts under where an operator limits keys.
    pub limit_key: Option<LimitKey>,
}

impl Conditions {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { after, unique, expires_at, limit_key } = self;
        after.is_none() && unique.is_none() && expires_at.is_none() && limit_key.is_none()
    }
}

/// What proves that a run is still the job's current one. Every write on behalf of a run carries it, and is refused
/// where storage holds another: the run was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The job.
    pub job: JobId,
    /// The run.
    pub run: u32,
    /// The server that claimed it.
    pub server: ServerId,
}

/// A job that a server has claimed: one run of it is this server's to make and to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The job, the run and the server.
    pub fence: Fence,
    /// Its module.
    pub module: ModuleName,
    /// Its handler.
    pub handler: HandlerName,
    /// The line that it waited in, and so the kind of slot that was free for it.
    pub mode: Mode,
    /// Its queue.
    pub queue: QueueName,
    /// The version that it runs on: pinned by its first claim to the one that was active then, or to the canary where it fell
    /// to that. Absent where its module has no active version.
    pub version: Option<Digest>,
    /// What it is to work on.
    pub payload: Json,
    /// What the application attached.
    pub headers: BTreeMap<String, String>,
    /// The counted try, from 1.
    pub attempt: u32,
    /// How many attempts it has in all.
    pub max_attempts: u32,
    /// The delays between them.
    pub retry: RetryPolicy,
    /// How long a run may take, where the job says.
    pub timeout_ms: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The jobs that it continues, in the order in which they were given.
    pub parents: Vec<JobId>,
}
