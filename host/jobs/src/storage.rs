//! What a storage must do.
//!
//! The verbs are those of jobs, not of a database. Each method is one atomic step: it takes effect wholly or, with an
//! error, not at all, except that [`StorageError::Unavailable`] leaves open whether it did. What a run may still write
//! is settled by its [`Fence`]: a late writer changes nothing.

mod audit;
mod finding;
mod limits;
mod open;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod past;
#[cfg(feature = "postgres")]
pub mod postgres;
mod recurring;
#[cfg(feature = "redis")]
pub mod redis;
mod retention;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod transfer;
mod url;

pub use audit::{AuditStore, MAX_AUDIT_ENTRIES};
pub use finding::{Finding, Severity};
pub use limits::{LimitStore, MAX_LIMITS, MAX_LINES_LOOKED_AT, PARKED_PER_CLAIM};
pub use open::{Migration, OpenOptions, Role, migrate, open};
pub use recurring::{Due, Put, RecurringEntry, RecurringStore};
pub use retention::Retention;
pub use transfer::{
    AuditRecord, CounterRecord, ExportPart, InvalidRecord, JobRecord, LimitRecord, QueueRecord, Record, Transfer,
    VersionRecord,
};
pub use url::{InvalidStorageUrl, StorageKind, StorageUrl};

use async_trait::async_trait;
use tokio::sync::broadcast;
use windlass_api::{
    CounterQuery, CounterRow, Counts, Digest, Enqueued, FilteredCount, HandlerSpec, JobDetail, JobFilter, JobId,
    JobSummary, Json, LogLine, ModuleName, ModuleView, Page, Progress, QueueName, QueueView, Relations, RequeueRequest,
    ServerId, ServerView, SlotUse, State, VersionView,
};

use crate::{Claimed, Fence, NewJob, Settlement};

/// The most checkpoint keys that a job may have.
pub const MAX_CHECKPOINTS: u64 = 1_000;

/// The most that a job's checkpoints may take in all, keys included, in bytes: 16 MiB.
pub const MAX_CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;

/// How long a list may look at jobs one by one, where no index answers its filter, in milliseconds.
pub const SCAN_BUDGET_MS: u64 = 50;

/// The same for a count, which nobody asks for again and again, in milliseconds.
pub const COUNT_BUDGET_MS: u64 = 1_000;

/// No more jobs should be deleted in one step.
pub const MAX_REMOVED_AT_ONCE: usize = 100;

/// No filtered count goes further.
pub const MAX_COUNTED: u64 = 100_000;

/// No query of counters reads more spans.
pub const MAX_SPANS: u64 = 3_000;

/// No query of counters is answered with more rows.
pub const MAX_COUNTER_ROWS: usize = 100_000;

/// What is said where an answer would have more rows of counters than it may.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
fn too_many_rows(most: usize) -> String {
    format!(
        "these counters have more than {most} rows: ask for a module, for a handler, for a shorter time, or by the hour"
    )
}

/// Everything that a host needs from its storage.
#[async_trait]
pub trait Storage:
    JobStore + ModuleStore + ServerStore + QueueStore + LimitStore + RecurringStore + AuditStore + Transfer
{
    /// What is wrong with how the storage is set up, the worst first; empty where all is well. Reads only.
    async fn findings(&self) -> Result<Vec<Finding>, StorageError>;

    /// Tells of changes as they happen. A storage without this is polled.
    fn wake(&self) -> Option<&dyn Wake> {
        None
    }

    /// Whether it was opened so that jobs may be taken from it; an SQLite file that was opened to enqueue into it was not.
    fn is_for_host(&self) -> bool {
        true
    }

    /// The PostgreSQL storage itself, where it is one: for enqueueing within a transaction of the application's.
    #[cfg(feature = "postgres")]
    #[doc(hidden)]
    fn as_postgres(&self) -> Option<&postgres::PostgresStorage> {
        None
    }

    /// Waits until everything that was acknowledged is where it stays, so that the process may end and what it leaves
    /// behind can be copied. To be called when nothing more is going to be asked; what is asked all the same may still
    /// be done.
    async fn close(&self) {}
}

