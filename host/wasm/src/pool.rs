//! How instances get their memory: a pool that is reserved once, with each number's reason.

use wasmtime::{Enabled, PoolingAllocationConfig};

use crate::EngineOptions;

/// Elements of one table. The largest components seen, Python's interpreter with its libraries, have some 30,000
/// functions.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Core modules within one component: Rust has about four, Python with shared libraries about 40.
///
/// For this and the next two, the pool holds as many as all runs together may have: otherwise one module's jobs could
/// use up what others need. What needs more is refused when it is loaded.
pub(crate) const CORE_INSTANCES_PER_COMPONENT: u32 = 64;

/// Tables within one component: one per core module that calls indirectly, and one for its imports. Shared libraries
/// use the table of their program.
pub(crate) const TABLES_PER_COMPONENT: u32 = 8;

/// Memories within one component: one, except where two programs were composed.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 2;

/// No pool has more memories, unless there are more runs: each reserves somewhat over 4 GiB of addresses, of which a
/// process has 128 TiB. With more than half as many runs, components of two memories may have to wait for each other.
const MAX_MEMORIES: u32 = 28_000;

/// Instances beyond the slots of jobs: components that are asked to describe themselves meanwhile.
const SPARE: u32 = 16;

pub(crate) fn config(options: &EngineOptions) -> PoolingAllocationConfig {
    let runs = options.concurrent_runs.saturating_add(SPARE);
    let max_memory_bytes = usize::try_from(options.max_memory_bytes).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        // A counter, not a reservation.
        .total_core_instances(runs.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(runs.saturating_mul(MEMORIES_PER_COMPONENT).min(runs.max(MAX_MEMORIES)))
        // A table reserves under 1 MiB of addresses.
        .total_tables(runs.saturating_mul(TABLES_PER_COMPONENT))
        // A stack per run, and some for runs whose guest calls itself through the host.
        .total_stacks(runs.saturating_add(runs.min(1_000)))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .max_memories_per_module(MEMORIES_PER_COMPONENT)
        // What an instance's functions, globals and imports take on the host's heap: Python's take some MiB.
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(max_memory_bytes)
        // What a slot keeps mapped for its next run: kept pages are reset by copying over those that were written, which
        // the scan tells (Linux 6.7 and later), instead of by handing them back and faulting them in again. A Rust
        // handler that does nothing takes 14.8 µs in a bare loop with this; 28 without anything kept, 29 without the
        // scan, 20 without tables kept. More memory kept changes nothing (tried: 64 KiB to 4 MiB); each slot that was
        // ever used may hold on to it.
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}
