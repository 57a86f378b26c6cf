//! Fires recurring jobs. Every host does: an instant is fired by whoever is first, in one step with its jobs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use windlass_jobs::{
    recurring::{self, Scheduler},
    storage::{Storage, StorageError},
};

use super::{Parts, wake::Listener};

/// How often to look where nothing told of an earlier instant, and after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often to look for versions that were activated by a host that could not put their recurring jobs in place.
const DECLARE_EVERY: Duration = Duration::from_secs(60);

/// Wake-ups closer together than this are answered by one look: nearly all of them tell of jobs, not of recurring ones.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Puts in place what the modules declare, in case whoever activated one could not: all of it at first, then what was activated
/// since, until it is dropped.
pub(super) async fn declare(storage: Arc<dyn Storage>) {
    let mut known = BTreeMap::new();
    loop {
        let outcome = recurring::declare_all(&*storage, &mut known).await;
        if let Err(error) = &outcome {
            tracing::warn!(%error, "failed to put the modules' recurring jobs in place; trying again");
        }
        let is_away = matches!(outcome, Err(StorageError::Unavailable(_)));
        tokio::time::sleep(if is_away { LOOK_EVERY } else { DECLARE_EVERY }).await;
    }
}

/// Fires what is due until it is dropped.
pub(super) async fn fire(parts: Parts) {
    let Parts { storage, admission, webhooks, .. } = parts;
    let mut listener = Listener::new(&*storage);
    let scheduler = Scheduler::new(Arc::clone(&storage), admission);
    let mut scheduler = scheduler.telling(move |missed| webhooks.missed(missed));
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