/// Why a storage did not do what it was asked. The variants are what a caller can do differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// It could not be reached, or broke off: try again later.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
    /// It cannot be opened as it is; the text says why and what to do.
    #[error("{0}")]
    Unusable(String),
    /// There is none yet, and it was not to be made; the text says who makes it.
    #[error("{what}")]
    Absent {
        /// Says so.
        what: String,
        /// What is wrong with the server that it would be on, the worst first, where a server was asked.
        findings: Vec<Finding>,
    },
    /// A stored record cannot be read; the text names it.
    #[error("a stored record is damaged: {0}")]
    Damaged(String),
    /// The cursor does not come from a page of this list.
    #[error("`{0}` is not a cursor of this list: give the `next` of one of its pages")]
    InvalidCursor(String),
    /// What was to be kept or given is over a limit; the text names it and says what to do.
    #[error("{0}")]
    TooLarge(String),
    /// One of the jobs cannot stand beside what is there, and so none was stored.
    #[error("job {} of the call: {refusal}", position + 1)]
    Refused {
        /// Which of the jobs of the call, from 0: the first that is refused.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
}

/// Why a job cannot stand beside what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another job is there that it must not stand beside.
    #[error("job {holder} is there already, and this one is to be unique")]
    Conflict {
        /// The other one.
        holder: JobId,
    },
    /// There is no such job that it could continue.
    #[error("there is no job {parent} that it could continue")]
    UnknownParent {
        /// The missing one.
        parent: JobId,
    },
}

/// What a server has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The server.
    pub server: ServerId,
    /// The queues to take from, the ones to be looked at first standing first; all of them where empty.
    pub queues: Vec<QueueName>,
    /// Free slots for sync handlers.
    pub sync_free: u32,
    /// Free slots for async handlers.
    pub async_free: u32,
}

/// What a run writes while it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The run.
    pub fence: Fence,
    /// How far it is, where that changed.
    pub progress: Option<Progress>,
    /// What it logged; their `run` is the fence's.
    pub lines: Vec<LogLine>,
}

/// What came of moving the jobs whose instant has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promoted {
    /// How many became enqueued.
    pub moved: usize,
    /// How long until the next one, in milliseconds; 0 where there are more already.
    pub next_in_ms: Option<u64>,
}

/// What came of a command on one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commanded {
    /// It took effect; the job is now in this state.
    Done(State),
    /// The job is being run: the request is stored and takes effect when the run has stopped.
    Requested(Fence),
    /// The job is in a state that does not allow it.
    Refused(State),
    /// This other job is there, which it must not stand beside.
    Conflict(JobId),
    /// There is no such job.
    NotFound,
}

/// How jobs are taken out of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Whether those that have succeeded or failed are deleted too.
    pub deletes_ended: bool,
    /// Jobs in another state than this are refused.
    pub expected_state: Option<State>,
}

/// Why a fenced write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded;

