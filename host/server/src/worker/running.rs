//! The runs that this server has claimed and not settled yet.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use windlass_api::{LogLine, Progress};
use windlass_jobs::{Fence, NewJob};
use windlass_wasm::{Stop, StopReason};

/// What the server knows of a run while it lasts.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) fence: Fence,
    /// Stops the sandbox.
    pub(super) stop: Stop,
    /// How long a cancelled run may go on to put its things in order; none until its handler is known.
    pub(super) cancel_grace: OnceLock<Duration>,
    written: Mutex<Written>,
}

/// What a run wrote that is not in storage yet.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// How far it is, where that changed.
    pub(super) progress: Option<Progress>,
    /// What it logged.
    pub(super) lines: Vec<LogLine>,
    /// The jobs that it asked for.
    pub(super) follow_ups: Vec<NewJob>,
}

impl Entry {
    fn cancel(&self) {
        self.stop.cancel(self.cancel_grace.get().copied().unwrap_or_default());
    }

    /// What is to be written. Held for short synchronous sections only: the sandbox writes, the recorder takes.
    pub(super) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct Running {
    inner: Mutex<Inner>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    runs: HashMap<Fence, Arc<Entry>>,
    /// Runs whose cancel was told before their claim had come back.
    early_cancels: HashSet<Fence>,
    /// Set when all runs are to stop: it holds for those that come later too.
    stopping: Option<StopReason>,
}

/// More early cancels than this are forgotten: the heartbeat tells of them again.
const MAX_EARLY_CANCELS: usize = 10_000;

impl Running {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a run that was just claimed; none where it is here already: a storage that fell back to an older state, such
    /// as a replica that took over, gives it once more.
    pub(super) fn add(&self, fence: Fence) -> Option<Arc<Entry>> {
        let mut inner = self.inner();
        if inner.runs.contains_key(&fence) {
            return None;
        }
        let entry =
            Arc::new(Entry { fence, stop: Stop::new(), cancel_grace: OnceLock::new(), written: Mutex::default() });
        if let Some(reason) = inner.stopping {
            entry.stop.stop(reason);
        } else if inner.early_cancels.remove(&fence) {
            entry.cancel();
        }
        inner.runs.insert(fence, entry.clone());
        Some(entry)
    }

    /// Asks a run to be cancelled.
    pub(super) fn cancel(&self, fence: Fence) {
        let mut inner = self.inner();
        match inner.runs.get(&fence) {
            Some(entry) => entry.cancel(),
            None if inner.early_cancels.len() < MAX_EARLY_CANCELS => drop(inner.early_cancels.insert(fence)),
            None => {}
        }
    }

    /// Forgets cancels of runs that never came; called with each heartbeat, long after any claim has come back.
    pub(super) fn forget_early_cancels(&self) {
        self.inner().early_cancels.clear();
    }

    /// Stops all runs, also those that are still to come.
    pub(super) fn stop_all(&self, reason: StopReason) {
        let mut inner = self.inner();
        inner.stopping = Some(reason);
        inner.runs.values().for_each(|entry| entry.stop.stop(reason));
    }

    /// Stops the present runs, because the lease on them is about to end; runs claimed later go on.
    pub(super) fn stop_present(&self, reason: StopReason) -> usize {
        let inner = self.inner();
        inner.runs.values().for_each(|entry| entry.stop.stop(reason));
        inner.runs.len()
    }

    /// Removes runs that are settled.
    pub(super) fn remove(&self, fences: impl Iterator<Item = Fence>) {
        let mut inner = self.inner();
        for fence in fences {
            inner.runs.remove(&fence);
        }
        if inner.runs.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// How many runs there are.
    pub(super) fn count(&self) -> usize {
        self.inner().runs.len()
    }

    /// One run.
    pub(super) fn get(&self, fence: Fence) -> Option<Arc<Entry>> {
        self.inner().runs.get(&fence).cloned()
    }

    /// All runs, to see which of them wrote something.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.inner().runs.values().cloned().collect()
    }

    /// Returns when there is no run.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use windlass_jobs::api::{JobId, ServerId};

    use super::*;

    #[test]
    fn a_run_that_is_given_twice_is_there_once_until_it_is_settled() {
        let running = Running::default();
        let fence = Fence { job: JobId(uuid::Uuid::from_u128(1)), run: 1, server: ServerId(uuid::Uuid::from_u128(2)) };
        let entry = running.add(fence).unwrap();
        assert!(running.add(fence).is_none());
        assert!(Arc::ptr_eq(&running.get(fence).unwrap(), &entry));
        running.remove([fence].into_iter());
        assert!(running.add(fence).is_some());
    }
}
