//! What processes have used of the processors.

use std::fs;

use anyhow::{Context as _, Result};

/// Processor time, in user and kernel, of a process and all its threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    ticks: u64,
}

/// How long a tick is on every Linux that there is, in microseconds.
const TICK_US: f64 = 10_000.0;

impl Cpu {
    /// Of one process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("processor time is read from /proc")?;
        // The name stands in brackets and may hold anything; what follows is numbered from the third field.
        let (_, rest) = stat.rsplit_once(')').context("not a process")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = [11, 12].into_iter().map(|field| fields.get(field).and_then(|text| text.parse::<u64>().ok()));
        Ok(Self { ticks: ticks.sum::<Option<u64>>().context("no processor time")? })
    }

    /// Of a process and those that it has started, those that have ended included.
    pub(crate) fn of_family(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, rest) = stat.rsplit_once(')').context("not a process")?;
        let ended: u64 = rest.split_whitespace().skip(13).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
        let mut family = Self { ticks: Self::of(pid)?.ticks + ended };
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|text| text.parse().ok()) {
            // A child may end between the two looks; its parent has its time then.
            family.ticks += Self::of_family(child).unwrap_or_default().ticks;
        }
        Ok(family)
    }

    /// The microseconds since an earlier look.
    pub(crate) fn since(self, earlier: Self) -> f64 {
        self.ticks.saturating_sub(earlier.ticks) as f64 * TICK_US
    }
}
