//! The storage traits, each method a step on one of the connections.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Instant,
};

use async_trait::async_trait;
use sqlx::PgConnection;
use tokio::{sync::oneshot, task::JoinHandle};
use windlass_api::{
    AuditEntry, CounterQuery, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobFilter, JobId,
    JobSummary, Json, LimitRule, LimitTarget, LimitView, LogLine, ModuleName, ModuleView, Page, QueueName, QueueView,
    RecurringName, Relations, RequeueRequest, ServerId, ServerView, State, VersionView,
};

use super::{
    audit,
    claim::{self, Catch},
    claims::UnderWay,
    commands,
    core::{Core, step},
    damage, expiry, export, findings, flow, guest, import,
    intake::{self, FEW, Request},
    limited, limits, listen, modules, notes,
    options::Role,
    promote, prune, queues, salvage, schedule, search, servers, settle, show,
    tx::Kind,
    words::Ask,
};
use crate::{
    Claimed, Fence, NewJob, Settlement,
    storage::{
        AuditStore, ClaimRequest, Commanded, Due, ExportPart, Finding, Heartbeat, JobStore, LimitStore, Migration,
        ModuleStore, NewServer, NewVersion, Note, Promoted, Pulse, Put, QueueStore, Record, RecurringEntry,
        RecurringStore, Removal, Retirement, ServerStore, Signal, Storage, StorageError, Superseded, Transfer, Vitals,
        Wake,
    },
};

/// How often a claim that met nothing but jobs whose time is over looks further.
const EXPIRIES: usize = 4;

/// A storage in a PostgreSQL database, shared by any number of processes.
#[derive(Debug)]
pub struct PostgresStorage {
    pub(super) core: Arc<Core>,
    pub(super) intake: intake::Sender,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(super) connections: u32,
    pub(super) role: Role,
    pub(super) migration: Migration,
}