/// Jobs, from enqueue to their removal.
#[async_trait]
pub trait JobStore: Send + Sync + 'static {
    /// Stores new jobs, all or none, and wakes those who wait for them. A job whose id is known already is left as it
    /// is. `by` goes into the history.
    ///
    /// A job that is to be unique ([`Conditions::unique`](crate::Conditions)) meets the entry of its key, which names the last
    /// job that was stored with it: its holder, a job of the same call included. Where the holder
    /// [counts](windlass_api::UniqueRule::counts) for the new job's rule, the new job is refused with
    /// [`StorageError::Refused`], or the holder given instead (`existing`); with `replace`, a holder that is scheduled, awaiting
    /// or enqueued and was never claimed also gets the new job's payload and start (`replaced`). One that waits for its parents
    /// goes on waiting; one that is enqueued keeps its place where the new start is now too; any other takes the step that a
    /// job with this start would be made in, by `by`, reason `replaced`. Otherwise the new job becomes the holder. Removing a job removes its entry. Follow-ups of a run and jobs of
    /// recurring entries that would be refused are left out instead, and fail nothing.
    ///
    /// A job with parents ([`Conditions::after`](crate::Conditions)) is stored as `awaiting`, reason `parents`, unless they
    /// have all ended as asked, and then as any other; where one can no longer end as asked, as `deleted`, reason `parent-gone`.
    /// A parent that is neither there nor earlier in the call is refused; for a follow-up and for a recurring entry's job it
    /// counts as one that was removed. When a parent comes into a final state, or is removed, what becomes of its children is
    /// done in the same step for some and otherwise by [`Self::promote`]: by `scheduler`, reason `parent-gone` where a child is
    /// deleted, none where it goes on. A child that goes on starts as its [`Start`](crate::Start) says, counted from then. What a
    /// child once found met stays met.
    async fn enqueue(&self, jobs: Vec<NewJob>, by: &str) -> Result<Vec<Enqueued>, StorageError>;

    /// Hands over jobs that are ready, no more than there are free slots of each kind: by queue in the order asked for,
    /// then by priority, then the one that waits longest. Each becomes `processing` with its run and attempt counted
    /// up, and pinned to a version of its module unless it is pinned already: to the canary where it falls to that
    /// ([`ModuleStore::set_canary`]), and else to the active one.
    ///
    /// One whose [expiry](crate::Conditions::expires_at) has passed and that never ran is deleted instead, by `scheduler`,
    /// reason `expired`. One for which a limit is full is moved to that limit's own line instead, and keeps its state: see
    /// [`LimitStore`].
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, StorageError>;

    /// Ends runs. Each one whose fence holds takes effect with its follow-up jobs; the others change nothing. Gives
    /// for each the state that the job is now in.
    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Result<State, Superseded>>, StorageError>;

    /// Keeps what runs wrote while they go on. Gives for each whether its fence held.
    async fn note(&self, notes: Vec<Note>) -> Result<Vec<Result<(), Superseded>>, StorageError>;

    /// Reads what this attempt of a job or an earlier one put under a key.
    async fn checkpoint(&self, job: JobId, key: &str) -> Result<Option<Json>, StorageError>;

    /// Keeps a value under a key, durably. A job has at most [`MAX_CHECKPOINTS`] keys, and they and their values at most
    /// [`MAX_CHECKPOINT_BYTES`] in all: beyond that it is refused with [`StorageError::TooLarge`].
    async fn put_checkpoint(
        &self,
        fence: Fence,
        key: &str,
        value: &Json,
    ) -> Result<Result<(), Superseded>, StorageError>;

    /// Moves jobs whose instant has come to their lines, at most `limit` of them. Goes on with what is left to do, within the
    /// same bound, for the children of jobs that ended, for jobs that expired before their first run, and for jobs that
    /// wait at a limit where there is room now. [`Promoted::next_in_ms`] tells of the next of all these.
    async fn promote(&self, limit: usize) -> Result<Promoted, StorageError>;

    /// Asks for a job to be cancelled: one that runs is stopped first, one that waits is deleted at once, one that has
    /// ended is refused. `by` goes into the history.
    async fn cancel(&self, job: JobId, by: &str) -> Result<Commanded, StorageError>;

    /// Deletes a job: as `cancel`, but one that has succeeded or failed is deleted too.
    async fn delete(&self, job: JobId, by: &str) -> Result<Commanded, StorageError>;

    /// Deletes jobs as `delete` does, or cancels them as `cancel` does, all in one step: gives what came of each. Where one of them
    /// cannot be read, fails and changes nothing. No more than [`MAX_REMOVED_AT_ONCE`] should be given, so that others get their
    /// turn in between.
    async fn remove_all(&self, jobs: Vec<JobId>, how: Removal, by: &str) -> Result<Vec<Commanded>, StorageError>;

    /// Enqueues a job anew, with its attempts and losses counted from the start and its log empty. Refused for one that
    /// is enqueued or processing. It no longer waits for its parents, nor expires. One that is unique is refused with
    /// [`Commanded::Conflict`] where another job holds its key and counts for its rule, and becomes the holder otherwise.
    async fn requeue(&self, job: JobId, how: RequeueRequest, by: &str) -> Result<Commanded, StorageError>;

    /// Removes jobs that ended longer ago than they are kept, and old log lines: at most `limit` jobs, and no more at
    /// once than keeps the step short. Gives how many jobs; `limit` also where there is more to do than was done.
    ///
    /// A job that succeeded stays while a job that continues it is unfinished. With a job that failed, those that still wait
    /// for it to succeed are deleted.
    async fn prune(&self, limit: usize) -> Result<usize, StorageError>;

    /// One job with all that is known of it.
    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StorageError>;

    /// The jobs that a job continues, and those that continue it: in the order of their making, at most `limit` (1,000 at
    /// most). `cursor` is the `next` of the children's page. Nothing where there is no such job.
    async fn relations(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Option<Relations>, StorageError>;

    /// Jobs that pass the filter, newest first: by when they were made, and then by the order of storing. `cursor` is a page's `next`. State, queue, module, handler, tag and time
    /// are each answered by an index; what a filter asks beyond the index that serves it best is looked for job by job,
    /// for no longer than [`SCAN_BUDGET_MS`]: then the page says how far that went. A job whose record is damaged is left out, and
    /// counted as `damaged`.
    async fn jobs(
        &self,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobSummary>, StorageError>;

    /// How many jobs pass the filter, counted to [`MAX_COUNTED`] and for [`COUNT_BUDGET_MS`] at most.
    async fn count(&self, filter: &JobFilter) -> Result<FilteredCount, StorageError>;

    /// How many jobs there are, by state.
    async fn counts(&self) -> Result<Counts, StorageError>;

    /// What a job's runs logged, oldest first. `cursor` is a page's `next`; the last page has one too, to go on from.
    async fn logs(&self, job: JobId, cursor: Option<&str>, limit: usize) -> Result<Page<LogLine>, StorageError>;
}

/// A version of a module on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    /// The module.
    pub module: ModuleName,
    /// The SHA-256 of the bytes.
    pub digest: Digest,
    /// The component.
    pub bytes: Vec<u8>,
    /// The author's own version.
    pub version: String,
    /// What it was built with.
    pub sdk: String,
    /// What it can do.
    pub handlers: Vec<HandlerSpec>,
}

