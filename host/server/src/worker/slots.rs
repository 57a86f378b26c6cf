//! Where runs happen: a thread for each sync slot, a task for each async one. A job is claimed only where there is room
//! for it, and a slot is given back when its run has ended.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{runtime::Handle, sync::Notify};
use windlass_api::{Mode, SlotUse};

use super::threads::Threads;

/// The slots of a server.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) threads: Threads,
    tasks: Tasks,
    /// Told when there is room.
    pub(super) freed: Arc<Notify>,
}

/// The slots of async handlers.
#[derive(Debug)]
struct Tasks {
    runtime: Handle,
    total: u32,
    busy: Arc<AtomicU32>,
}

impl Slots {
    /// Starts the threads. They end when the slots are dropped. A sync handler's timers and sockets are driven by
    /// `host`, an async handler runs on `guests`.
    pub(super) fn start(sync: u32, r#async: u32, host: &Handle, guests: Handle) -> io::Result<Arc<Self>> {
        let freed = Arc::<Notify>::default();
        let threads = Threads::start(sync, host, freed.clone())?;
        let tasks = Tasks { runtime: guests, total: r#async, busy: Arc::default() };
        Ok(Arc::new(Self { threads, tasks, freed }))
    }

    pub(super) fn used(&self, mode: Mode) -> SlotUse {
        match mode {
            Mode::Sync => self.threads.used(),
            Mode::Async => SlotUse { total: self.tasks.total, busy: self.tasks.busy.load(Ordering::Acquire) },
        }
    }

    /// How many jobs to claim.
    pub(super) fn room(&self, mode: Mode) -> u32 {
        match mode {
            Mode::Sync => self.threads.room(),
            Mode::Async => self.tasks.total.saturating_sub(self.tasks.busy.load(Ordering::Acquire)),
        }
    }

    /// Runs something. The caller has seen that there is room, and is the only one to fill it.
    pub(super) fn run(&self, mode: Mode, run: impl Future<Output = ()> + Send + 'static) {
        match mode {
            Mode::Sync => self.threads.run(Box::pin(run)),
            Mode::Async => {
                self.tasks.busy.fetch_add(1, Ordering::AcqRel);
                let held = Held { busy: self.tasks.busy.clone(), freed: self.freed.clone() };
                drop(self.tasks.runtime.spawn(async move {
                    // Given back also where the run panics or is dropped.
                    let _held = held;
                    run.await;
                }));
            }
        }
    }
}

struct Held {
    busy: Arc<AtomicU32>,
    freed: Arc<Notify>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }
}
