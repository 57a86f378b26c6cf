//! What one run has for itself: the store's state, and the watch over its memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    Engine, Grants, RunCause, RunFailure, RunHost, RunRequest, Stop,
    contract::Level,
    egress::EgressHooks,
    failure::Halt,
    output::{LineStream, LogSink},
    pool,
};

/// How much a guest may hand over in one call, in bytes: what a call copies out of it lives on the host's heap. Twice
/// the largest chunk of an HTTP body, and past every limit of text in the contract.
const MAX_BYTES_PER_CALL: usize = 16 << 20;

/// How many handles a component may hold: open files, requests, streams, timers. What stands behind one lives on the
/// host's heap, outside of the run's memory limit, and the largest kinds take some 64 KiB (a body's chunk): so this,
/// with the sizes of chunks and of fields, bounds what a run costs the host besides. It is ten times the requests that
/// may be open at once.
const MAX_HANDLES: usize = 1_000;

/// How large the fields (headers) of one request may be as the host keeps them, in bytes: twice what servers usually
/// take.
const MAX_FIELDS_BYTES: usize = 16 << 10;

/// How many random bytes a guest gets per call; the host holds them meanwhile.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// How often a guest that computes lets others have its thread, in fuel: a quarter of a millisecond or so, of which a
/// yield takes about a microsecond. What a stopped run is said to have used is too low by this much at most.
const FUEL_PER_TURN: u64 = 500_000;

/// The state of a run's store.
pub(crate) struct RunState {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: EgressHooks,
    memory: MemoryWatch,
    stdout: LineStream,
    stderr: LineStream,
    pub(crate) logs: Arc<LogSink>,
    pub(crate) host: Arc<dyn RunHost>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) stop: Stop,
    pub(crate) deadline: Option<Instant>,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) follow_ups_left: u32,
    pub(crate) follow_up_bytes_left: u64,
    pub(crate) limits: FollowUpLimits,
    /// The fuel that was left when the handler was called, where it was: tells whether it ever began.
    pub(crate) fuel_at_call: Option<u64>,
}

/// What the guest is told when it has enqueued too much.
pub(crate) struct FollowUpLimits {
    pub(crate) count: u32,
    pub(crate) bytes: u64,
}

/// Opens the store of a run, bounded in every way that the limits say.
pub(crate) fn open(
    engine: &Engine,
    request: &RunRequest,
    deadline: Option<Instant>,
) -> Result<Store<RunState>, RunFailure> {
    let RunRequest { limits, grants, host, stop, .. } = request;
    let logs = LogSink::new(Arc::clone(host), limits.log_bytes);
    let stdout = LineStream::new(Arc::clone(&logs), Level::Info);
    let stderr = LineStream::new(Arc::clone(&logs), Level::Error);
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(MAX_FIELDS_BYTES);
    let state = RunState {
        wasi: wasi(grants, &stdout, &stderr)?,
        table: ResourceTable::new(),
        http,
        hooks: EgressHooks::new(Arc::clone(grants), engine.tls(), limits, deadline).tracing(&request.job.headers),
        memory: MemoryWatch::new(limits.memory_bytes.min(engine.max_memory_bytes())),
        stdout,
        stderr,
        logs,
        host: Arc::clone(host),
        grants: Arc::clone(grants),
        stop: stop.clone(),
        deadline,
        checkpoint_bytes: limits.checkpoint_bytes,
        follow_ups_left: limits.follow_ups,
        follow_up_bytes_left: limits.follow_up_bytes,
        limits: FollowUpLimits { count: limits.follow_ups, bytes: limits.follow_up_bytes },
        fuel_at_call: None,
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(MAX_BYTES_PER_CALL);
    store.set_max_component_handles(MAX_HANDLES);
    let host_failure =
        |error: wasmtime::Error| RunFailure::new(RunCause::Host, format!("failed to set up the run: {error}"));
    store.set_fuel(limits.fuel).map_err(host_failure)?;
    // In both modes: the engine writes the fuel counter back only where it yields, calls out or returns, and a run that
    // is stopped in a loop must still report what it used.
    store.fuel_async_yield_interval(Some(FUEL_PER_TURN)).map_err(host_failure)?;
    let timeout = limits.timeout;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |store| {
        let state = store.data();
        match halted(&state.stop, state.deadline, timeout) {
            Some(halt) => Err(halt.into()),
            None => Ok(UpdateDeadline::Continue(1)),
        }
    });
    Ok(store)
}

/// Why the run may not go on, if it may not.
fn halted(stop: &Stop, deadline: Option<Instant>, timeout: Option<Duration>) -> Option<Halt> {
    if let Some(reason) = stop.reason() {
        return Some(Halt::Stopped(reason));
    }
    deadline.filter(|deadline| *deadline <= Instant::now()).map(|_| Halt::Timeout(timeout.unwrap_or_default()))
}

fn wasi(grants: &Grants, stdout: &LineStream, stderr: &LineStream) -> Result<WasiCtx, RunFailure> {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(stdout.clone()).stderr(stderr.clone()).max_random_size(MAX_RANDOM_BYTES);
    for (name, value) in &grants.environment {
        wasi.env(name, value);
    }
    for directory in &grants.directories {
        let perms = if directory.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.preopened_dir(&directory.host, &directory.guest, perms).map_err(|error| {
            let path = directory.host.display();
            RunFailure::new(RunCause::Host, format!("failed to open the granted directory {path}: {error}"))
        })?;
    }
    Ok(wasi.build())
}

/// Adds to a trap what the guest said last on standard error: a panic's message.
pub(crate) fn explained(failure: RunFailure, store: &Store<RunState>) -> RunFailure {
    store.data().finish_output();
    match store.data().logs.tail() {
        Some(tail) if failure.cause == RunCause::Trap => {
            let message = format!("{tail} ({})", failure.message);
            RunFailure { message, ..failure }
        }
        _ => failure,
    }
}

impl RunState {
    /// Passes on what the guest wrote without ending the line.
    pub(crate) fn finish_output(&self) {
        self.stdout.finish();
        self.stderr.finish();
    }

    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.memory.peak
    }

    /// Bytes of HTTP bodies sent and received.
    pub(crate) fn http_bytes(&self) -> (u64, u64) {
        self.hooks.bytes()
    }
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for RunState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Sums over all memories of the store: wasmtime's own limiter bounds each one alone.
struct MemoryWatch {
    used: u64,
    peak: u64,
    limit: u64,
    /// The growth that was allowed last, to be taken back should it fail for another reason.
    pending: u64,
}

impl MemoryWatch {
    fn new(limit: u64) -> Self {
        Self { used: 0, peak: 0, limit, pending: 0 }
    }
}

impl ResourceLimiter for MemoryWatch {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own bound, which it knows of: its `memory.grow` says no.
            return Ok(false);
        }
        let growth = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let wanted = self.used.saturating_add(growth);
        if wanted > self.limit {
            // Ended here rather than by whatever the guest does when its allocator gives up: the cause stays clear.
            return Err(Halt::OutOfMemory { wanted, limit: self.limit }.into());
        }
        self.used = wanted;
        self.pending = growth;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.pending));
        tracing::warn!("failed to give a guest memory within its limit: {error}");
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > pool::TABLE_ELEMENTS {
            let wanted = u64::try_from(desired).unwrap_or(u64::MAX);
            return Err(Halt::TableTooLarge { wanted, limit: pool::TABLE_ELEMENTS as u64 }.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        pool::CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        pool::TABLES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        pool::MEMORIES_PER_COMPONENT as usize
    }
}
