//! Room first, then a claim for exactly that, then the runs.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use windlass_api::{Mode, ServerId};
use windlass_jobs::storage::{ClaimRequest, Storage};

use super::{
    backoff::Backoff,
    executor::Executor,
    queues::{self, WeightedQueue},
    slots::Slots,
    wake::Listener,
};

/// How often to look where nothing told of work: a wake-up can be missed.
const POLL: Duration = Duration::from_secs(1);

/// No claim asks for more at once, so that one server does not empty a short queue that several share, and so that an
/// answer stays small.
const MAX_CLAIM: u32 = 500;

/// Claims and starts jobs until `claiming` turns false.
pub(super) async fn dispatch(
    server: ServerId,
    storage: Arc<dyn Storage>,
    queues: Vec<WeightedQueue>,
    slots: Arc<Slots>,
    executor: Arc<Executor>,
    mut claiming: watch::Receiver<bool>,
) {
    let mut listener = Listener::new(&*storage);
    let mut backoff = Backoff::default();
    while *claiming.borrow_and_update() {
        // Register for what can change before looking, so that nothing is missed in between.
        let freed = slots.freed.notified();
        let request = ClaimRequest {
            server,
            queues: queues::order(&queues),
            sync_free: slots.room(Mode::Sync).min(MAX_CLAIM),
            async_free: slots.room(Mode::Async).min(MAX_CLAIM),
        };
        if request.sync_free + request.async_free == 0 {
            tokio::select! { () = freed => {}, _ = claiming.changed() => {} }
            continue;
        }
        listener.forget();
        match storage.claim(&request).await {
            Ok(jobs) => {
                backoff.reset();
                let (mut sync_taken, mut async_taken) = (0, 0);
                for job in jobs {
                    match job.mode {
                        Mode::Sync => sync_taken += 1,
                        Mode::Async => async_taken += 1,
                    }
                    executor.start(&slots, job);
                }
                // A kind whose slots were all filled may have more waiting; the next round sees whether any are free.
                let exhausted = |taken: u32, free: u32| free == 0 || taken < free;
                if !(exhausted(sync_taken, request.sync_free) && exhausted(async_taken, request.async_free)) {
                    continue;
                }
                tokio::select! {
                    () = listener.work() => {}
                    () = freed, if request.sync_free == 0 || request.async_free == 0 => {}
                    () = tokio::time::sleep(POLL) => {}
                    _ = claiming.changed() => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "failed to claim jobs; trying again");
                tokio::select! { () = backoff.wait() => {}, _ = claiming.changed() => {} }
            }
        }
    }
}
