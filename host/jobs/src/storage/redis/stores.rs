//! The storage traits, each method handed to the script that does it.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Value;
use tokio::task::AbortHandle;
use windlass_api::{
    CounterQuery, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobFilter, JobId, JobSummary, Json,
    LogLine, ModuleName, ModuleView, Page, QueueName, QueueView, RecurringName, Relations, RequeueRequest, ServerId,
    ServerView, State, VersionView,
};

use super::{
    commands::Ask,
    fault::{code, of_job, storage_error},
    hub::Hub,
    jobs::Claims,
    link::Link,
    script::{Call, Script},
};
use crate::{
    Claimed, Clock, Fence, NewJob, Settlement,
    storage::{
        ClaimRequest, Commanded, Due, ExportPart, Finding, Heartbeat, JobStore, Migration, ModuleStore, NewServer,
        NewVersion, Note, Promoted, Pulse, Put, QueueStore, Record, RecurringEntry, RecurringStore, Removal, Retention,
        Retirement, ServerStore, Storage, StorageError, Superseded, Transfer, Vitals, Wake,
    },
};

/// A namespace of a Redis as a storage.
#[derive(Debug)]
pub struct RedisStorage {
    pub(super) link: Arc<Link>,
    /// What every key begins with: `{NAME}:`.
    pub(super) prefix: String,
    pub(super) hub: Arc<Hub>,
    pub(super) claims: Claims,
    pub(super) retention: Retention,
    /// Absent where Redis' own clock counts.
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) listener: Option<AbortHandle>,
    pub(super) migration: Migration,
}

impl RedisStorage {
    /// The key of something that belongs to a job.
    pub(super) fn key(&self, kind: char, job: JobId) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + 18);
        key.extend(self.prefix.as_bytes());
        key.extend([kind as u8, b':']);
        key.extend(job.0.as_bytes());
        key
    }

    pub(super) fn call(&self, script: &'static Script) -> Call {
        let now = self.clock.as_ref().map(|clock| clock.now().0.to_string()).unwrap_or_default();
        Call::new(script, &self.prefix, &now, &self.hub.origin)
    }

    pub(super) async fn run(&self, call: Call) -> Result<Value, StorageError> {
        let answer = match self.link.send(&call.command).await? {
            // The server has not met the script since it was started; it did nothing.
            Err(error) if code(&error) == "NOSCRIPT" => self.link.send(&call.with_code()).await?,
            answer => answer,
        };
        answer.map_err(|error| storage_error(&error, self.link.name()))
    }

    /// The same where an error about a record is about this job's.
    pub(super) async fn run_for(&self, job: JobId, call: Call) -> Result<Value, StorageError> {
        self.run(call).await.map_err(|error| of_job(error, job))
    }
}

impl Drop for RedisStorage {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

#[async_trait]
impl Storage for RedisStorage {
    async fn findings(&self) -> Result<Vec<Finding>, StorageError> {
        self.all_findings().await
    }