/// What came of retiring a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// It is retired.
    Done,
    /// There is no such version.
    Unknown,
    /// New jobs go to it: it is the active version, or the canary.
    Live,
    /// Jobs need it that have begun on it.
    Needed {
        /// How many wait to go on.
        waiting: u64,
        /// How many run.
        running: u64,
    },
}

/// Modules and the bytes of their versions.
#[async_trait]
pub trait ModuleStore: Send + Sync + 'static {
    /// Keeps a version without activating it. One that is known already is left as it is, but that it is not retired any more;
    /// gives whether it was known.
    async fn add_version(&self, version: NewVersion) -> Result<bool, StorageError>;

    /// Makes a known version the one that new jobs go to, moves jobs that wait for a handler it brings to their lines,
    /// and moves waiting jobs whose handler has changed its mode to the other line. It ends the module's canary, whichever
    /// version that was. Gives whether the version is known.
    async fn activate(&self, module: &ModuleName, digest: Digest) -> Result<bool, StorageError>;

    /// Makes a known version its module's canary, in place of any other: from now on a [`JobStore::claim`] pins those jobs to it
    /// that are pinned to none, [fall to it](windlass_api::falls_to_canary) and are for a handler that it has. `percent` is 1
    /// to 100. Gives whether the version is known.
    async fn set_canary(&self, module: &ModuleName, digest: Digest, percent: u8) -> Result<bool, StorageError>;

    /// Ends a module's canary: jobs that start from now on go to the active version. Gives which version it was.
    async fn end_canary(&self, module: &ModuleName) -> Result<Option<Digest>, StorageError>;

    /// Lets the jobs go that are pinned to a version and are enqueued or scheduled, each into the line of the mode that its
    /// handler has in the active version: they take a version anew when they are claimed. Not one step: where it fails, some may have been let go. Gives how many.
    async fn unpin(&self, module: &ModuleName, digest: Digest) -> Result<u64, StorageError>;

    /// Retires a version that no job needs: it can be neither activated nor made the canary any more, and its component is removed
    /// unless another module has a version of the same bytes. It is still listed. [`Self::add_version`] brings it back.
    async fn retire(&self, module: &ModuleName, digest: Digest) -> Result<Retirement, StorageError>;

    /// All modules by name.
    async fn modules(&self) -> Result<Vec<ModuleView>, StorageError>;

    /// The active version of a module.
    async fn active_version(&self, module: &ModuleName) -> Result<Option<VersionView>, StorageError>;

    /// The versions of a module that new jobs may go to: the active one, and then the canary.
    async fn live_versions(&self, module: &ModuleName) -> Result<Vec<VersionView>, StorageError>;

    /// A version, whether active or not.
    async fn version(&self, module: &ModuleName, digest: Digest) -> Result<Option<VersionView>, StorageError>;

    /// The component of a version.
    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError>;
}

