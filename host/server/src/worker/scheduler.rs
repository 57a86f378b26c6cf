//! Fires recurring jobs. Every host does: an instant is fired by whoever is first, in one step with its jobs.

use std::{sync::Arc, time::Duration};

use windlass_jobs::{
    admission::Admission,
    recurring::{self, Scheduler},
    storage::Storage,
};

use super::wake::Listener;

/// How often to look where nothing told of an earlier instant, and after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Wake-ups closer together than this are answered by one look: nearly all of them tell of jobs, not of recurring ones.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Fires what is due until it is dropped. First it puts in place what the modules declare, in case whoever activated one
/// could not.
pub(super) async fn fire(storage: Arc<dyn Storage>, admission: Arc<Admission>) {
    let mut listener = Listener::new(&*storage);
    while let Err(error) = recurring::declare_all(&*storage).await {
        tracing::warn!(%error, "failed to put the modules' recurring jobs in place; trying again");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let mut scheduler = Scheduler::new(storage, admission);
    loop {
        // What is told from here on may be of an entry that the look does not see.
        listener.forget();
        let next = match scheduler.step().await {
            Ok(next_in_ms) => next_in_ms.map_or(LOOK_EVERY, Duration::from_millis).min(LOOK_EVERY),
            Err(error) => {
                tracing::warn!(%error, "failed to fire recurring jobs; trying again");
                LOOK_EVERY
            }
        };
        if next.is_zero() {
            continue;
        }
        let next = tokio::time::Instant::now() + next;
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = listener.work() => {
                tokio::time::sleep_until(next.min(tokio::time::Instant::now() + LOOK_PAUSE)).await;
            }
        }
    }
}