impl Drop for PostgresStorage {
    fn drop(&mut self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

/// A step of which `$work` is the body, with `$tx` to work with.
macro_rules! work {
    ($self:ident, $kind:ident, |$tx:ident| $work:expr) => {
        step!(&*$self.core, Kind::$kind, |$tx| $work)
    };
}

impl PostgresStorage {
    /// What opening it did to its schema.
    #[must_use]
    pub fn migration(&self) -> Migration {
        self.migration
    }

    /// Stores jobs in a transaction of the application's: they are there when it is committed, and never where it is rolled
    /// back. The connection must lead to the database that this storage is in. `by` goes into the history.
    ///
    /// # Errors
    /// Where the database refuses; the transaction cannot be committed then. [`StorageError::Unusable`] where the connection
    /// is not in a transaction: each job would be committed by itself.
    pub async fn enqueue_in(
        &self,
        connection: &mut PgConnection,
        jobs: &[NewJob],
        by: &str,
    ) -> Result<Vec<Enqueued>, StorageError> {
        guest::enqueue(&self.core, connection, jobs, by).await
    }

    /// Hands over what earlier claims took whose answers were lost; nothing where there is none of that.
    async fn take_up(&self, request: &ClaimRequest) -> Result<Option<Vec<Claimed>>, StorageError> {
        let lost = self.core.claims.lost(request.server);
        if lost.is_empty() {
            return Ok(None);
        }
        let looked_at = Instant::now();
        let under_way = self.core.claims.begin(request.server);
        let caught = match work!(self, Single, |tx| claim::take_up(tx, request, &lost, &under_way)) {
            Err(StorageError::Damaged(why)) => {
                // They stay with this server until it leaves; the others must not wait for that.
                tracing::error!(why, "jobs of a claim whose answer was lost cannot be read");
                return Ok(None);
            }
            caught => caught?,
        };
        let found = !caught.claimed.is_empty() || !caught.damaged.is_empty();
        self.set_aside(caught.damaged).await;
        under_way.is_over();
        if !caught.is_cut {
            self.core.claims.none_left(request.server, looked_at);
        }
        if !found {
            return Ok(None);
        }
        // There may be more for the slots that stay free.
        self.core.hub.signal(Signal::Work);
        Ok(Some(caught.claimed))
    }

    /// Takes jobs: in one statement where there are no limits.
    async fn catch(&self, request: &ClaimRequest) -> Result<Catch, StorageError> {
        let under_way = self.core.claims.begin(request.server);
        let mut caught = self.catch_once(request, &under_way).await;
        if matches!(caught, Err(StorageError::Damaged(_))) && damage::set_heads_aside(&self.core, request).await? {
            caught = self.catch_once(request, &under_way).await;
        }
        let mut caught = caught?;
        self.set_aside(std::mem::take(&mut caught.damaged)).await;
        under_way.is_over();
        Ok(caught)
    }

    async fn catch_once(&self, request: &ClaimRequest, under_way: &UnderWay<'_>) -> Result<Catch, StorageError> {
        let core = &self.core;
        // Mostly there are limits where there were some the last time.
        if !core.has_limits.load(Ordering::Relaxed) {
            let caught = work!(self, Single, |tx| claim::claim(tx, request, under_way))?;
            if !caught.is_limited {
                return Ok(caught);
            }
            core.has_limits.store(true, Ordering::Relaxed);
        }
        if let Some(caught) = work!(self, Several, |tx| limited::claim(tx, request, under_way))? {
            return Ok(caught);
        }
        core.has_limits.store(false, Ordering::Relaxed);
        work!(self, Single, |tx| claim::claim(tx, request, under_way))
    }

    /// Sets aside what a claim has met that cannot be read. Where that fails the claim stands all the same, since its other
    /// jobs would be lost, and the next one tries again.
    async fn set_aside(&self, damaged: Vec<(Fence, String)>) {
        let mut all = {
            let mut left = self.core.to_set_aside.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *left)
        };
        all.extend(damaged);
        if all.is_empty() {
            return;
        }
        let done: Result<(), StorageError> = work!(self, Several, |tx| damage::set_aside(tx, &all));
        if let Err(error) = done {
            tracing::error!(%error, "failed to set damaged jobs aside");
            self.core.to_set_aside.lock().unwrap_or_else(PoisonError::into_inner).append(&mut all);
        }
    }
}

#[async_trait]
impl Storage for PostgresStorage {
    async fn findings(&self) -> Result<Vec<Finding>, StorageError> {
        let ways = findings::Ways {
            pooled: self.core.lanes.pooled,
            may_listen: self.core.may_listen,
            // A process that has not begun to listen has nothing to say of it.
            is_listening: self.core.hub.is_listening() || !self.core.hub.is_heard(),
            connections: self.connections + u32::from(self.role == Role::Host),
            uses_its_clock: self.core.clock.is_none(),
        };
        let mut found = work!(self, Single, |tx| findings::findings(tx, &ways))?;
        found.extend(work!(self, LongLook, |tx| findings::sample(tx))?);
        found.sort_by_key(|finding| Reverse(finding.severity));
        Ok(found)
    }

    fn wake(&self) -> Option<&dyn Wake> {
        Some(&self.core.hub)
    }

    async fn close(&self) {
        // What was acknowledged is committed already.
        listen::forget(&self.core).await;
    }

