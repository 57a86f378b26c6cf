//! Measurements of Windlass. Run them through `cargo xtask bench`, which builds what they need in release.

mod sandbox;

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
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let figures = match arguments.what {
        What::Sandbox(arguments) => serde_json::to_value(sandbox::measure(&arguments)?)?,
    };
    if let Some(file) = arguments.json {
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(&file, text + "\n").with_context(|| format!("failed to write {}", file.display()))?;
    }
    Ok(())
}
