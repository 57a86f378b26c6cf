//! A storage around another: every verb of every trait goes through one function.

/// Implements all traits of a storage for a type that has `inner: Arc<dyn Storage>` and
/// `async fn call(&self, verb: &'static str, attempt)`, where an attempt carries the verb out on the inner storage.
macro_rules! decorate {
    ($type:ident) => {
        decorate! { @ $type
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
        impl Storage for $type {
            async fn findings(&self) -> Result<Vec<Finding>, StorageError> {
                self.call("findings", || self.inner.findings()).await
            }

            fn wake(&self) -> Option<&dyn Wake> {
                self.inner.wake()
            }

            fn is_for_host(&self) -> bool {
                self.inner.is_for_host()
            }

            async fn close(&self) {
                self.inner.close().await;
            }
        }
    };
    (@ $type:ident $($trait:ident { $($verb:ident($($name:ident: $kind:ty),*) -> $answer:ty;)* })*) => {
        $(
            #[async_trait]
            impl $trait for $type {
                $(
                    async fn $verb(&self, $($name: $kind),*) -> Result<$answer, StorageError> {
                        // A verb may be carried out again, so that each attempt gets arguments of its own.
                        self.call(stringify!($verb), || self.inner.$verb($(Clone::clone(&$name)),*)).await
                    }
                )*
            }
        )*
    };
}

/// What [`decorate!`] names.
macro_rules! decorated_names {
    () => {
        use async_trait::async_trait;
        use windlass_api::{
            AuditEntry, CounterQuery, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobFilter, JobId,
            JobSummary, Json, LimitRule, LimitTarget, LimitView, LogLine, ModuleName, ModuleView, Page, QueueName,
            QueueView, RecurringName, Relations, RequeueRequest, ServerId, ServerView, State, VersionView,
        };

        use crate::{
            Claimed, Fence, NewJob, Settlement,
            storage::{
                AuditStore, ClaimRequest, Commanded, Due, ExportPart, Finding, Heartbeat, JobStore, LimitStore,
                ModuleStore, NewServer, NewVersion, Note, Promoted, Pulse, Put, QueueStore, Record, RecurringEntry,
                RecurringStore, Removal, Retirement, ServerStore, Storage, StorageError, Superseded, Transfer, Vitals,
                Wake,
            },
        };
    };
}

pub(super) use {decorate, decorated_names};