    fn as_postgres(&self) -> Option<&PostgresStorage> {
        Some(self)
    }
}

#[async_trait]
impl JobStore for PostgresStorage {
    async fn enqueue(&self, jobs: Vec<NewJob>, by: &str) -> Result<Vec<Enqueued>, StorageError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        if jobs.len() > FEW {
            let mut answers = intake::store_calls(&self.core, &[(&jobs, by)]).await?;
            self.core.fold_at_times(jobs.len());
            return answers.pop().unwrap_or_else(|| Ok(Vec::new()));
        }
        let closed = || StorageError::Unavailable("the storage is closed".to_owned());
        let (reply, answered) = oneshot::channel();
        self.intake.send(Request { jobs, by: by.to_owned(), reply }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, StorageError> {
        if request.sync_free == 0 && request.async_free == 0 {
            return Ok(Vec::new());
        }
        if let Some(claimed) = self.take_up(request).await? {
            return Ok(claimed);
        }
        let mut caught = self.catch(request).await?;
        for _ in 0..EXPIRIES {
            if !caught.has_expired {
                break;
            }
            let _: usize = work!(self, Several, |tx| expiry::expire(tx, expiry::AT_ONCE))?;
            if !caught.claimed.is_empty() {
                // Their slots are for the next claim.
                caught.is_cut = true;
                break;
            }
            caught = self.catch(request).await?;
        }
        if caught.is_cut {
            self.core.hub.signal(Signal::Work);
            return Ok(caught.claimed);
        }
        let asked_for = u64::from(request.sync_free) + u64::from(request.async_free);
        if u64::try_from(caught.claimed.len()).unwrap_or(u64::MAX) < asked_for {
            listen::ask_for_work(&self.core);
        }
        Ok(caught.claimed)
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Result<State, Superseded>>, StorageError> {
        if settle::is_plain(&settlements)
            && let Some(settled) = work!(self, UrgentSingle, |tx| settle::settle_plainly(tx, &settlements))?
        {
            return Ok(settled);
        }
        work!(self, UrgentSeveral, |tx| settle::settle(tx, &settlements))
    }

    async fn note(&self, notes: Vec<Note>) -> Result<Vec<Result<(), Superseded>>, StorageError> {
        work!(self, Several, |tx| notes::note(tx, &notes))
    }

    async fn checkpoint(&self, job: JobId, key: &str) -> Result<Option<Json>, StorageError> {
        work!(self, Single, |tx| notes::checkpoint(tx, job, key))
    }

    async fn put_checkpoint(
        &self,
        fence: Fence,
        key: &str,
        value: &Json,
    ) -> Result<Result<(), Superseded>, StorageError> {
        work!(self, Several, |tx| notes::put_checkpoint(tx, &fence, key, value))
    }

    async fn promote(&self, limit: usize) -> Result<Promoted, StorageError> {
        work!(self, Several, |tx| promote::promote(tx, limit))
    }

    async fn cancel(&self, job: JobId, by: &str) -> Result<Commanded, StorageError> {
        work!(self, Several, |tx| commands::remove(tx, job, by, Ask::Cancel))
    }

    async fn delete(&self, job: JobId, by: &str) -> Result<Commanded, StorageError> {
        work!(self, Several, |tx| commands::remove(tx, job, by, Ask::Delete))
    }

    async fn remove_all(&self, jobs: Vec<JobId>, how: Removal, by: &str) -> Result<Vec<Commanded>, StorageError> {
        let ask = if how.deletes_ended { Ask::Delete } else { Ask::Cancel };
        work!(self, Several, |tx| commands::remove_all(tx, &jobs, ask, how.expected_state, by))
    }

    async fn requeue(&self, job: JobId, how: RequeueRequest, by: &str) -> Result<Commanded, StorageError> {
        work!(self, Several, |tx| commands::requeue(tx, job, how, by))
    }

    async fn prune(&self, limit: usize) -> Result<usize, StorageError> {
        let removed = work!(self, Long, |tx| prune::prune(tx, limit))?;
        // By itself, so that nobody who folds waits for what was removed, and what was removed stays so.
        let all_folded = work!(self, Several, |tx| prune::fold(tx))?;
        Ok(if all_folded { removed } else { limit })
    }

    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StorageError> {
        work!(self, Look, |tx| show::job(tx, job))
    }

    async fn relations(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Option<Relations>, StorageError> {
        work!(self, Look, |tx| flow::relations(tx, job, cursor, limit))
    }

    async fn jobs(
        &self,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobSummary>, StorageError> {
        work!(self, Look, |tx| search::jobs(tx, filter, cursor, limit))
    }

    async fn count(&self, filter: &JobFilter) -> Result<FilteredCount, StorageError> {
        work!(self, Look, |tx| search::count(tx, filter))
    }

    async fn counts(&self) -> Result<Counts, StorageError> {
        work!(self, Single, |tx| queues::counts(tx))
    }

    async fn logs(&self, job: JobId, cursor: Option<&str>, limit: usize) -> Result<Page<LogLine>, StorageError> {
        work!(self, Single, |tx| notes::logs(tx, job, cursor, limit))
    }
}

#[async_trait]
impl ModuleStore for PostgresStorage {
    async fn add_version(&self, version: NewVersion) -> Result<bool, StorageError> {
        work!(self, Long, |tx| modules::add_version(tx, &version))
    }

    async fn activate(&self, module: &ModuleName, digest: Digest) -> Result<bool, StorageError> {
        let Some(switched) = work!(self, Several, |tx| modules::activate(tx, module, digest))? else {
            return Ok(false);
        };
        // Whatever keeps the rest from being done here, it is done later: those that wait are moved by the next promotion,
        // and those that stand in the wrong line by the server that takes them.
        while work!(self, Several, |tx| promote::wake_awaiting(tx, modules::SLICE))? == modules::SLICE {}
        for mut moving in modules::moves(&switched) {
            while work!(self, Several, |tx| modules::move_slice(tx, &mut moving))? {}
        }
        Ok(true)
    }

    async fn set_canary(&self, module: &ModuleName, digest: Digest, percent: u8) -> Result<bool, StorageError> {
        work!(self, Several, |tx| modules::set_canary(tx, module, digest, percent))
    }

    async fn end_canary(&self, module: &ModuleName) -> Result<Option<Digest>, StorageError> {
        work!(self, Several, |tx| modules::end_canary(tx, module))
    }

    async fn unpin(&self, module: &ModuleName, digest: Digest) -> Result<u64, StorageError> {
        let (mut unpinned, mut from) = (0, Some(i64::MIN));
        while let Some(after) = from {
            let step = work!(self, Several, |tx| modules::unpin(tx, module, digest, after))?;
            (unpinned, from) = (unpinned + step.0, step.1);
        }
        Ok(unpinned)
    }

    async fn retire(&self, module: &ModuleName, digest: Digest) -> Result<Retirement, StorageError> {
        work!(self, Several, |tx| modules::retire(tx, module, digest))
    }

    async fn modules(&self) -> Result<Vec<ModuleView>, StorageError> {
        work!(self, Single, |tx| modules::modules(tx))
    }

    async fn active_version(&self, module: &ModuleName) -> Result<Option<VersionView>, StorageError> {
        work!(self, Single, |tx| modules::active_version(tx, module))
    }

    async fn live_versions(&self, module: &ModuleName) -> Result<Vec<VersionView>, StorageError> {
        work!(self, Single, |tx| modules::live_versions(tx, module))
    }

    async fn version(&self, module: &ModuleName, digest: Digest) -> Result<Option<VersionView>, StorageError> {
        work!(self, Single, |tx| modules::version(tx, module, digest))
    }

    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        work!(self, Long, |tx| modules::component(tx, digest))
    }
}

#[async_trait]
impl ServerStore for PostgresStorage {
    async fn register(&self, server: NewServer) -> Result<(), StorageError> {
        work!(self, Single, |tx| servers::register(tx, &server))
    }

    async fn heartbeat(&self, server: ServerId, vitals: Vitals) -> Result<Heartbeat, StorageError> {
        let answer = work!(self, UrgentSingle, |tx| servers::heartbeat(tx, server, vitals))?;
        if answer == Heartbeat::Refused {
            self.core.claims.forget(server);
        }
        self.core.fold();
        Ok(answer)
    }

    async fn pulses(&self) -> Result<Vec<Pulse>, StorageError> {
        work!(self, Single, |tx| servers::pulses(tx))
    }

    async fn sweep(&self, lost: Pulse) -> Result<Option<usize>, StorageError> {
        work!(self, Long, |tx| servers::sweep(tx, lost))
    }

    async fn leave(&self, server: ServerId) -> Result<(), StorageError> {
        work!(self, Long, |tx| servers::leave(tx, server))?;
        self.core.claims.forget(server);
        Ok(())
    }

    async fn servers(&self) -> Result<Vec<ServerView>, StorageError> {
        work!(self, Single, |tx| servers::servers(tx))
    }
}

#[async_trait]
impl QueueStore for PostgresStorage {
    async fn queues(&self) -> Result<Vec<QueueView>, StorageError> {
        work!(self, Look, |tx| queues::queues(tx))
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StorageError> {
        work!(self, Several, |tx| queues::set_paused(tx, queue, paused))
    }

    async fn counters(&self, query: &CounterQuery) -> Result<Vec<CounterRow>, StorageError> {
        work!(self, Single, |tx| queues::counters(tx, query))
    }
}

#[async_trait]
impl LimitStore for PostgresStorage {
    async fn limits(&self) -> Result<Vec<LimitView>, StorageError> {
        work!(self, Look, |tx| limits::limits(tx))
    }

    async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Result<(), StorageError> {
        work!(self, Several, |tx| limits::put(tx, target, rule))
    }

    async fn remove_limit(&self, target: &LimitTarget) -> Result<bool, StorageError> {
        work!(self, Several, |tx| limits::remove(tx, target))
    }
}

#[async_trait]
impl AuditStore for PostgresStorage {
    async fn record_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StorageError> {
        if entries.is_empty() {
            return Ok(());
        }
        work!(self, Single, |tx| audit::record(tx, &entries))
    }

    async fn audit(&self, cursor: Option<&str>, limit: usize) -> Result<Page<AuditEntry>, StorageError> {
        work!(self, Single, |tx| audit::page(tx, cursor, limit))
    }
}

#[async_trait]
impl RecurringStore for PostgresStorage {
    async fn put_recurring(
        &self,
        entry: RecurringEntry,
        expected: Option<u64>,
        jobs: Vec<NewJob>,
    ) -> Result<Option<Put>, StorageError> {
        work!(self, Several, |tx| schedule::put(tx, &entry, expected, &jobs))
    }

    async fn remove_recurring(&self, name: &RecurringName, expected: Option<u64>) -> Result<bool, StorageError> {
        work!(self, Single, |tx| schedule::remove(tx, name, expected))
    }

    async fn recurring(&self, name: &RecurringName) -> Result<Option<RecurringEntry>, StorageError> {
        work!(self, Single, |tx| schedule::one(tx, name))
    }

    async fn recurring_entries(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RecurringEntry>, StorageError> {
        work!(self, Single, |tx| schedule::page(tx, cursor, limit))
    }

    async fn due_recurring(&self, limit: usize) -> Result<Due, StorageError> {
        work!(self, Look, |tx| schedule::due(tx, limit))
    }
}

#[async_trait]
impl Transfer for PostgresStorage {
    async fn export(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StorageError> {
        // Counters are exported from where they are folded in.
        while cursor.is_none() && !work!(self, Several, |tx| prune::fold(tx))? {}
        work!(self, LongLook, |tx| export::export(tx, cursor, limit))
    }

    async fn export_readable(&self, cursor: Option<&str>, limit: usize) -> Result<ExportPart, StorageError> {
        while cursor.is_none() && !work!(self, Several, |tx| prune::fold(tx))? {}
        salvage::export_readable(&self.core, cursor, limit).await
    }

    async fn import(&self, records: Vec<Record>) -> Result<usize, StorageError> {
        let new = work!(self, Long, |tx| import::import(tx, &records))?;
        self.core.fold();
        Ok(new)
    }
}
