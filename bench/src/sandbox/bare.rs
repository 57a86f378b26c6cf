//! The fastest loop that wasmtime itself allows.

use anyhow::Context as _;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, InstancePre, Linker, types::ComponentItem},
};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use self::bindings::{exports::windlass::job::handlers::GuestIndices, windlass::job::types::Job};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "sync-module" });
}

pub(super) struct Loop {
    engine: Engine,
    ready: InstancePre<State>,
    handlers: GuestIndices,
    job: Job,
}

struct State(WasiCtx, ResourceTable);

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.0, table: &mut self.1 }
    }
}

impl Loop {
    pub(super) fn new(component: &[u8]) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(2 << 20).table_keep_resident(64 << 10).pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        // The code that is run is compiled as Windlass compiles it, metered and interruptible.
        config.consume_fuel(true).epoch_interruption(true).wasm_component_model_async(true);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        leave_out_the_contract(&mut linker, &engine, &component)?;
        let ready = linker.instantiate_pre(&component)?;
        let handlers = GuestIndices::new(&ready)?;
        let job = Job {
            id: "00000000-0000-7000-8000-000000000000".to_owned(),
            handler: "noop".to_owned(),
            queue: "default".to_owned(),
            run: 1,
            attempt: 1,
            max_attempts: 1,
            payload: "null".to_owned(),
            enqueued_at: 0,
            deadline: None,
            headers: Vec::new(),
            parents: Vec::new(),
        };
        Ok(Self { engine, ready, handlers, job })
    }

    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut store = Store::new(&self.engine, State(WasiCtx::builder().build(), ResourceTable::new()));
        store.set_fuel(u64::MAX)?;
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.ready.instantiate(&mut store)?;
        let handlers = self.handlers.load(&mut store, &instance)?;
        let result = handlers.call_run(&mut store, &self.job)?;
        result.map(drop).map_err(|error| anyhow::anyhow!("{error:?}")).context("the handler failed")
    }
}

/// What a handler could call but this one does not: there, since the component imports it, and a trap.
fn leave_out_the_contract(linker: &mut Linker<State>, engine: &Engine, component: &Component) -> anyhow::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        if !name.starts_with("windlass:job/") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (function, export) in interface.exports(engine) {
            if matches!(export.ty, ComponentItem::ComponentFunc(_)) {
                instance
                    .func_new(function, |_, _, _, _| Err(wasmtime::format_err!("the bare loop has no contract")))?;
            }
        }
    }
    Ok(())
}
