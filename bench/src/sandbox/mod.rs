//! What one sandboxed run costs.
//!
//! The peer is the fastest loop that wasmtime itself allows: the same component on the same pool settings, plain sync
//! calls, a store with nothing in it but what the component cannot start without, no limits on memory, no logs, no
//! report. Both run in turns in one process, so that a noisy machine is noisy for both.

mod bare;
mod parked;
mod windlass;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use serde::Serialize;

/// How it is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The component with the handler `noop` alone: that of `bench/guest`
    noop: PathBuf,
    /// The component with the handlers `noop_async` and `sleepy`: that of `examples/faults`
    faults: PathBuf,
    /// The program that compiles components
    #[arg(long)]
    compiler: PathBuf,
    /// How many rounds, of which the median counts
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// How many runs in each round
    #[arg(long, default_value_t = 4_000)]
    runs: u32,
    /// How many async runs are parked at once
    #[arg(long, default_value_t = 2_000)]
    parked: u32,
}

/// What came out.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    bare_us: f64,
    sync_us: f64,
    async_us: f64,
    sync_to_bare: f64,
    async_to_bare: f64,
    parked_jobs: u32,
    resident_kib_per_parked_job: f64,
}

/// Measures, and prints as it goes.
pub(crate) fn measure(arguments: &Arguments) -> anyhow::Result<Figures> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("failed to read {}", path.display()));
    let (noop, faults) = (read(&arguments.noop)?, read(&arguments.faults)?);
    let bare = bare::Loop::new(&noop)?;
    let sandboxes = windlass::Sandboxes::new(noop, faults, &arguments.compiler, arguments.parked)?;
    let (mut bare_us, mut sync_us, mut async_us) = (Vec::new(), Vec::new(), Vec::new());
    // One round more than is counted: the first warms the pools.
    for round in 0..=arguments.rounds {
        let bare_round = time(arguments.runs, || bare.run())?;
        let sync_round = time(arguments.runs, || sandboxes.run_sync())?;
        let async_round = time(arguments.runs, || sandboxes.run_async())?;
        if round > 0 {
            bare_us.push(bare_round);
            sync_us.push(sync_round);
            async_us.push(async_round);
        }
    }
    let (bare_us, sync_us, async_us) = (median(bare_us), median(sync_us), median(async_us));
    println!("one run of a handler that does nothing, median of {} rounds of {}:", arguments.rounds, arguments.runs);
    println!("  bare loop of wasmtime {bare_us:8.2} µs");
    println!("  sandboxed, sync       {sync_us:8.2} µs   {:.2} x the bare loop", sync_us / bare_us);
    println!("  sandboxed, async      {async_us:8.2} µs   {:.2} x the bare loop", async_us / bare_us);
    let resident_kib_per_parked_job = parked::resident_kib_each(&sandboxes, arguments.parked)?;
    println!("{} parked async runs: {resident_kib_per_parked_job:.1} KiB of resident memory each", arguments.parked);
    Ok(Figures {
        bare_us,
        sync_us,
        async_us,
        sync_to_bare: sync_us / bare_us,
        async_to_bare: async_us / bare_us,
        parked_jobs: arguments.parked,
        resident_kib_per_parked_job,
    })
}

fn time(runs: u32, mut once: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let started = Instant::now();
    for _ in 0..runs {
        once()?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(runs))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