    fn wake(&self) -> Option<&dyn Wake> {
        Some(self.hub.as_ref())
    }
}

#[async_trait]
impl JobStore for RedisStorage {
    async fn enqueue(&self, jobs: Vec<NewJob>, by: &str) -> Result<Vec<Enqueued>, StorageError> {
        self.store(&jobs, by).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, StorageError> {
        self.hand_over(request).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Result<State, Superseded>>, StorageError> {
        self.end_runs(&settlements).await
    }

    async fn note(&self, notes: Vec<Note>) -> Result<Vec<Result<(), Superseded>>, StorageError> {
        self.keep_notes(&notes).await
    }

    async fn checkpoint(&self, job: JobId, key: &str) -> Result<Option<Json>, StorageError> {
        self.read_checkpoint(job, key).await
    }

    async fn put_checkpoint(
        &self,
        fence: Fence,
        key: &str,
        value: &Json,
    ) -> Result<Result<(), Superseded>, StorageError> {
        self.keep_checkpoint(fence, key, value).await
    }

    async fn promote(&self, limit: usize) -> Result<Promoted, StorageError> {
        self.move_due(limit).await
    }

    async fn cancel(&self, job: JobId, by: &str) -> Result<Commanded, StorageError> {
        self.remove(job, Ask::Cancel, by).await
    }

    async fn delete(&self, job: JobId, by: &str) -> Result<Commanded, StorageError> {
        self.remove(job, Ask::Delete, by).await
    }

    async fn remove_all(&self, jobs: Vec<JobId>, how: Removal, by: &str) -> Result<Vec<Commanded>, StorageError> {
        let ask = if how.deletes_ended { Ask::Delete } else { Ask::Cancel };
        self.remove_in_one_step(&jobs, ask, how.expected_state, by).await
    }

    async fn requeue(&self, job: JobId, how: RequeueRequest, by: &str) -> Result<Commanded, StorageError> {
        self.enqueue_anew(job, how, by).await
    }

    async fn prune(&self, limit: usize) -> Result<usize, StorageError> {
        self.remove_old(limit).await
    }

    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StorageError> {
        Ok(self.whole(job).await?.map(|whole| whole.detail))
    }

    async fn relations(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Option<Relations>, StorageError> {
        self.relatives(job, cursor, limit).await
    }

    async fn jobs(
        &self,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobSummary>, StorageError> {
        self.page(filter, cursor, limit).await
    }

    async fn count(&self, filter: &JobFilter) -> Result<FilteredCount, StorageError> {
        self.filtered_count(filter).await
    }

    async fn counts(&self) -> Result<Counts, StorageError> {
        self.all_counts().await
    }

    async fn logs(&self, job: JobId, cursor: Option<&str>, limit: usize) -> Result<Page<LogLine>, StorageError> {
        self.log_page(job, cursor, limit).await
    }
}

#[async_trait]
impl ModuleStore for RedisStorage {
    async fn add_version(&self, version: NewVersion) -> Result<bool, StorageError> {
        self.keep_version(&version).await
    }

    async fn activate(&self, module: &ModuleName, digest: Digest) -> Result<bool, StorageError> {
        self.make_active(module, digest).await
    }

    async fn set_canary(&self, module: &ModuleName, digest: Digest, percent: u8) -> Result<bool, StorageError> {
        self.make_canary(module, digest, percent).await
    }

    async fn end_canary(&self, module: &ModuleName) -> Result<Option<Digest>, StorageError> {
        self.drop_canary(module).await
    }

    async fn unpin(&self, module: &ModuleName, digest: Digest) -> Result<u64, StorageError> {
        let scheduled = self.let_go(module, digest, State::Scheduled).await?;
        Ok(scheduled + self.let_go(module, digest, State::Enqueued).await?)
    }

    async fn retire(&self, module: &ModuleName, digest: Digest) -> Result<Retirement, StorageError> {
        self.retire_version(module, digest).await
    }

    async fn modules(&self) -> Result<Vec<ModuleView>, StorageError> {
        self.all_modules().await
    }

    async fn active_version(&self, module: &ModuleName) -> Result<Option<VersionView>, StorageError> {
        let versions = self.versions(Some(module)).await?;
        Ok(versions.into_iter().map(|row| row.view).find(|view| view.active))
    }

    async fn live_versions(&self, module: &ModuleName) -> Result<Vec<VersionView>, StorageError> {
        let versions = self.versions(Some(module)).await?;
        let live = versions.into_iter().map(|row| row.view).filter(|view| view.active || view.canary_percent.is_some());
        let mut live = live.collect::<Vec<_>>();
        live.sort_by_key(|view| !view.active);
        Ok(live)
    }

    async fn version(&self, module: &ModuleName, digest: Digest) -> Result<Option<VersionView>, StorageError> {
        let versions = self.versions(Some(module)).await?;
        Ok(versions.into_iter().map(|row| row.view).find(|view| view.digest == digest))
    }

    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        self.bytes_of(digest).await
    }
}

#[async_trait]
impl ServerStore for RedisStorage {
    async fn register(&self, server: NewServer) -> Result<(), StorageError> {
        self.make_known(&server).await
    }

    async fn heartbeat(&self, server: ServerId, vitals: Vitals) -> Result<Heartbeat, StorageError> {
        self.beat(server, vitals).await
    }

    async fn pulses(&self) -> Result<Vec<Pulse>, StorageError> {
        self.all_pulses().await
    }

    async fn sweep(&self, lost: Pulse) -> Result<Option<usize>, StorageError> {
        self.give_up(lost.server, Some(lost.beat)).await
    }

    async fn leave(&self, server: ServerId) -> Result<(), StorageError> {
        self.give_up(server, None).await.map(drop)
    }

    async fn servers(&self) -> Result<Vec<ServerView>, StorageError> {
        self.all_servers().await
    }
}

#[async_trait]
impl QueueStore for RedisStorage {
    async fn queues(&self) -> Result<Vec<QueueView>, StorageError> {
        self.all_queues().await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StorageError> {
        self.pause(queue, paused).await
    }

    async fn counters(&self, query: &CounterQuery) -> Result<Vec<CounterRow>, StorageError> {
        self.happened(query).await
    }
}

#[async_trait]
impl RecurringStore for RedisStorage {
    async fn put_recurring(
        &self,
        entry: RecurringEntry,
        expected: Option<u64>,
        jobs: Vec<NewJob>,
    ) -> Result<Option<Put>, StorageError> {
        self.change_recurring(&entry, expected, &jobs).await
    }

    async fn remove_recurring(&self, name: &RecurringName, expected: Option<u64>) -> Result<bool, StorageError> {
        self.drop_recurring(name, expected).await
    }

    async fn recurring(&self, name: &RecurringName) -> Result<Option<RecurringEntry>, StorageError> {
        self.one_recurring(name).await
    }

    async fn recurring_entries(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RecurringEntry>, StorageError> {
        self.recurring_page(cursor, limit).await
    }

    async fn due_recurring(&self, limit: usize) -> Result<Due, StorageError> {
        self.due(limit).await
    }
}

#[async_trait]
impl Transfer for RedisStorage {
    async fn export(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StorageError> {
        self.export_page(cursor, limit).await
    }

    async fn export_readable(&self, cursor: Option<&str>, limit: usize) -> Result<ExportPart, StorageError> {
        self.export_part(cursor, limit).await
    }

    async fn import(&self, records: Vec<Record>) -> Result<usize, StorageError> {
        self.import_records(&records).await
    }
}
