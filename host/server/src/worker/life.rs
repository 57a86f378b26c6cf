//! The life of a worker: one server id after another, each from its registration to its end.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use windlass_api::{QueueName, ServerId};
use windlass_jobs::storage::{NewServer, StorageError};
use windlass_wasm::StopReason;

use super::{
    Parts, Stage, WorkerOptions, backoff::Backoff, dispatcher, executor::Executor, guests::Guests, heartbeat,
    heartbeat::Lease, housekeeping, recorder::Recorder, running::Running, scheduler,
};

pub(super) async fn register(parts: &Parts, options: &WorkerOptions) -> Result<ServerId, StorageError> {
    let id = ServerId(uuid::Uuid::new_v4());
    let server = NewServer {
        id,
        host: host_name(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queues: options.queues.iter().map(|queue| queue.name.clone()).collect::<Vec<QueueName>>(),
        sync_slots: options.sync_slots,
        async_slots: options.async_slots,
    };
    parts.storage.register(server).await?;
    tracing::info!(server = %id, sync_slots = options.sync_slots, async_slots = options.async_slots, "taking jobs");
    Ok(id)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Works under one server id after another until a shutdown.
pub(super) async fn work(
    parts: Parts,
    options: WorkerOptions,
    guests: Guests,
    mut server: ServerId,
    stage: watch::Receiver<Stage>,
) -> anyhow::Result<()> {
    loop {
        match serve_as(server, &parts, &options, &guests, stage.clone()).await {
            Ended::ShutDown => return Ok(()),
            Ended::Refused => {
                tracing::warn!(%server, "the storage knows this server no more: given up as lost by the others, or forgotten by the storage; starting anew under another id");
                say_if_empty(&parts).await;
                server = reregister(&parts, &options, &stage).await?;
            }
        }
    }
}

/// A storage that came back without what it held forgets its servers too.
async fn say_if_empty(parts: &Parts) {
    let jobs = parts.storage.counts().await.map(|counts| counts.0.values().sum::<u64>());
    let modules = parts.storage.modules().await.map(|modules| modules.len());
    if let (Ok(0), Ok(0)) = (jobs, modules) {
        tracing::error!(
            "the storage is empty: it knows none of the jobs, modules and servers that it held; see whether it was flushed, \
             or came back without its files, and restore it from a backup"
        );
    }
}

async fn reregister(
    parts: &Parts,
    options: &WorkerOptions,
    stage: &watch::Receiver<Stage>,
) -> Result<ServerId, StorageError> {
    let mut backoff = Backoff::default();
    loop {
        match register(parts, options).await {
            Err(StorageError::Unavailable(reason)) if *stage.borrow() == Stage::Working => {
                tracing::warn!(reason, "failed to register; trying again");
                backoff.wait().await;
            }
            outcome => return outcome,
        }
    }
}

/// Why a server id is no longer used.
enum Ended {
    ShutDown,
    Refused,
}

async fn serve_as(
    server: ServerId,
    parts: &Parts,
    options: &WorkerOptions,
    guests: &Guests,
    mut stage: watch::Receiver<Stage>,
) -> Ended {
    let running = Arc::new(Running::default());
    let (recorder, recording) = Recorder::start(parts.storage.clone(), running.clone(), parts.webhooks.clone());
    let executor = Arc::new(Executor::new(parts.clone(), running.clone(), recorder));
    let (refused_sender, mut refused) = mpsc::channel(1);
    let lease = Lease { server, running: running.clone(), slots: guests.slots.clone(), refused: refused_sender };
    let heartbeat = heartbeat::start(parts.storage.clone(), lease, options.heartbeat, options.lost_after);
    let (claiming, claiming_stopped) = watch::channel(true);
    let dispatching = tokio::spawn(dispatcher::dispatch(
        server,
        parts.storage.clone(),
        options.queues.clone(),
        guests.slots.clone(),
        executor,
        claiming_stopped,
    ));
    let cancelling = tokio::spawn(housekeeping::pass_on_cancels(parts.storage.clone(), running.clone()));
    let slots = guests.slots.clone();
    let giving_back = tokio::spawn(async move { slots.threads.give_back_the_late().await });
    let mut keeping = housekeeping::start(parts, server, options.lost_after);
    keeping.spawn(scheduler::declare(parts.storage.clone()));
    keeping.spawn(scheduler::fire(parts.clone()));

    let ended = tokio::select! {
        _ = stage.wait_for(|stage| *stage != Stage::Working) => Ended::ShutDown,
        _ = refused.recv() => Ended::Refused,
    };
    claiming.send_replace(false);
    if dispatching.await.is_err() {
        tracing::error!("the dispatcher panicked");
    }
    giving_back.abort();
    guests.slots.threads.give_back();
    match ended {
        Ended::ShutDown => {
            drain(&running, &mut stage, options.shutdown_grace, &mut refused).await;
        }
        Ended::Refused => running.stop_all(StopReason::LeaseLost),
    }
    let settled = settled(&running, &mut stage).await;
    if settled {
        drop(recording.await);
    } else {
        let runs = running.count();
        tracing::error!(
            runs,
            "storage does not take what has ended; leaving it to the others, who count these runs as lost"
        );
        recording.abort();
    }
    drop(keeping);
    cancelling.abort();
    heartbeat.stop().await;
    if !settled {
        return Ended::ShutDown;
    }
    if matches!(ended, Ended::ShutDown)
        && let Err(error) = parts.storage.leave(server).await
    {
        tracing::warn!(%error, "failed to sign off; the others will notice that this server is gone");
    }
    ended
}

/// How long a host that is told to stop tries to settle what it has stopped.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// Waits until every run is settled. False where a host that is told to stop cannot do that in time.
async fn settled(running: &Running, stage: &mut watch::Receiver<Stage>) -> bool {
    let too_late = async {
        if stage.wait_for(|stage| *stage != Stage::Working).await.is_ok() {
            tokio::time::sleep(SETTLE_WITHIN).await;
        }
    };
    tokio::select! {
        () = running.emptied() => true,
        () = too_late => false,
    }
}

/// Lets runs end by themselves for a while, then stops them.
async fn drain(
    running: &Running,
    stage: &mut watch::Receiver<Stage>,
    grace: Duration,
    refused: &mut mpsc::Receiver<()>,
) {
    let count = running.count();
    if count > 0 {
        tracing::info!(running = count, grace_s = grace.as_secs(), "waiting for running jobs to end");
    }
    tokio::select! {
        () = running.emptied() => {}
        () = tokio::time::sleep(grace) => {
            tracing::info!(running = running.count(), "the grace period is over; stopping running jobs");
            running.stop_all(StopReason::Shutdown);
        }
        _ = stage.wait_for(|stage| *stage == Stage::Stopping) => running.stop_all(StopReason::Shutdown),
        _ = refused.recv() => running.stop_all(StopReason::LeaseLost),
    }
}
