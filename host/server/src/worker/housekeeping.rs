//! What any server does for all: moves jobs whose instant has come, takes over from lost servers, removes what is old.
//! No server is chosen for it, since each step is atomic in storage and doing it twice changes nothing.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::broadcast, task::JoinSet};
use windlass_api::ServerId;
use windlass_jobs::storage::{Pulse, Signal, Storage, StorageError, Wake};

use super::{Parts, running::Running, wake::Listener};

/// How often to look for due jobs where nothing told of an earlier one.
const PROMOTE_EVERY: Duration = Duration::from_secs(1);

/// Wake-ups closer together than this are answered by one look.
const PROMOTE_PAUSE: Duration = Duration::from_millis(2);

/// How many due jobs are moved in one step.
const PROMOTE_BATCH: usize = 1_000;

/// How often old jobs are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// How many old jobs are removed in one step, so that other writes come in between.
const PRUNE_BATCH: usize = 1_000;

/// Starts all of it; it ends when the set is dropped.
pub(super) fn start(parts: &Parts, server: ServerId, lost_after: Duration) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(promote(parts.storage.clone()));
    tasks.spawn(sweep(parts.clone(), server, lost_after));
    tasks.spawn(prune(parts.storage.clone()));
    tasks
}

async fn promote(storage: Arc<dyn Storage>) {
    let mut listener = Listener::new(&*storage);
    loop {
        let next = match storage.promote(PROMOTE_BATCH).await {
            Ok(promoted) => promoted.next_in_ms.map_or(PROMOTE_EVERY, Duration::from_millis).min(PROMOTE_EVERY),
            Err(error) => {
                tracing::warn!(%error, "failed to move due jobs; trying again");
                PROMOTE_EVERY
            }
        };
        if next.is_zero() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            () = listener.work() => tokio::time::sleep(PROMOTE_PAUSE.min(next)).await,
        }
    }
}

/// Watches the others' heartbeats on this server's own clock: a server is lost when its counter has stood still for
/// long enough, whatever the clocks of the two machines say.
async fn sweep(parts: Parts, own: ServerId, lost_after: Duration) {
    let mut seen: HashMap<ServerId, (Pulse, Instant)> = HashMap::new();
    let mut tick = tokio::time::interval(lost_after / 8);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = sweep_once(&parts, own, lost_after, &mut seen).await {
            tracing::warn!(%error, "failed to look for lost servers; trying again");
        }
    }
}

async fn sweep_once(
    parts: &Parts,
    own: ServerId,
    lost_after: Duration,
    seen: &mut HashMap<ServerId, (Pulse, Instant)>,
) -> Result<(), StorageError> {
    let pulses = parts.storage.pulses().await?;
    let now = Instant::now();
    seen.retain(|server, _| pulses.iter().any(|pulse| pulse.server == *server));
    for pulse in pulses.into_iter().filter(|pulse| pulse.server != own) {
        let (known, since) = seen.entry(pulse.server).or_insert((pulse, now));
        if *known != pulse {
            (*known, *since) = (pulse, now);
        } else if now.duration_since(*since) >= lost_after
            && let Some(runs) = parts.storage.sweep(pulse).await?
        {
            parts.metrics.server_lost();
            tracing::warn!(server = %pulse.server, runs, "a server was lost; its jobs were taken over");
            if runs > 0
                && let Err(error) = parts.webhooks.server_lost(&*parts.storage).await
            {
                tracing::warn!(%error, "failed to look which jobs failed with it; webhooks are not told of them");
            }
        }
    }
    Ok(())
}

async fn prune(storage: Arc<dyn Storage>) {
    let mut tick = tokio::time::interval(PRUNE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        loop {
            match storage.prune(PRUNE_BATCH).await {
                Ok(removed) if removed >= PRUNE_BATCH => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "failed to remove old jobs; trying again");
                    break;
                }
            }
        }
    }
}

/// Stops runs as soon as somebody asks for it; the heartbeat tells of what is missed here.
pub(super) async fn pass_on_cancels(storage: Arc<dyn Storage>, running: Arc<Running>) {
    let Some(mut signals) = storage.wake().map(Wake::signals) else { return };
    loop {
        match signals.recv().await {
            Ok(Signal::Cancel(fence)) => running.cancel(fence),
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
