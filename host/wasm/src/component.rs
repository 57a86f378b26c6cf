//! A component that is ready to run.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use wasmtime::{
    AsContextMut, Store,
    component::{Instance, InstancePre},
};

use crate::{
    Engine, Mode, Refusal,
    contract::{async_handlers, handlers},
    failure::Halt,
    inspect,
    store::RunState,
};

/// A compiled component with all its imports found, ready to be instantiated any number of times. Clones are the same
/// component.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

/// A component that may be gone.
pub(crate) type WeakComponent = Weak<Inner>;

pub(crate) struct Inner {
    engine: Engine,
    ready: InstancePre<RunState>,
    sync_handlers: Option<handlers::GuestIndices>,
    async_handlers: Option<async_handlers::GuestIndices>,
}

impl Component {
    /// Finds the imports and the exports of compiled code.
    pub(crate) fn link(engine: &Engine, compiled: &wasmtime::component::Component) -> Result<Self, Refusal> {
        let ready =
            engine.linker().instantiate_pre(compiled).map_err(|error| Refusal::WrongShape(format!("{error:#}")))?;
        let sync_handlers = exported(inspect::SYNC_HANDLERS, engine, compiled, || handlers::GuestIndices::new(&ready))?;
        let async_handlers =
            exported(inspect::ASYNC_HANDLERS, engine, compiled, || async_handlers::GuestIndices::new(&ready))?;
        Ok(Self(Arc::new(Inner { engine: engine.clone(), ready, sync_handlers, async_handlers })))
    }

    pub(crate) fn downgrade(&self) -> WeakComponent {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn upgrade(weak: &WeakComponent) -> Option<Self> {
        weak.upgrade().map(Self)
    }

    /// Whether it exports `handlers`.
    #[must_use]
    pub fn has_sync(&self) -> bool {
        self.0.sync_handlers.is_some()
    }

    /// Whether it exports `async-handlers`.
    #[must_use]
    pub fn has_async(&self) -> bool {
        self.0.async_handlers.is_some()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<RunState>) -> wasmtime::Result<Instance> {
        self.0.ready.instantiate_async(store).await
    }

    pub(crate) fn sync_guest(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> wasmtime::Result<handlers::Guest> {
        let indices = self.0.sync_handlers.as_ref().ok_or(Halt::NoSuchHandlers(Mode::Sync))?;
        indices.load(store, instance).map_err(|error| error.context(Halt::NoSuchHandlers(Mode::Sync)))
    }

    pub(crate) fn async_guest(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> wasmtime::Result<async_handlers::Guest> {
        let indices = self.0.async_handlers.as_ref().ok_or(Halt::NoSuchHandlers(Mode::Async))?;
        indices.load(store, instance).map_err(|error| error.context(Halt::NoSuchHandlers(Mode::Async)))
    }
}

/// Finds the functions of an interface where the component exports it.
fn exported<T>(
    interface: &str,
    engine: &Engine,
    compiled: &wasmtime::component::Component,
    find: impl FnOnce() -> wasmtime::Result<T>,
) -> Result<Option<T>, Refusal> {
    if !inspect::exports(engine, compiled).any(|name| name.starts_with(interface)) {
        return Ok(None);
    }
    find().map(Some).map_err(|error| Refusal::WrongShape(format!("{error:#}")))
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("sync", &self.has_sync()).field("async", &self.has_async()).finish()
    }
}
