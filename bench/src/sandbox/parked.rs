//! The memory that an async run takes while it waits.

use anyhow::{Context as _, bail};
use futures::future::join_all;
use windlass_wasm::{Outcome, Stop, StopReason};

use super::windlass::Sandboxes;

/// Parks so many runs and gives the resident memory that came with each, in KiB.
pub(super) fn resident_kib_each(sandboxes: &Sandboxes, parked: u32) -> anyhow::Result<f64> {
    let before = resident_kib()?;
    let stops: Vec<Stop> = (0..parked).map(|_| Stop::new()).collect();
    let runs: Vec<_> = stops.iter().map(|stop| sandboxes.runtime.spawn(sandboxes.wait(stop.clone()))).collect();
    // All are parked when memory has stopped growing: it is read until two readings 200 ms apart are alike.
    let mut during = resident_kib()?;
    loop {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = resident_kib()?;
        if now <= during {
            break;
        }
        during = now;
    }
    stops.iter().for_each(|stop| stop.stop(StopReason::Shutdown));
    for report in sandboxes.runtime.block_on(join_all(runs)) {
        match report.context("a run panicked")?.outcome {
            Outcome::Stopped(StopReason::Shutdown) => {}
            outcome => bail!("a run did not wait until it was stopped: {outcome:?}"),
        }
    }
    Ok((during.saturating_sub(before)) as f64 / f64::from(parked))
}

fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("failed to read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc/self/status")?;
    line.trim().trim_end_matches(" kB").trim().parse().context("VmRSS is not a number")
}
