//! Says that the server lives, and stops its runs in time where it could no longer say so.
//!
//! It has a thread and a runtime of its own: no guest and no busy API can starve it. The lease is counted on this
//! server's own monotonic clock from the *sending* of the last heartbeat that was answered, so that it always ends
//! before the others take the jobs.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use windlass_api::{Mode, ServerId};
use windlass_jobs::storage::{Heartbeat, Storage, StorageError, Vitals};
use windlass_wasm::StopReason;

use super::{running::Running, slots::Slots};

/// How long before the others may take its jobs a server stops its own runs.
const MARGIN: Duration = Duration::from_secs(5);

/// How often the lease is looked at. A process that was suspended stops its runs this soon after it resumes.
const TICK: Duration = Duration::from_millis(250);

/// What the heartbeat watches over.
pub(super) struct Lease {
    pub(super) server: ServerId,
    pub(super) running: Arc<Running>,
    pub(super) slots: Arc<Slots>,
    /// Told once when storage has given the server up.
    pub(super) refused: mpsc::Sender<()>,
}

/// The running heartbeat.
pub(super) struct Beating {
    stop: oneshot::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Beating {
    /// Ends it and waits until it has ended.
    pub(super) async fn stop(mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the heartbeat thread panicked");
            }
        }
    }
}

/// Starts the heartbeat. The server has just registered, which counts as its first.
pub(super) fn start(storage: Arc<dyn Storage>, lease: Lease, every: Duration, lost_after: Duration) -> Beating {
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name("windlass-heartbeat".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(beat(storage, lease, every, lost_after, stopped)),
            Err(error) => {
                tracing::error!(%error, "failed to start the heartbeat; stopping all runs");
                lease.running.stop_all(StopReason::LeaseLost);
            }
        }
    });
    let thread = thread.map_err(|error| tracing::error!(%error, "failed to start the heartbeat thread")).ok();
    Beating { stop, thread }
}

async fn beat(
    storage: Arc<dyn Storage>,
    lease: Lease,
    every: Duration,
    lost_after: Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    let hold = lost_after.saturating_sub(MARGIN).max(every);
    let mut answered = Instant::now();
    let mut sent = answered;
    let mut let_go = false;
    let mut tick = tokio::time::interval(TICK.min(every));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (replies_sender, mut replies) = mpsc::channel::<(Instant, Result<Heartbeat, StorageError>)>(1);
    let mut under_way = false;
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Some((sent_at, reply)) = replies.recv() => {
                under_way = false;
                match reply {
                    Ok(Heartbeat::Alive { cancelled }) => {
                        answered = sent_at;
                        let_go = false;
                        lease.running.forget_early_cancels();
                        cancelled.into_iter().for_each(|fence| lease.running.cancel(fence));
                    }
                    Ok(Heartbeat::Refused) => {
                        lease.running.stop_all(StopReason::LeaseLost);
                        let _ = lease.refused.try_send(());
                        return;
                    }
                    Err(error) => tracing::warn!(%error, "failed to send a heartbeat; trying again"),
                }
            }
            _ = tick.tick() => {
                let now = Instant::now();
                if !let_go && now.duration_since(answered) >= hold {
                    let_go = true;
                    let stopped = lease.running.stop_present(StopReason::LeaseLost);
                    tracing::error!(runs = stopped, silent_s = now.duration_since(answered).as_secs(), "storage has not answered for too long; stopping running jobs before others take them");
                }
                if !under_way && now.duration_since(sent) >= every {
                    (sent, under_way) = (now, true);
                    tokio::spawn(send(storage.clone(), &lease, now, every, replies_sender.clone()));
                }
            }
        }
    }
}

/// Sends one heartbeat and reports the answer; gives up in time for the next one.
fn send(
    storage: Arc<dyn Storage>,
    lease: &Lease,
    sent_at: Instant,
    every: Duration,
    replies: mpsc::Sender<(Instant, Result<Heartbeat, StorageError>)>,
) -> impl Future<Output = ()> + Send + 'static {
    let server = lease.server;
    let (sync_slots, async_slots) = (lease.slots.used(Mode::Sync), lease.slots.used(Mode::Async));
    let vitals = Vitals { sync_slots, async_slots, memory_bytes: resident_bytes() };
    async move {
        let answer = tokio::time::timeout(every, storage.heartbeat(server, vitals)).await;
        let answer = answer.unwrap_or_else(|_| Err(StorageError::Unavailable("no answer in time".to_owned())));
        drop(replies.send((sent_at, answer)).await);
    }
}

/// How much memory this process holds, as Linux tells it; other systems have no file for that.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?;
    Some(kib << 10)
}
