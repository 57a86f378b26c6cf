//! A storage around another that measures how long each verb takes.

use std::{future::Future, sync::Arc, time::Instant};

use async_trait::async_trait;
use windlass_api::{
    AuditEntry, CounterQuery, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobFilter, JobId,
    JobSummary, Json, LimitRule, LimitTarget, LimitView, LogLine, ModuleName, ModuleView, Page, QueueName, QueueView,
    RecurringName, Relations, RequeueRequest, ServerId, ServerView, State, VersionView,
};
use windlass_jobs::{
    Claimed, Fence, NewJob, Settlement,
    storage::{
        AuditStore, ClaimRequest, Commanded, Due, ExportPart, Finding, Heartbeat, JobStore, LimitStore, ModuleStore,
        NewServer, NewVersion, Note, Promoted, Pulse, Put, QueueStore, Record, RecurringEntry, RecurringStore, Removal,
        Retirement, ServerStore, Storage, StorageError, Superseded, Transfer, Vitals, Wake, postgres::PostgresStorage,
    },
};

use super::Metrics;

/// The storage, measured.
pub(crate) struct Measured {
    inner: Arc<dyn Storage>,
    metrics: Arc<Metrics>,
}

impl Measured {
    pub(crate) fn around(inner: Arc<dyn Storage>, metrics: Arc<Metrics>) -> Arc<dyn Storage> {
        Arc::new(Self { inner, metrics })
    }

    async fn call<T>(
        &self,
        verb: &'static str,
        answer: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let begun_at = Instant::now();
        let answer = answer.await;
        self.metrics.storage_answered(verb, begun_at.elapsed(), answer.is_ok());
        answer
    }
}

macro_rules! measured {
    ($($trait:ident { $($verb:ident($($name:ident: $kind:ty),*) -> $answer:ty;)* })*) => {
        $(
            #[async_trait]
            #[deny(clippy::missing_trait_methods)]
            impl $trait for Measured {
                $(
                    async fn $verb(&self, $($name: $kind),*) -> Result<$answer, StorageError> {
                        self.call(stringify!($verb), self.inner.$verb($($name),*)).await
                    }
                )*
            }
        )*
    };
}

measured! {
    JobStore {
        enqueue(jobs: Vec<NewJob>, by: &str) -> Vec<Enqueued>;
        claim(request: &ClaimRequest) -> Vec<Claimed>;
        settle(settlements: Vec<Settlement>) -> Vec<Result<State, Superseded>>;
        note(notes: Vec<Note>) -> Vec<Result<(), Superseded>>;
        checkpoint(job: JobId, key: &str) -> Option<Json>;
        put_checkpoint(fence: Fence, key: &str, value: &Json) -> Result<(), Superseded>;
        promote(limit: usize) -> Promoted;
        cancel(job: JobId, by: &str) -> Commanded;
        delete(job: JobId, by: &str) -> Commanded;
        remove_all(jobs: Vec<JobId>, how: Removal, by: &str) -> Vec<Commanded>;
        requeue(job: JobId, how: RequeueRequest, by: &str) -> Commanded;
        prune(limit: usize) -> usize;
        job(job: JobId) -> Option<JobDetail>;
        relations(job: JobId, cursor: Option<&str>, limit: usize) -> Option<Relations>;
        jobs(filter: &JobFilter, cursor: Option<&str>, limit: usize) -> Page<JobSummary>;
        count(filter: &JobFilter) -> FilteredCount;
        counts() -> Counts;
        logs(job: JobId, cursor: Option<&str>, limit: usize) -> Page<LogLine>;
    }
    ModuleStore {
        add_version(version: NewVersion) -> bool;
        activate(module: &ModuleName, digest: Digest) -> bool;
        set_canary(module: &ModuleName, digest: Digest, percent: u8) -> bool;
        end_canary(module: &ModuleName) -> Option<Digest>;
        unpin(module: &ModuleName, digest: Digest) -> u64;
        retire(module: &ModuleName, digest: Digest) -> Retirement;
        modules() -> Vec<ModuleView>;
        active_version(module: &ModuleName) -> Option<VersionView>;
        live_versions(module: &ModuleName) -> Vec<VersionView>;
        version(module: &ModuleName, digest: Digest) -> Option<VersionView>;
        component(digest: Digest) -> Option<Vec<u8>>;
    }
    ServerStore {
        register(server: NewServer) -> ();
        heartbeat(server: ServerId, vitals: Vitals) -> Heartbeat;
        pulses() -> Vec<Pulse>;
        sweep(lost: Pulse) -> Option<usize>;
        leave(server: ServerId) -> ();
        servers() -> Vec<ServerView>;
    }
    QueueStore {
        queues() -> Vec<QueueView>;
        set_paused(queue: &QueueName, paused: bool) -> ();
        counters(query: &CounterQuery) -> Vec<CounterRow>;
    }
    LimitStore {
        limits() -> Vec<LimitView>;
        put_limit(target: &LimitTarget, rule: LimitRule) -> ();
        remove_limit(target: &LimitTarget) -> bool;
    }
    RecurringStore {
        put_recurring(entry: RecurringEntry, expected: Option<u64>, jobs: Vec<NewJob>) -> Option<Put>;
        remove_recurring(name: &RecurringName, expected: Option<u64>) -> bool;
        recurring(name: &RecurringName) -> Option<RecurringEntry>;
        recurring_entries(cursor: Option<&str>, limit: usize) -> Page<RecurringEntry>;
        due_recurring(limit: usize) -> Due;
    }
    AuditStore {
        record_audit(entries: Vec<AuditEntry>) -> ();
        audit(cursor: Option<&str>, limit: usize) -> Page<AuditEntry>;
    }
    Transfer {
        export(cursor: Option<&str>, limit: usize) -> Page<Record>;
        export_readable(cursor: Option<&str>, limit: usize) -> ExportPart;
        import(records: Vec<Record>) -> usize;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Storage for Measured {
    async fn findings(&self) -> Result<Vec<Finding>, StorageError> {
        self.call("findings", self.inner.findings()).await
    }

    fn wake(&self) -> Option<&dyn Wake> {
        self.inner.wake()
    }

    fn is_for_host(&self) -> bool {
        self.inner.is_for_host()
    }

    fn as_postgres(&self) -> Option<&PostgresStorage> {
        self.inner.as_postgres()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
