//! Tells those who listen in this process of what has changed, whether it changed here or was told by another one.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, broadcast};
use windlass_api::JobId;

use crate::storage::{Signal, Wake};

/// How many signals a slow listener may be behind before it misses some; it looks for itself then.
const SIGNALS_KEPT: usize = 1024;

/// The same for ends of jobs, of which there are many.
const ENDS_KEPT: usize = 8192;

#[derive(Debug)]
pub(super) struct Hub {
    signals: broadcast::Sender<Signal>,
    ends: broadcast::Sender<JobId>,
    /// Somebody has begun to listen: the connection for it is made then.
    pub(super) wanted: Notify,
    /// Whether notifications come through.
    pub(super) listening: AtomicBool,
    /// Whether this process has asked to be told of work, and has not been told since.
    pub(super) has_wish: AtomicBool,
    /// Whether another process waits for the ends of jobs.
    pub(super) ends_wanted: AtomicBool,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            signals: broadcast::Sender::new(SIGNALS_KEPT),
            ends: broadcast::Sender::new(ENDS_KEPT),
            wanted: Notify::new(),
            listening: AtomicBool::new(false),
            has_wish: AtomicBool::new(false),
            ends_wanted: AtomicBool::new(false),
        }
    }

    /// Nobody may be listening.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    pub(super) fn end(&self, job: JobId) {
        if self.waits_for_ends() {
            let _ = self.ends.send(job);
        }
    }

    pub(super) fn waits_for_ends(&self) -> bool {
        self.ends.receiver_count() > 0
    }

    pub(super) fn is_heard(&self) -> bool {
        self.signals.receiver_count() > 0 || self.waits_for_ends()
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }
}

impl Wake for Hub {
    fn signals(&self) -> broadcast::Receiver<Signal> {
        let signals = self.signals.subscribe();
        self.wanted.notify_one();
        signals
    }

    fn ends(&self) -> Option<broadcast::Receiver<JobId>> {
        let ends = self.ends.subscribe();
        self.wanted.notify_one();
        Some(ends)
    }
}
