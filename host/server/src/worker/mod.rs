//! Taking jobs from storage, running them, and reporting what became of them.
//!
//! ```text
//!             free slots            claimed                    settlement
//!   slots ───────────────▶ dispatcher ──────▶ executor (a thread or a task per run) ──────▶ recorder ──▶ storage
//!     ▲                                                 │
//!     └─────────────────────────────────────────────────┘ slot given back when the run has ended
//!
//!   heartbeat (own thread) ──▶ storage      sweeper, promoter, pruner, scheduler (tasks) ──▶ storage
//! ```
//!
//! A worker claims under one server id. Where storage has given that id up as lost, the worker stops its sandboxes and
//! starts anew under another one.

mod backoff;
mod dispatcher;
mod executor;
mod guests;
mod heartbeat;
mod housekeeping;
mod life;
mod queues;
mod recorder;
pub(crate) mod run_host;
mod running;
mod scheduler;
mod slots;
mod threads;
pub(crate) mod verdict;
mod wake;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context as _;
use tokio::sync::watch;
use windlass_api::{Mode, SlotUse};
use windlass_jobs::{admission::Admission, storage::Storage};

pub(crate) use self::backoff::Backoff;
pub use self::queues::WeightedQueue;
use self::{guests::Guests, slots::Slots};
use crate::{config::Sandboxes, metrics::Metrics, modules::Modules, telemetry::Tracer, webhooks::Webhooks};

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The queues to take from and how often each is looked at first; all of them where empty.
    pub queues: Vec<WeightedQueue>,
    /// Threads for sync handlers.
    pub sync_slots: u32,
    /// Tasks for async handlers.
    pub async_slots: u32,
    /// How often the server says that it lives.
    pub heartbeat: Duration,
    /// How long a server may be silent before the others take its jobs.
    pub lost_after: Duration,
    /// How long running jobs may go on after a shutdown was asked for.
    pub shutdown_grace: Duration,
}

/// What the parts of a worker share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) sandboxes: Arc<Sandboxes>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) webhooks: Webhooks,
    pub(crate) tracer: Tracer,
}

/// Tells the slots of a worker by kind, for as long as it is there.
pub(crate) type SlotsInUse = Box<dyn Fn() -> Vec<(Mode, SlotUse)> + Send + Sync>;

/// A worker at work.
pub struct Worker {
    slots: Weak<Slots>,
    stop: watch::Sender<Stage>,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Jobs are taken.
    Working,
    /// No more jobs are taken; those that run go on.
    Draining,
    /// Those that run are stopped.
    Stopping,
}

impl Worker {
    /// Starts a worker on the present runtime. The executor's own threads and the runtime for async handlers start with
    /// it, so that a computing guest delays neither the API nor the heartbeat.
    ///
    /// # Errors
    /// Where threads cannot be started or storage does not take the registration.
    pub(crate) async fn start(parts: Parts, options: WorkerOptions) -> anyhow::Result<Self> {
        let guests = Guests::start(&options)?;
        let slots = Arc::downgrade(&guests.slots);
        let server = life::register(&parts, &options).await?;
        let (stop, stage) = watch::channel(Stage::Working);
        let ended = tokio::spawn(life::work(parts, options, guests, server, stage));
        Ok(Self { slots, stop, ended })
    }

    /// Tells its slots, also when it is being shut down.
    pub(crate) fn slots(&self) -> SlotsInUse {
        let slots = self.slots.clone();
        Box::new(move || {
            let used = |slots: Arc<Slots>| [Mode::Sync, Mode::Async].map(|mode| (mode, slots.used(mode))).into();
            slots.upgrade().map_or_else(Vec::new, used)
        })
    }

    /// Stops taking jobs; those that run go on for the grace period.
    pub fn drain(&self) {
        self.stop.send_if_modified(|stage| {
            let begins = *stage == Stage::Working;
            if begins {
                *stage = Stage::Draining;
            }
            begins
        });
    }

    /// Stops taking jobs, lets those that run go on for the grace period, stops the rest and gives their attempts back.
    /// Returns when everything is settled.
    ///
    /// # Errors
    /// Where the worker had failed.
    pub async fn shut_down(self) -> anyhow::Result<()> {
        self.drain();
        self.ended.await.context("the worker panicked")?
    }

    /// Cuts the grace period of a shutdown short.
    pub fn hurry(&self) -> impl Fn() + Send + Sync + use<> {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(Stage::Stopping);
        }
    }
}
