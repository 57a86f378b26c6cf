//! The engine: what all runs of a process share. Made once.

use std::{fmt, sync::Arc, thread, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wasmtime::{Config, InstanceAllocationStrategy, WasmBacktraceDetails, component::Linker};

use crate::{contract::bindings, egress, pool, store::RunState};

/// How often every running guest is interrupted to look whether it has to stop.
const TICK: Duration = Duration::from_millis(10);

/// How many files a run has open at once where it does some HTTP and reads some files; far from what it may have.
const FILES_PER_RUN: u64 = 16;

/// What an engine is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// How many runs there may be at once, of both modes together. Default: 200.
    pub concurrent_runs: u32,
    /// How much memory any run may have, whatever its limits say, in bytes. Default: 1 GiB, at most 4 GiB.
    pub max_memory_bytes: u64,
    /// Whether components get WASI 0.3 beside 0.2. Default: yes. It lies outside of wasmtime's promise to patch
    /// security bugs in older releases.
    pub wasi_p3: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { concurrent_runs: 200, max_memory_bytes: 1 << 30, wasi_p3: true }
    }
}

/// An engine or a compiler that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what}: {reason}")]
pub struct EngineError {
    what: &'static str,
    reason: String,
}

impl EngineError {
    pub(crate) fn new(what: &'static str, reason: impl fmt::Display) -> Self {
        Self { what, reason: reason.to_string() }
    }
}

/// Runs components. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<RunState>,
    tls: Arc<rustls::ClientConfig>,
    max_memory_bytes: u64,
    wasi_p3: bool,
    pooling: bool,
}

impl Engine {
    /// Makes an engine and starts the thread that ticks for it; the thread ends with the engine.
    ///
    /// Where the process may not reserve the addresses that a pool takes, each run gets its memory on demand, which is
    /// some times slower, and a warning says so. It also lets this process have as many open files as it may have at
    /// all (the soft limit becomes the hard one), since each run may hold many.
    ///
    /// # Errors
    ///
    /// Where the processor or the operating system lacks what the engine needs.
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError::new("make the WebAssembly engine", format!("{error:#}"));
        let options = EngineOptions { max_memory_bytes: options.max_memory_bytes.min(4 << 30), ..options.clone() };
        raise_open_files(options.concurrent_runs);
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool::config(&options)));
        let (wasmtime, pooling) = match wasmtime::Engine::new(&config) {
            Ok(engine) => (engine, true),
            Err(error) => {
                tracing::warn!("failed to reserve a pool for instances, runs will be slower: {error:#}");
                config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                (wasmtime::Engine::new(&config).map_err(failed)?, false)
            }
        };
        let linker = linker(&wasmtime, options.wasi_p3).map_err(failed)?;
        tick(&wasmtime)?;
        let tls = egress::tls_config()?;
        let EngineOptions { max_memory_bytes, wasi_p3, .. } = options;
        Ok(Self(Arc::new(Inner { wasmtime, linker, tls, max_memory_bytes, wasi_p3, pooling })))
    }

    /// Whether instances come from a pool.
    #[must_use]
    pub fn is_pooling(&self) -> bool {
        self.0.pooling
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<RunState> {
        &self.0.linker
    }

    pub(crate) fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.0.tls)
    }

    pub(crate) fn max_memory_bytes(&self) -> u64 {
        self.0.max_memory_bytes
    }

    /// Whether components get WASI 0.3.
    pub(crate) fn has_wasi_p3(&self) -> bool {
        self.0.wasi_p3
    }

    /// What a component may import besides the contract, for messages.
    pub(crate) fn offered(&self) -> &'static str {
        if self.0.wasi_p3 { "WASI 0.2, WASI 0.3 and wasi:http" } else { "WASI 0.2 and wasi:http" }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("pooling", &self.0.pooling).finish_non_exhaustive()
    }
}

/// What compiled code depends on: the same for every engine and for the compiler in its child process, whatever the
/// options say, so that one cache serves all.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .wasm_component_model_async(true)
        // No guest toolchain emits these for components yet; what is off cannot be attacked.
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        // Names of functions and, where the guest has debug information, lines: a trap shows where it was.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        // Twice the default: interpreters recurse deeply.
        .max_wasm_stack(1 << 20)
        // The guest's stack and what host functions need on top of it.
        .async_stack_size(2 << 20)
        // Wasm cannot read what is on its stack from before, so a fresh stack for each run need not be zeroed.
        .async_stack_zeroing(false);
    config
}

/// The usual soft limit of 1,024 open files is for programs that use `select`.
fn raise_open_files(concurrent_runs: u32) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = &raised {
        tracing::warn!("failed to raise the limit of open files: {error}");
    }
    let limit = if raised.is_ok() { maximum } else { current };
    let wanted = u64::from(concurrent_runs).saturating_mul(FILES_PER_RUN);
    if let Some(limit) = limit.filter(|limit| *limit < wanted) {
        tracing::warn!(
            "this process may have {limit} open files, which is few for {concurrent_runs} runs at once: raise its \
             limit (`ulimit -Hn`, `LimitNOFILE=`) to {wanted} or more"
        );
    }
}

fn linker(engine: &wasmtime::Engine, wasi_p3: bool) -> wasmtime::Result<Linker<RunState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if wasi_p3 {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    bindings::MixedModule::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |state: &mut RunState| {
        state
    })?;
    Ok(linker)
}

fn tick(engine: &wasmtime::Engine) -> Result<(), EngineError> {
    let engine = engine.weak();
    let ticking = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    let started = thread::Builder::new().name("windlass-epoch".to_owned()).spawn(ticking);
    started.map(drop).map_err(|error| EngineError::new("start the engine's ticking thread", error))
}
