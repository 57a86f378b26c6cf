//! Commands on all jobs that pass a filter, in the background of the host that took them.
//!
//! They live in memory: what was done is in the storage job by job, and the filter matches what is left, so a bulk action
//! that ended with its host is simply started again.

mod operation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;
use windlass_api::{BulkAction, BulkActionId, BulkActionRequest, Timestamp};
use windlass_jobs::Client;

use self::operation::Operation;

/// How many go on at once: each keeps the storage busy for half of the time at most.
const MAX_RUNNING: usize = 4;

/// How many that have ended are remembered.
const MAX_ENDED: usize = 100;

/// The bulk actions of this host. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct BulkActions {
    known: Arc<Mutex<Vec<Arc<Operation>>>>,
}

/// As many go on as may.
#[derive(Debug, thiserror::Error)]
#[error("{} bulk actions go on here already: wait until one has ended, or stop one", MAX_RUNNING)]
pub(crate) struct TooMany;

impl BulkActions {
    /// Begins one. `client` acts as whoever asked for it, which is `by`. Jobs that are made from now on are left alone.
    pub(crate) fn start(
        &self,
        request: BulkActionRequest,
        client: Client,
        by: String,
        now: Timestamp,
    ) -> Result<BulkAction, TooMany> {
        let mut known = self.known();
        if known.iter().filter(|operation| !operation.view().state.is_final()).count() >= MAX_RUNNING {
            return Err(TooMany);
        }
        let operation = Arc::new(Operation::new(BulkActionId(Uuid::now_v7()), request, by, now));
        known.push(Arc::clone(&operation));
        forget_oldest(&mut known);
        drop(known);
        let view = operation.view();
        tracing::info!(id = %view.id, action = %view.action, filter = ?view.filter, by = view.by, dry_run = view.dry_run, "a bulk action begins");
        tokio::spawn(async move { operation.run(&client).await });
        Ok(view)
    }

    /// All that are known, the newest first.
    pub(crate) fn list(&self) -> Vec<BulkAction> {
        self.known().iter().rev().map(|operation| operation.view()).collect()
    }

    /// One.
    pub(crate) fn get(&self, id: BulkActionId) -> Option<BulkAction> {
        self.known().iter().map(|operation| operation.view()).find(|view| view.id == id)
    }

    /// Tells one to stop after the jobs that it is at. One that has ended stays as it is.
    pub(crate) fn stop(&self, id: BulkActionId) -> Option<BulkAction> {
        let operation = self.known().iter().find(|operation| operation.view().id == id).cloned()?;
        operation.stop();
        Some(operation.view())
    }

    /// Tells all to stop: the host does.
    pub(crate) fn stop_all(&self) {
        self.known().iter().for_each(|operation| operation.stop());
    }

    /// Held for short synchronous sections only.
    fn known(&self) -> MutexGuard<'_, Vec<Arc<Operation>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest(known: &mut Vec<Arc<Operation>>) {
    let ended = known.iter().filter(|operation| operation.view().state.is_final()).count();
    let mut too_many = ended.saturating_sub(MAX_ENDED);
    known.retain(|operation| {
        let is_forgotten = too_many > 0 && operation.view().state.is_final();
        too_many -= usize::from(is_forgotten);
        !is_forgotten
    });
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
