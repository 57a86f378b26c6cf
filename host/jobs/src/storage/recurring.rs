//! Recurring jobs as a storage keeps them. What an entry means is not known here: `definition` says what it enqueues and
//! when, and whoever fires it works out the next instant.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use windlass_api::{JobId, Json, Page, RecurringName, Timestamp};

use super::StorageError;
use crate::NewJob;

/// A recurring job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecurringEntry {
    /// Its name.
    pub name: RecurringName,
    /// What it enqueues and when.
    pub definition: Json,
    /// Whether it is passed over.
    pub paused: bool,
    /// When it is to be fired next; nothing where it never will be.
    pub next_at: Option<Timestamp>,
    /// The instant that it was fired for last.
    pub last_at: Option<Timestamp>,
    /// The job that was made then.
    pub last_job: Option<JobId>,
    /// Counts its changes, from 1. What is given here when an entry is put is not looked at.
    pub revision: u64,
}

/// The entries that are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// They, the one that is due longest first.
    pub entries: Vec<RecurringEntry>,
    /// How long until the next one that is not among them, in milliseconds; 0 where there are more already.
    pub next_in_ms: Option<u64>,
}

/// Recurring jobs: a map by name whose entries change by compare-and-set on their revision. Whoever fires an entry puts it
/// back with its next instant, together with the jobs it makes: so each instant is fired once, whoever tries.
#[async_trait]
pub trait RecurringStore: Send + Sync + 'static {
    /// Puts an entry where its present revision is the expected one (`None`: where there is no entry of the name yet),
    /// and enqueues these jobs in the same step, as those of `recurring NAME` in their history. Gives the new revision, or
    /// nothing where another change came before; then no job is enqueued either. A new entry's revision is none that an
    /// earlier one of its name has had, so that nobody takes it for that one.
    async fn put_recurring(
        &self,
        entry: RecurringEntry,
        expected: Option<u64>,
        jobs: Vec<NewJob>,
    ) -> Result<Option<u64>, StorageError>;

    /// Removes an entry; the jobs that it made stay. Gives whether there was one.
    async fn remove_recurring(&self, name: &RecurringName) -> Result<bool, StorageError>;

    /// One entry.
    async fn recurring(&self, name: &RecurringName) -> Result<Option<RecurringEntry>, StorageError>;

    /// Entries by name. `cursor` is a page's `next`.
    async fn recurring_entries(&self, cursor: Option<&str>, limit: usize)
    -> Result<Page<RecurringEntry>, StorageError>;

    /// Entries that are not paused and whose instant has come, the one that is due longest first, then by name; at most
    /// `limit`.
    async fn due_recurring(&self, limit: usize) -> Result<Due, StorageError>;
}

/// The revision of a new entry. It is drawn at random from so many that an earlier entry of the same name has not had it:
/// nothing is left of that one to look at. All that read JSON read numbers below 2^53 alike, and half of them are left for
/// counting on.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(super) fn first_revision() -> u64 {
    // All bits of this half but the highest two are random.
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    random % (1 << 52) + 1
}
