//! What one sandboxed run costs beside a bare loop of wasmtime: `cargo run --example cost [COMPONENT]`, in microseconds
//! per run on one thread. The loop has its own engine, without fuel's and WASI's host side, called synchronously.

#[path = "../tests/sandbox/wat_guest.rs"]
mod wat_guest;

use std::{path::PathBuf, sync::Arc, time::Instant};

use windlass_wasm::{
    Compiler, CompilerOptions, Engine, EngineOptions, Grants, Limits, Mode, Outcome, RunHost, RunRequest, Stop,
    contract::{CheckpointError, EnqueueError, Job, Level, Request},
};

const RUNS: u32 = 20_000;

struct Quiet;

#[async_trait::async_trait]
impl RunHost for Quiet {
    fn log(&self, _: Level, _: String, _: Option<String>) {}
    fn progress(&self, _: f32, _: Option<String>) {}
    async fn checkpoint(&self, _: &str) -> Result<Option<String>, CheckpointError> {
        Ok(None)
    }
    async fn put_checkpoint(&self, _: &str, _: String) -> Result<(), CheckpointError> {
        Ok(())
    }
    async fn enqueue(&self, _: Request) -> Result<String, EnqueueError> {
        Ok(String::new())
    }
}

fn job(handler: &str, payload: &str) -> Job {
    Job {
        id: "00000000-0000-7000-8000-000000000000".into(),
        handler: handler.into(),
        queue: "default".into(),
        run: 1,
        attempt: 1,
        max_attempts: 1,
        payload: payload.into(),
        enqueued_at: 0,
        deadline: None,
        headers: vec![],
        parents: vec![],
    }
}

mod bare {
    wasmtime::component::bindgen!({ path: "../../wit", world: "sync-module" });
}

fn bare_loop(bytes: &[u8], handler: &str, payload: &str) -> f64 {
    use bare::exports::windlass::job::handlers::GuestIndices;
    let mut pool = wasmtime::PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(2 << 20).table_keep_resident(64 << 10).pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = wasmtime::Config::new();
    config.consume_fuel(true).epoch_interruption(true).wasm_component_model_async(true);
    config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
    let engine = wasmtime::Engine::new(&config).unwrap();
    let component = wasmtime::component::Component::new(&engine, bytes).unwrap();
    let mut linker = wasmtime::component::Linker::<State>::new(&engine);
    struct State(wasmtime_wasi::WasiCtx, wasmtime_wasi::ResourceTable);
    impl wasmtime_wasi::WasiView for State {
        fn ctx(&mut self) -> wasmtime_wasi::WasiCtxView<'_> {
            wasmtime_wasi::WasiCtxView { ctx: &mut self.0, table: &mut self.1 }
        }
    }
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
    linker.define_unknown_imports_as_traps(&component).unwrap();
    let ready = linker.instantiate_pre(&component).unwrap();
    let indices = GuestIndices::new(&ready).unwrap();
    let job = bare::windlass::job::types::Job {
        id: "00000000-0000-7000-8000-000000000000".into(),
        handler: handler.into(),
        queue: "default".into(),
        run: 1,
        attempt: 1,
        max_attempts: 1,
        payload: payload.into(),
        enqueued_at: 0,
        deadline: None,
        headers: vec![],
        parents: vec![],
    };
    let once = || {
        let state = State(wasmtime_wasi::WasiCtx::builder().build(), wasmtime_wasi::ResourceTable::new());
        let mut store = wasmtime::Store::new(&engine, state);
        store.set_fuel(1_000_000_000_000).unwrap();
        store.set_epoch_deadline(1_000_000_000);
        let instance = ready.instantiate(&mut store).unwrap();
        let guest = indices.load(&mut store, &instance).unwrap();
        guest.call_run(&mut store, &job).unwrap().unwrap();
    };
    time(once)
}

fn time(mut once: impl FnMut()) -> f64 {
    (0..RUNS / 10).for_each(|_| once());
    let best_of = (0..5).map(|_| {
        let started = Instant::now();
        (0..RUNS / 5).for_each(|_| once());
        started.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS / 5)
    });
    best_of.fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let bytes = arguments
        .next()
        .map_or_else(|| wat_guest::sync_guest("", "", "(i32.const 1024)"), |path| std::fs::read(path).unwrap());
    let handler = arguments.next().unwrap_or_else(|| "test".into());
    let payload = arguments.next().unwrap_or_else(|| "null".into());
    let async_bytes = wat_guest::async_guest("", "(call $return_nothing) (i32.const 0)", "unreachable");

    let bare = bare_loop(&bytes, &handler, &payload);
    println!("bare loop            {bare:8.2}");

    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program =
        PathBuf::from(std::env::current_exe().unwrap()).parent().unwrap().parent().unwrap().join("windlass-compile");
    let compiler = Compiler::new(engine, CompilerOptions::new(program, folder.path().join("cache"))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let grants = Arc::new(Grants::default());
    for (mode, bytes) in [(Mode::Sync, bytes), (Mode::Async, async_bytes)] {
        let component =
            runtime.block_on(compiler.load(windlass_wasm::digest(&bytes), async { Ok(bytes.clone()) })).unwrap();
        let host: Arc<dyn RunHost> = Arc::new(Quiet);
        let request = || RunRequest {
            mode,
            job: job(&handler, &payload),
            limits: Limits::default(),
            grants: Arc::clone(&grants),
            host: Arc::clone(&host),
            stop: Stop::new(),
        };
        let each = time(|| {
            let report = runtime.block_on(component.run(request()));
            assert!(matches!(report.outcome, Outcome::Ok(_)), "{report:?}");
        });
        println!("sandboxed, {mode:?}  {each:8.2}  {:.2} x", each / bare);
    }
}
