//! Everything that a storage holds, as records that any other storage takes: for moving from one to another, and for
//! backups that can be read by people.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use windlass_api::{
    CounterRow, Digest, Grain, HandlerSpec, JobDetail, Json, LogLine, ModuleName, Page, QueueName, Timestamp,
};

use super::{RecurringEntry, StorageError};

/// One thing that a storage holds. Servers are not among them: they belong to the processes that run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A version of a module.
    Version(VersionRecord),
    /// A queue that somebody has set something for.
    Queue(QueueRecord),
    /// A recurring job.
    Recurring(RecurringEntry),
    /// What happened in a span.
    Counter(CounterRecord),
    /// A job.
    Job(Box<JobRecord>),
}

/// A version of a module with its component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The module.
    pub module: ModuleName,
    /// The SHA-256 of the component.
    pub digest: Digest,
    /// The author's own version.
    pub version: String,
    /// What it was built with.
    pub sdk: String,
    /// What it can do.
    pub handlers: Vec<HandlerSpec>,
    /// When it was deployed.
    pub deployed_at: Timestamp,
    /// Whether it is the one that new jobs go to.
    pub active: bool,
    /// The component, in Base64.
    #[serde(with = "base64_bytes")]
    pub component: Vec<u8>,
}

/// What is set for a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecord {
    /// The queue.
    pub name: QueueName,
    /// Whether no job is taken from it.
    pub paused: bool,
}

/// What happened to a handler's jobs in one span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterRecord {
    /// How long the span is.
    pub grain: Grain,
    /// What happened in it.
    #[serde(flatten)]
    pub row: CounterRow,
}

/// A job with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// What is shown of it.
    #[serde(flatten)]
    pub detail: JobDetail,
    /// How many servers were lost with it.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub losses: u32,
    /// What its attempts kept for later ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub checkpoints: BTreeMap<String, Json>,
    /// What its runs logged, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub logs: Vec<LogLine>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Writes and reads all that a storage holds.
#[async_trait]
pub trait Transfer: Send + Sync + 'static {
    /// What the storage holds, at most `limit` records and some megabytes at a time: versions, queues, recurring jobs,
    /// counters, then jobs, those made first coming first. `cursor` is a page's `next`. What changes meanwhile may be
    /// missing or be there as it was or is; stop the hosts first where that matters.
    async fn export(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StorageError>;

    /// Takes records in the order of their export, all or none. What is known already by its name or id is left as it
    /// is, so that a broken import can be repeated. A job that was processing comes back to its line with its attempt
    /// given back, since its server is not here; a cancel that was asked for makes it deleted. Its history says so with the
    /// end of the run: by `import`, reason `imported`, or `cancelled`. Gives how many records were new.
    ///
    /// Jobs stand among those that are here in the order of their making, and in their lines by the last step of their
    /// history that brought them there: one back from a server keeps its place, as ever. A job that awaits a handler which
    /// is here already is enqueued at once. A version becomes active where it was and this storage has no active one for
    /// its module; a queue becomes paused where it was; all else that is known stays as it is, counters included: what is
    /// imported is not counted.
    async fn import(&self, records: Vec<Record>) -> Result<usize, StorageError>;
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
