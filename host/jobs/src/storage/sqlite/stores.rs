//! The storage traits, each method handed to the writing thread or to a reading one.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use windlass_api::{
    CounterQuery, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobFilter, JobId, JobSummary, Json,
    LogLine, ModuleName, ModuleView, Page, QueueName, QueueView, Relations, RequeueRequest, ServerId, ServerView,
    State, VersionView,
};

use super::{
    claim::{self, Care},
    commands, counters,
    damage::{Extent, MAX_SUSPECTS, Suspect, set_suspect_aside},
    enqueue::{self, Unfit},
    export,
    fault::{DAMAGED_FILE, Fault},
    findings, flow,
    ground::Ground,
    hub::Hub,
    import, list, modules, notes,
    operation::{Durability, Fold, Step},
    options::{Role, Synchronous},
    pen::Pen,
    promote::{self, Removed},
    queues,
    readers::Readers,
    servers::{self, Passing},
    settle, show,
    tx::Tx,
};
use crate::{
    Claimed, Clock, Fence, NewJob, Settlement,
    storage::{
        COUNT_BUDGET_MS, ClaimRequest, Commanded, ExportPart, Finding, Heartbeat, JobStore, MAX_COUNTER_ROWS,
        ModuleStore, NewServer, NewVersion, Note, Promoted, Pulse, QueueStore, Record, Removal, Retention, Retirement,
        SCAN_BUDGET_MS, ServerStore, Storage, StorageError, Superseded, Transfer, Vitals, Wake,
    },
};

/// How long jobs are looked at one by one.
const SCAN_BUDGET: Duration = Duration::from_millis(SCAN_BUDGET_MS);

/// For how long a count may.
const COUNT_BUDGET: Duration = Duration::from_millis(COUNT_BUDGET_MS);

/// How many jobs that cannot be removed, or written when they expire, are gone on past: with more than that, the file is beyond going on.
const MAX_STUCK: usize = 1_000;

/// A storage in one SQLite file, or in memory.
#[derive(Debug)]
pub struct SqliteStorage {
    pub(super) pen: Pen,
    /// Absent for a database in memory, which has one connection only.
    pub(super) readers: Option<Readers>,
    pub(super) hub: Arc<Hub>,
    pub(super) ground: Arc<Ground>,
    pub(super) retention: Retention,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) synchronous: Synchronous,
    pub(super) role: Role,
    /// Where the file is; absent for a database in memory.
    pub(super) path: Option<PathBuf>,
    /// The jobs that cannot be removed, or deleted as expired, when their time is over. Held only while a step of removing works, so that
    /// nobody waits for it for long.
    pub(super) stuck: Arc<Mutex<HashSet<i64>>>,
    /// Bounds what queues up for the writing thread.
    pub(super) room: Semaphore,
}

