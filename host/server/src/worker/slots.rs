//! Where runs happen: a thread for each sync slot, a task for each async one.
//!
//! Sync handlers have threads of their own because a guest's file calls use tokio's blocking pool: sharing that could
//! leave every thread waiting for another. A slot is taken before a job is claimed for it, and given back when the run
//! has ended.

use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};

use tokio::{runtime::Handle, sync::Notify};
use windlass_api::{Mode, SlotUse};

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The slots of a server.
#[derive(Debug)]
pub(super) struct Slots {
    sync: Kind,
    r#async: Kind,
    threads: mpsc::Sender<Run>,
    tasks: Handle,
    /// Told whenever a slot is given back.
    pub(super) freed: Notify,
}

#[derive(Debug)]
struct Kind {
    total: u32,
    busy: AtomicU32,
}

impl Kind {
    fn new(total: u32) -> Self {
        Self { total, busy: AtomicU32::new(0) }
    }

    fn used(&self) -> SlotUse {
        SlotUse { total: self.total, busy: self.busy.load(Ordering::Acquire) }
    }

    fn free(&self) -> u32 {
        self.total.saturating_sub(self.busy.load(Ordering::Acquire))
    }
}

impl Slots {
    /// Starts the threads. They end when the slots are dropped. A sync handler's timers and sockets are driven by
    /// `host`, an async handler runs on `guests`.
    pub(super) fn start(sync: u32, r#async: u32, host: &Handle, guests: Handle) -> io::Result<Arc<Self>> {
        let (threads, runs) = mpsc::channel::<Run>();
        let runs = Arc::new(Mutex::new(runs));
        for number in 0..sync {
            let runs = runs.clone();
            let host = host.clone();
            let name = format!("windlass-sync-{number}");
            thread::Builder::new().name(name).spawn(move || {
                loop {
                    // The lock is held while waiting: exactly one idle thread waits for a run, the others for the lock.
                    let next = runs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(run) = next else { return };
                    // A panic of the host's own ends the run, which is settled all the same, and not the thread.
                    if catch_unwind(AssertUnwindSafe(|| host.block_on(run))).is_err() {
                        tracing::error!("a sync run panicked in the host");
                    }
                }
            })?;
        }
        let (sync, r#async) = (Kind::new(sync), Kind::new(r#async));
        Ok(Arc::new(Self { sync, r#async, threads, tasks: guests, freed: Notify::new() }))
    }

    pub(super) fn used(&self, mode: Mode) -> SlotUse {
        self.kind(mode).used()
    }

    pub(super) fn free(&self, mode: Mode) -> u32 {
        self.kind(mode).free()
    }

    /// Runs something in a slot. The caller has seen that one is free, and is the only one to fill slots.
    pub(super) fn run(self: &Arc<Self>, mode: Mode, run: impl Future<Output = ()> + Send + 'static) {
        self.kind(mode).busy.fetch_add(1, Ordering::AcqRel);
        let held = Held { slots: self.clone(), mode };
        let run = async move {
            // Given back also where the run panics or is dropped.
            let _held = held;
            run.await;
        };
        match mode {
            Mode::Sync => {
                // Fails only when every thread is gone, and none ends before the slots are dropped.
                let sent = self.threads.send(Box::pin(run));
                debug_assert!(sent.is_ok(), "sync threads outlive their slots");
            }
            Mode::Async => drop(self.tasks.spawn(run)),
        }
    }

    fn kind(&self, mode: Mode) -> &Kind {
        match mode {
            Mode::Sync => &self.sync,
            Mode::Async => &self.r#async,
        }
    }
}

struct Held {
    slots: Arc<Slots>,
    mode: Mode,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slots.kind(self.mode).busy.fetch_sub(1, Ordering::AcqRel);
        self.slots.freed.notify_one();
    }
}
