//! A component in a file, looked at without any host: compiled, and asked for its handlers.

use windlass_wasm::{Compiler, Component, Engine, EngineOptions};

use crate::{
    config::Settings,
    host::compiler_options,
    modules::manifest::{self, Described},
};

/// Compiles a component, under the limits that a host of these settings has for that.
pub(super) async fn load(settings: &Settings, bytes: Vec<u8>) -> anyhow::Result<Component> {
    let engine = Engine::new(&EngineOptions {
        // The run itself, and describing the component before it.
        concurrent_runs: 2,
        max_memory_bytes: settings.largest_memory_bytes().map_err(anyhow::Error::msg)?,
        wasi_p3: settings.wasi_p3,
    })?;
    let compiler = Compiler::new(engine, compiler_options(settings)?)?;
    Ok(compiler.load(windlass_wasm::digest(&bytes), async { Ok(bytes) }).await?)
}

/// What it says of itself.
pub(super) async fn describe(component: &Component) -> anyhow::Result<Described> {
    manifest::read(component.describe().await?).map_err(anyhow::Error::msg)
}