/// What a server says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServer {
    /// Its id, new at every start.
    pub id: ServerId,
    /// The machine it runs on.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// The version of Windlass.
    pub version: String,
    /// The queues it takes from; empty where it takes from all.
    pub queues: Vec<QueueName>,
    /// How many slots for sync handlers.
    pub sync_slots: u32,
    /// How many slots for async handlers.
    pub async_slots: u32,
}

/// What a server says of itself with each heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Slots for sync handlers.
    pub sync_slots: SlotUse,
    /// Slots for async handlers.
    pub async_slots: SlotUse,
    /// How much memory its process holds, where its system tells.
    pub memory_bytes: Option<u64>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// The server lives on. Cancels are asked for these runs of its.
    Alive {
        /// The runs to stop.
        cancelled: Vec<Fence>,
    },
    /// The server was given up as lost, or is not known: it must stop its runs, and start anew under another id.
    Refused,
}

/// A server's heartbeat counter, for a sweeper to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The server.
    pub server: ServerId,
    /// Counts up with each heartbeat.
    pub beat: u64,
}

/// Servers and their heartbeats.
#[async_trait]
pub trait ServerStore: Send + Sync + 'static {
    /// Makes a server known.
    async fn register(&self, server: NewServer) -> Result<(), StorageError>;

    /// Says that a server lives.
    async fn heartbeat(&self, server: ServerId, vitals: Vitals) -> Result<Heartbeat, StorageError>;

    /// The counters of all known servers.
    async fn pulses(&self) -> Result<Vec<Pulse>, StorageError>;

    /// Gives a server up as lost, unless its counter has moved on meanwhile: forgets it, and takes its runs away. Each
    /// job is enqueued anew with the attempt counted, or fails: as `poison` after 3 lost servers, as `server-lost`
    /// without an attempt left; one whose cancel was asked for is deleted. Gives how many runs it had, or nothing where
    /// the counter moved.
    async fn sweep(&self, lost: Pulse) -> Result<Option<usize>, StorageError>;

    /// Forgets a server that stops in order and has settled all of its runs; any that it left are taken away as by
    /// `sweep`, without counting as a loss and with the attempt given back.
    async fn leave(&self, server: ServerId) -> Result<(), StorageError>;

    /// The servers that are known, as they are shown.
    async fn servers(&self) -> Result<Vec<ServerView>, StorageError>;
}

/// Queues as a whole.
#[async_trait]
pub trait QueueStore: Send + Sync + 'static {
    /// All queues that hold jobs or are paused, by name.
    async fn queues(&self) -> Result<Vec<QueueView>, StorageError>;

    /// Stops or resumes taking jobs from a queue.
    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StorageError>;

    /// What happened, by span and handler, oldest first, within a span by module and handler: at most the newest
    /// [`MAX_SPANS`] spans up to `before`, whether anything happened in them or not. A span in which nothing happened to a
    /// handler has no row. More than [`MAX_COUNTER_ROWS`] rows are refused with [`StorageError::TooLarge`].
    ///
    /// Each thing is counted in the span of the step that it happened in. `made` are jobs that were stored, not those that
    /// were there already or came by an import. `runs`, `run_us` and `fuel` come from settlements that took effect,
    /// without those whose run never [began](crate::Next::has_run);
    /// `retried` are those of them that were a retry and not turned into a deletion. `succeeded`, `failed` and `deleted`
    /// count every step into that state, whoever took it. [`JobStore::prune`] removes a row when its span has ended as long
    /// ago as its grain is kept.
    async fn counters(&self, query: &CounterQuery) -> Result<Vec<CounterRow>, StorageError>;
}

/// What changed in a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Jobs may be ready to be claimed, or an earlier instant waits.
    Work,
    /// A cancel was asked for a run.
    Cancel(Fence),
    /// A version was activated, or a canary has changed.
    Modules,
}

/// Tells of changes as they happen. It may miss some: whoever listens looks for itself now and then.
pub trait Wake: Send + Sync {
    /// What changes from now on. Register first, then look, so that nothing falls in between.
    fn signals(&self) -> broadcast::Receiver<Signal>;

    /// The jobs that end from now on: it serves those who wait for one. Nothing where the storage does not tell.
    fn ends(&self) -> Option<broadcast::Receiver<JobId>> {
        None
    }
}