impl SqliteStorage {
    /// Carries out a step on the writing thread; answers when it is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        step: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        let closed = || StorageError::Unavailable("the storage is closed".to_owned());
        let _room = self.room.acquire().await.map_err(|_| closed())?;
        let (step, answered) = Step::new(durability, step);
        if !self.pen.send(Box::new(step)) {
            return Err(closed());
        }
        answered.await.map_err(|_| closed())?.map_err(|error| self.named(error))
    }

    /// Says which file is damaged.
    fn named(&self, error: StorageError) -> StorageError {
        match (error, &self.path) {
            (StorageError::Damaged(text), Some(path)) if text == DAMAGED_FILE => {
                StorageError::Damaged(format!("{text}, {}: restore it from a backup", path.display()))
            }
            (error, _) => error,
        }
    }

    /// Takes a job out of its line that stands on a damaged page, and as far as it can still be written ends it as failed.
    async fn set_aside(&self, seq: i64, met_in: State) -> Result<(), StorageError> {
        tracing::error!(job = seq, "a job is passed over, because the database file is damaged where it stands");
        let mut outcome = Ok(());
        for extent in Extent::ALL {
            outcome = self.write(Durability::Promised, move |tx| set_suspect_aside(tx, seq, met_in, extent)).await;
            if !matches!(outcome, Err(StorageError::Damaged(_))) {
                break;
            }
        }
        outcome
    }

    /// Takes runs away, and goes on past jobs that stand on damaged pages. Where nobody can tell any more whose run such a job
    /// is, it stays as it is.
    async fn past_suspects<T: Send + 'static>(
        &self,
        step: impl Fn(&mut Tx<'_>, &Passing) -> Result<T, Fault> + Clone + Send + 'static,
    ) -> Result<T, StorageError> {
        let passing = Arc::new(Passing::default());
        let mut left = MAX_SUSPECTS;
        loop {
            let (step, met) = (step.clone(), Arc::clone(&passing));
            let outcome = self.write(Durability::Promised, move |tx| step(tx, &met)).await;
            match passing.suspect.take() {
                Some(seq) if outcome.is_err() && left > 0 => {
                    self.set_aside(seq, State::Processing).await?;
                    passing.pass(seq);
                    left -= 1;
                }
                _ => return outcome,
            }
        }
    }

    /// Remembers a job that cannot be written; gives whether there was room for it.
    fn stick(&self, seq: i64) -> bool {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.len() < MAX_STUCK && stuck.insert(seq)
    }

    /// Removes jobs whose time is over. Those that stand on a damaged page are remembered and stay.
    async fn prune_jobs(&self, limit: usize) -> Result<Removed, StorageError> {
        let suspect = Arc::new(Suspect::default());
        loop {
            let (stuck, met) = (Arc::clone(&self.stuck), Arc::clone(&suspect));
            let prune = move |tx: &mut Tx<'_>| {
                let stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
                promote::prune_jobs(tx, limit, &stuck, &met)
            };
            let removed = self.write(Durability::Relaxed, prune).await;
            let seq = match suspect.take() {
                Some(seq) if removed.is_err() => seq,
                _ => return removed,
            };
            if !self.stick(seq) {
                return removed;
            }
            tracing::error!(job = seq, "a job is not removed, because the database file is damaged where it stands");
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        // What is read of a file that is gone would hide that from whoever looks.
        self.ground.look_at_times()?;
        match &self.readers {
            Some(readers) => readers.look(look).await.map_err(|error| self.named(error)),
            None => self.write(Durability::Relaxed, move |tx| look(tx.db)).await,
        }
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn findings(&self) -> Result<Vec<Finding>, StorageError> {
        let (path, synchronous) = (self.path.clone(), self.synchronous);
        let retention = self.retention;
        self.read(move |db| Ok(findings::findings(db, path.as_deref(), synchronous, &retention))).await
    }

    fn wake(&self) -> Option<&dyn Wake> {
        Some(self.hub.as_ref())
    }

    fn is_for_host(&self) -> bool {
        self.role == Role::Host
    }

    /// Folds the log into the database file, once everything that queued up before is committed.
    async fn close(&self) {
        let (fold, folded) = Fold::new();
        if self.pen.send(Box::new(fold)) {
            // Where the thread is gone, it has folded the log on its way out.
            let _ = folded.await;
        }
    }
}

