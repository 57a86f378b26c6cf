//! Recurring jobs as a storage keeps them. What an entry means is not known here: `definition` says what it enqueues and
//! when, and whoever fires it works out the next instant.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use windlass_api::{Enqueued, JobId, Json, Page, RecurringName, Timestamp};

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
    /// Whether none was made then, since `last_job` was there already and the new one must not stand beside it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub left_out: bool,
    /// Grows by 1 with each change, from a number that no earlier entry of the name had. What is given here when an entry is
    /// put is not looked at.
    pub revision: u64,
}

/// What came of putting an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The new revision.
    pub revision: u64,
    /// What became of each job: one that was left out gives the one that it must not stand beside, as `existing`.
    pub jobs: Vec<Enqueued>,
}

impl Put {
    /// What the entry tells of its last job, where that did not come to be as it was asked for: the job that is there
    /// instead, and whether that one got nothing of it either.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "redis", feature = "sqlite")),
        expect(dead_code, reason = "it is for storages")
    )]
    pub(crate) fn corrected(&self, entry: &RecurringEntry, jobs: &[NewJob]) -> Option<(JobId, bool)> {
        let at = jobs.iter().position(|job| Some(job.id) == entry.last_job)?;
        let came = self.jobs.get(at)?;
        (Some(came.id) != entry.last_job).then_some((came.id, !came.replaced))
    }
}

/// The entries that are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// They, the one that is due longest first.
    pub entries: Vec<RecurringEntry>,
    /// How long until the next one that is not among them, in milliseconds; 0 where there are more already.
    pub next_in_ms: Option<u64>,
    /// The present instant by the storage's clock, which is the one that counts.
    pub now: Timestamp,
}

/// The revision after this one, or of a new entry. A new one begins anywhere: whoever has read an entry that was removed meanwhile
/// must not change the one that was put in its place.
#[cfg_attr(
    not(any(feature = "postgres", feature = "redis", feature = "sqlite")),
    expect(dead_code, reason = "it is for storages")
)]
pub(crate) fn next_revision(expected: Option<u64>) -> u64 {
    // 48 random bits: however often it changes, Lua's numbers hold it exactly.
    let first = || u64::try_from(Uuid::new_v4().as_u128() >> 80).unwrap_or(1).max(1);
    expected.map_or_else(first, |expected| expected.saturating_add(1))
}

/// Recurring jobs: a map by name whose entries change by compare-and-set on their revision. Whoever fires an entry puts it
/// back with its next instant, together with the jobs it makes: so each instant is fired once, whoever tries.
#[async_trait]
pub trait RecurringStore: Send + Sync + 'static {
    /// Puts an entry where its present revision is the expected one (`None`: where there is no entry of the name yet),
    /// and enqueues these jobs in the same step, as those of `recurring NAME` in their history. Where the entry's `last_job` is
    /// one of these and is not made, since it must not stand beside another one, the entry names that one instead, as
    /// `left_out` unless it got the new one's payload. Gives nothing where another change came before; then no job is enqueued
    /// either. A new entry's revision is none that an
    /// earlier one of its name has had, so that nobody takes it for that one.
    async fn put_recurring(
        &self,
        entry: RecurringEntry,
        expected: Option<u64>,
        jobs: Vec<NewJob>,
    ) -> Result<Option<Put>, StorageError>;

    /// Removes an entry, where a revision is given only one of that revision; the jobs that it made stay. Gives whether it was
    /// there.
    async fn remove_recurring(&self, name: &RecurringName, expected: Option<u64>) -> Result<bool, StorageError>;

    /// One entry.
    async fn recurring(&self, name: &RecurringName) -> Result<Option<RecurringEntry>, StorageError>;

    /// Entries by name, without those that cannot be read. `cursor` is a page's `next`.
    async fn recurring_entries(&self, cursor: Option<&str>, limit: usize)
    -> Result<Page<RecurringEntry>, StorageError>;

    /// Entries that are not paused and whose instant has come, the one that is due longest first, then by name; at most
    /// `limit`. One that cannot be read is passed over, so that it holds up no others.
    async fn due_recurring(&self, limit: usize) -> Result<Due, StorageError>;
}
