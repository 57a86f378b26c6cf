//! Commands on all jobs that pass a filter, in the background of the host that took them.
//!
//! They live in memory: what was done is in the storage job by job, and the filter matches what is left, so a bulk action
//! that ended with its host is simply started again.

mod operation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use uuid::Uuid;
use windlass_api::{BulkAction, BulkActionId, BulkActionRequest, Timestamp};
use windlass_jobs::Client;

use self::operation::Operation;

/// How many go on at once. They take turns, so that they keep the storage busy for half of the time together.
const MAX_RUNNING: usize = 4;

/// How many that have ended are remembered.
const MAX_ENDED: usize = 100;

/// The bulk actions of this host. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct BulkActions {
    known: Arc<Mutex<Known>>,
    /// Whose turn it is.
    turn: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Known {
    operations: Vec<Arc<Operation>>,
    /// The host stops: what would begin now would end with it.
    is_closed: bool,
}

/// Why one does not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBegun {
    #[error("{} bulk actions go on here already: wait until one has ended, or stop one", MAX_RUNNING)]
    TooMany,
    #[error("this host is being stopped: ask another one, or this one when it is there again")]
    Stopping,
}

impl Default for BulkActions {
    fn default() -> Self {
        Self { known: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl BulkActions {
    /// Begins one. `client` acts as whoever asked for it, which is `by`. Jobs that are made from now on are left alone.
    pub(crate) fn start(
        &self,
        request: BulkActionRequest,
        client: Client,
        by: String,
        now: Timestamp,
    ) -> Result<BulkAction, NotBegun> {
        let mut known = self.known();
        if known.is_closed {
            return Err(NotBegun::Stopping);
        }
        if known.operations.iter().filter(|operation| !operation.view().state.is_final()).count() >= MAX_RUNNING {
            return Err(NotBegun::TooMany);
        }
        let operation = Arc::new(Operation::new(BulkActionId(Uuid::now_v7()), request, by, now));
        known.operations.push(Arc::clone(&operation));
        forget_oldest(&mut known.operations);
        drop(known);
        let view = operation.view();
        tracing::info!(id = %view.id, action = %view.action, filter = ?view.filter, by = view.by, dry_run = view.dry_run, "a bulk action begins");
        let turn = Arc::clone(&self.turn);
        let running = tokio::spawn({
            let operation = Arc::clone(&operation);
            async move { operation.run(&client, &turn).await }
        });
        // Whatever becomes of it, it does not go on for ever.
        tokio::spawn(async move {
            if running.await.is_err() {
                operation.broke_off();
            }
        });
        Ok(view)
    }

    /// All that are known, the newest first.
    pub(crate) fn list(&self) -> Vec<BulkAction> {
        self.known().operations.iter().rev().map(|operation| operation.view()).collect()
    }

    /// One.
    pub(crate) fn get(&self, id: BulkActionId) -> Option<BulkAction> {
        self.known().operations.iter().map(|operation| operation.view()).find(|view| view.id == id)
    }

    /// Tells one to stop after the jobs that it is at. One that has ended stays as it is.
    pub(crate) fn stop(&self, id: BulkActionId) -> Option<BulkAction> {
        let operation = self.known().operations.iter().find(|operation| operation.view().id == id).cloned()?;
        operation.stop();
        Some(operation.view())
    }

    /// Tells all to stop, and begins no more: the host stops.
    pub(crate) fn stop_all(&self) {
        let mut known = self.known();
        known.is_closed = true;
        known.operations.iter().for_each(|operation| operation.stop());
    }

    /// Held for short synchronous sections only.
    fn known(&self) -> MutexGuard<'_, Known> {
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
