//! The threads and the runtime that guests run on.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};

use super::{WorkerOptions, slots::Slots};

/// Where guests run.
pub(super) struct Guests {
    pub(super) slots: Arc<Slots>,
    runtime: Option<Runtime>,
}

impl Guests {
    pub(super) fn start(options: &WorkerOptions) -> anyhow::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("windlass-guest")
            // Runs are spawned from outside of this runtime. A thread that is busy with a computing guest looks for new
            // ones after so many turns of a millisecond each; tokio's own value let them wait for over 100 ms.
            .global_queue_interval(4)
            .enable_all()
            .build()
            .context("failed to start the runtime for async handlers")?;
        let slots = Slots::start(options.sync_slots, options.async_slots, &Handle::current(), runtime.handle().clone())
            .context("failed to start the threads for sync handlers")?;
        Ok(Self { slots, runtime: Some(runtime) })
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // A runtime must not be dropped where it would block; what still ran in it has been stopped before.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
