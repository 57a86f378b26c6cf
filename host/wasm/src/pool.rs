//! How instances get their memory: a pool that is reserved once, with each number's reason.

use wasmtime::{Enabled, PoolingAllocationConfig};

use crate::EngineOptions;

/// Elements of one table. The largest components seen, Python's interpreter with its libraries, have some 30,000
/// functions.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Core modules within one component: Rust has about four, Python with shared libraries about 30.
pub(crate) const CORE_INSTANCES_PER_COMPONENT: u32 = 200;

/// Tables within one component: one per core module that calls indirectly, and one for its imports.
pub(crate) const TABLES_PER_COMPONENT: u32 = 32;

/// Memories within one component: one, except where several programs were composed.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 8;

/// Instances beyond the slots of jobs: components that are asked to describe themselves meanwhile.
const SPARE: u32 = 16;

pub(crate) fn config(options: &EngineOptions) -> PoolingAllocationConfig {
    let runs = options.concurrent_runs.saturating_add(SPARE);
    let max_memory_bytes = usize::try_from(options.max_memory_bytes).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        // A counter, not a reservation: enough for components of many modules in every slot.
        .total_core_instances(runs.saturating_mul(16).max(CORE_INSTANCES_PER_COMPONENT))
        // Each reserves 4 GiB of addresses, of which a process has 128 TiB: one per run, and some for components that
        // have more than one.
        .total_memories(runs.saturating_add(runs.min(1_000)))
        // A Rust component has two tables; a table reserves under 1 MiB of addresses.
        .total_tables(runs.saturating_mul(4))
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
