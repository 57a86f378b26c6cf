//! Listening for what changes in storage.

use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};
use windlass_jobs::storage::{Signal, Storage, Wake};

/// Hears of work. Where the storage tells of nothing, it hears nothing, and whoever listens looks for itself now and
/// then.
pub(super) struct Listener(Option<Receiver<Signal>>);

impl Listener {
    /// Listens from now on.
    pub(super) fn new(storage: &dyn Storage) -> Self {
        Self(storage.wake().map(Wake::signals))
    }

    /// Forgets what was told up to now, before the look that follows.
    pub(super) fn forget(&mut self) {
        if let Some(signals) = &mut self.0 {
            while !matches!(signals.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
        }
    }

    /// Returns when jobs may be ready to be claimed, or an earlier instant waits.
    pub(super) async fn work(&mut self) {
        let Some(signals) = &mut self.0 else { return std::future::pending().await };
        loop {
            match signals.recv().await {
                Ok(Signal::Work) | Err(RecvError::Lagged(_)) => return,
                Ok(_) => {}
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}