#[async_trait]
impl JobStore for SqliteStorage {
    async fn enqueue(&self, jobs: Vec<NewJob>, by: &str) -> Result<Vec<Enqueued>, StorageError> {
        let by = by.to_owned();
        self.write(Durability::Promised, move |tx| enqueue::enqueue(tx, &jobs, &by, Unfit::Refuse)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, StorageError> {
        let suspect = Arc::new(Suspect::default());
        let attempt = |care| {
            let (request, met) = (request.clone(), Arc::clone(&suspect));
            // A claim that a power cut takes back leaves the job in its line, and the server that held it is gone too.
            self.write(Durability::Relaxed, move |tx| claim::claim(tx, &request, care, &met))
        };
        let claimed = attempt(Care::None).await;
        if !matches!(claimed, Err(StorageError::Damaged(_))) {
            return claimed;
        }
        suspect.take();
        for _ in 0..MAX_SUSPECTS {
            let claimed = attempt(Care::EachJob).await;
            match suspect.take() {
                Some(seq) if claimed.is_err() => self.set_aside(seq, State::Enqueued).await?,
                _ => return claimed,
            }
        }
        Ok(Vec::new())
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Result<State, Superseded>>, StorageError> {
        self.write(Durability::Promised, move |tx| settle::settle(tx, &settlements)).await
    }

    async fn note(&self, notes: Vec<Note>) -> Result<Vec<Result<(), Superseded>>, StorageError> {
        self.write(Durability::Relaxed, move |tx| notes::note(tx, &notes)).await
    }

    async fn checkpoint(&self, job: JobId, key: &str) -> Result<Option<Json>, StorageError> {
        let key = key.to_owned();
        self.read(move |db| notes::checkpoint(db, job, &key)).await
    }

    async fn put_checkpoint(
        &self,
        fence: Fence,
        key: &str,
        value: &Json,
    ) -> Result<Result<(), Superseded>, StorageError> {
        let (key, value) = (key.to_owned(), value.clone());
        self.write(Durability::Promised, move |tx| notes::put_checkpoint(tx, &fence, &key, &value)).await
    }

    async fn promote(&self, limit: usize) -> Result<Promoted, StorageError> {
        let suspect = Arc::new(Suspect::default());
        for _ in 0..MAX_SUSPECTS {
            let (stuck, met) = (Arc::clone(&self.stuck), Arc::clone(&suspect));
            let promote = move |tx: &mut Tx<'_>| {
                let stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
                promote::promote(tx, limit, &stuck, &met)
            };
            let promoted = self.write(Durability::Relaxed, promote).await;
            let seq = match suspect.take() {
                Some(seq) if promoted.is_err() => seq,
                _ => return promoted,
            };
            // It may have been due, waited for others or at a limit, or have expired in any of these.
            for met_in in [State::Scheduled, State::Awaiting, State::Enqueued] {
                self.set_aside(seq, met_in).await?;
            }
            self.stick(seq);
        }
        // The rest comes with the next call, which may come at once.
        Ok(Promoted { moved: 0, next_in_ms: Some(0) })
    }

    async fn cancel(&self, job: JobId, by: &str) -> Result<Commanded, StorageError> {
        let by = by.to_owned();
        self.write(Durability::Promised, move |tx| commands::cancel(tx, job, &by)).await
    }

    async fn delete(&self, job: JobId, by: &str) -> Result<Commanded, StorageError> {
        let by = by.to_owned();
        self.write(Durability::Promised, move |tx| commands::delete(tx, job, &by)).await
    }

    async fn remove_all(&self, jobs: Vec<JobId>, how: Removal, by: &str) -> Result<Vec<Commanded>, StorageError> {
        let by = by.to_owned();
        self.write(Durability::Promised, move |tx| commands::remove_all(tx, &jobs, how, &by)).await
    }

    async fn requeue(&self, job: JobId, how: RequeueRequest, by: &str) -> Result<Commanded, StorageError> {
        let by = by.to_owned();
        self.write(Durability::Promised, move |tx| commands::requeue(tx, job, how, &by)).await
    }

    async fn prune(&self, limit: usize) -> Result<usize, StorageError> {
        let removed = self.prune_jobs(limit).await?;
        if removed.lines_left == 0 {
            return Ok(limit);
        }
        let rows = move |tx: &mut Tx<'_>| promote::prune_rows(tx, removed.lines_left);
        match self.write(Durability::Relaxed, rows).await {
            // Where jobs were kept for others, more may stand behind them.
            Ok(all) => Ok(if all && removed.kept == 0 { removed.jobs } else { limit }),
            // The jobs are removed all the same, now and by the next calls.
            Err(error @ StorageError::Damaged(_)) => {
                tracing::error!(%error, "old log lines or counters cannot be removed");
                Ok(removed.jobs)
            }
            Err(error) => Err(error),
        }
    }

    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StorageError> {
        let retention = self.retention;
        self.read(move |db| show::detail(db, &retention, job)).await
    }

    async fn relations(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Option<Relations>, StorageError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| flow::relations(db, job, cursor.as_deref(), limit)).await
    }

    async fn jobs(
        &self,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobSummary>, StorageError> {
        let (filter, cursor) = (filter.clone(), cursor.map(str::to_owned));
        self.read(move |db| list::jobs(db, &filter, cursor.as_deref(), limit, SCAN_BUDGET)).await
    }

    async fn count(&self, filter: &JobFilter) -> Result<FilteredCount, StorageError> {
        let filter = filter.clone();
        self.read(move |db| list::count(db, &filter, COUNT_BUDGET)).await
    }

    async fn counts(&self) -> Result<Counts, StorageError> {
        self.read(queues::counts).await
    }

    async fn logs(&self, job: JobId, cursor: Option<&str>, limit: usize) -> Result<Page<LogLine>, StorageError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| notes::logs(db, job, cursor.as_deref(), limit)).await
    }
}

#[async_trait]
impl ModuleStore for SqliteStorage {
    async fn add_version(&self, version: NewVersion) -> Result<bool, StorageError> {
        self.write(Durability::Promised, move |tx| modules::add_version(tx, &version)).await
    }

    async fn activate(&self, module: &ModuleName, digest: Digest) -> Result<bool, StorageError> {
        let module = module.clone();
        self.write(Durability::Promised, move |tx| modules::activate(tx, &module, digest)).await
    }

