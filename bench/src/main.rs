//! Measurements of Windlass. Run them through `cargo xtask bench`, which builds what they need in release.

mod api;
mod delayed;
mod drain;
mod sandbox;
mod stores;
mod verbs;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Measures Windlass.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Write the figures to this file too, as JSON
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// One sandboxed run beside a bare loop of wasmtime, and the memory of parked async runs
    Sandbox(sandbox::Arguments),
    /// The storage verbs beside the same statements or scripts driven raw, and a claim among a million jobs
    Storage(verbs::Arguments),
    /// What a million jobs cost that wait for their instant: a promotion, a claim, an idle host
    Delayed(delayed::Arguments),
    /// Jobs that do nothing, drained through a real host on each store, and an idle host from enqueue to start
    Drain(drain::Arguments),
    /// The API: reads and enqueues at a steady rate beside jobs that run, and readers of events
    Api(api::Arguments),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let figures = match arguments.what {
        What::Sandbox(arguments) => serde_json::to_value(sandbox::measure(&arguments)?)?,
        What::Storage(arguments) => serde_json::to_value(wait_for(verbs::measure(&arguments))?)?,
        What::Delayed(arguments) => serde_json::to_value(wait_for(delayed::measure(&arguments))?)?,
        What::Drain(arguments) => serde_json::to_value(wait_for(drain::measure(&arguments))?)?,
        What::Api(arguments) => serde_json::to_value(wait_for(api::measure(&arguments))?)?,
    };
    if let Some(file) = arguments.json {
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(&file, text + "\n").with_context(|| format!("failed to write {}", file.display()))?;
    }
    Ok(())
}

fn wait_for<T>(measurement: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().context("failed to start a runtime")?.block_on(measurement)
}