    async fn set_canary(&self, module: &ModuleName, digest: Digest, percent: u8) -> Result<bool, StorageError> {
        let module = module.clone();
        self.write(Durability::Promised, move |tx| modules::set_canary(tx, &module, digest, percent)).await
    }

    async fn end_canary(&self, module: &ModuleName) -> Result<Option<Digest>, StorageError> {
        let module = module.clone();
        self.write(Durability::Promised, move |tx| modules::end_canary(tx, &module)).await
    }

    async fn unpin(&self, module: &ModuleName, digest: Digest) -> Result<u64, StorageError> {
        let (mut unpinned, mut from) = (0, Some(modules::NONE_UNPINNED));
        while let Some(after) = from {
            let module = module.clone();
            let step = self.write(Durability::Promised, move |tx| modules::unpin(tx, &module, digest, after)).await?;
            (unpinned, from) = (unpinned + step.0, step.1);
        }
        Ok(unpinned)
    }

    async fn retire(&self, module: &ModuleName, digest: Digest) -> Result<Retirement, StorageError> {
        let module = module.clone();
        self.write(Durability::Promised, move |tx| modules::retire(tx, &module, digest)).await
    }

    async fn modules(&self) -> Result<Vec<ModuleView>, StorageError> {
        self.read(modules::modules).await
    }

    async fn live_versions(&self, module: &ModuleName) -> Result<Vec<VersionView>, StorageError> {
        let module = module.clone();
        self.read(move |db| modules::live_versions(db, &module)).await
    }

    async fn active_version(&self, module: &ModuleName) -> Result<Option<VersionView>, StorageError> {
        let module = module.clone();
        self.read(move |db| modules::active_version(db, &module)).await
    }

    async fn version(&self, module: &ModuleName, digest: Digest) -> Result<Option<VersionView>, StorageError> {
        let module = module.clone();
        self.read(move |db| modules::version(db, &module, digest)).await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        self.read(move |db| modules::component(db, digest)).await
    }
}

#[async_trait]
impl ServerStore for SqliteStorage {
    async fn register(&self, server: NewServer) -> Result<(), StorageError> {
        self.write(Durability::Promised, move |tx| servers::register(tx, &server)).await
    }

    async fn heartbeat(&self, server: ServerId, vitals: Vitals) -> Result<Heartbeat, StorageError> {
        // Without its lock another host may start, so the server must not go on for as long as its lease would let it.
        if self.ground.look().is_err() {
            return Ok(Heartbeat::Refused);
        }
        self.write(Durability::Relaxed, move |tx| servers::heartbeat(tx, server, vitals)).await
    }

    async fn pulses(&self) -> Result<Vec<Pulse>, StorageError> {
        self.read(servers::pulses).await
    }

    async fn sweep(&self, lost: Pulse) -> Result<Option<usize>, StorageError> {
        self.past_suspects(move |tx, passing| servers::sweep(tx, lost, passing)).await
    }

    async fn leave(&self, server: ServerId) -> Result<(), StorageError> {
        self.past_suspects(move |tx, passing| servers::leave(tx, server, passing)).await
    }

    async fn servers(&self) -> Result<Vec<ServerView>, StorageError> {
        self.read(servers::servers).await
    }
}

#[async_trait]
impl QueueStore for SqliteStorage {
    async fn queues(&self) -> Result<Vec<QueueView>, StorageError> {
        self.read(queues::queues).await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StorageError> {
        let queue = queue.clone();
        self.write(Durability::Promised, move |tx| queues::set_paused(tx, &queue, paused)).await
    }
    async fn counters(&self, query: &CounterQuery) -> Result<Vec<CounterRow>, StorageError> {
        let query = query.clone();
        self.read(move |db| counters::counters(db, &query, MAX_COUNTER_ROWS)).await
    }
}

#[async_trait]
impl Transfer for SqliteStorage {
    async fn export(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StorageError> {
        let (cursor, retention) = (cursor.map(str::to_owned), self.retention);
        self.read(move |db| export::export(db, &retention, cursor.as_deref(), limit)).await
    }

    async fn export_readable(&self, cursor: Option<&str>, limit: usize) -> Result<ExportPart, StorageError> {
        let (cursor, retention) = (cursor.map(str::to_owned), self.retention);
        self.read(move |db| export::export_readable(db, &retention, cursor.as_deref(), limit)).await
    }

    async fn import(&self, records: Vec<Record>) -> Result<usize, StorageError> {
        self.write(Durability::Promised, move |tx| import::import(tx, &records)).await
    }
}
