//! Tells those who listen of what has changed: what this storage did itself at once, and what others did as Redis tells.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, broadcast};
use uuid::Uuid;
use windlass_api::{JobId, ServerId};

use crate::{
    Fence,
    storage::{Signal, Wake},
};

/// How many signals a slow listener may be behind before it misses some; it looks for itself then.
const SIGNALS_KEPT: usize = 1024;

/// The same for ends of jobs, of which there are many.
const ENDS_KEPT: usize = 8192;

/// The length of a run in a message: the job, the server and the run's number.
const FENCE_BYTES: usize = 36;

#[derive(Debug)]
pub(super) struct Hub {
    signals: broadcast::Sender<Signal>,
    ends: broadcast::Sender<JobId>,
    /// Names this storage in messages.
    pub(super) origin: [u8; 8],
    /// Whether somebody ever asked for the ends of jobs: only then are they subscribed to.
    pub(super) ends_wanted: AtomicBool,
    pub(super) wanted: Arc<Notify>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            signals: broadcast::Sender::new(SIGNALS_KEPT),
            ends: broadcast::Sender::new(ENDS_KEPT),
            origin: fastrand::u64(..).to_be_bytes(),
            ends_wanted: AtomicBool::new(false),
            wanted: Arc::new(Notify::new()),
        }
    }

    /// Sends what has changed. Nobody may be listening.
    pub(super) fn tell(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    pub(super) fn tell_ends(&self, jobs: impl IntoIterator<Item = JobId>) {
        if self.ends.receiver_count() > 0 {
            for job in jobs {
                let _ = self.ends.send(job);
            }
        }
    }

    /// Passes on what another storage told: its name, `w` for work, `m` for modules, then runs to be cancelled.
    pub(super) fn hear_wake(&self, message: &[u8]) {
        let Some((origin, told)) = message.split_at_checked(self.origin.len()) else { return };
        if origin == self.origin {
            return;
        }
        if told.first() == Some(&b'w') {
            self.tell(Signal::Work);
        }
        if told.get(1) == Some(&b'm') {
            self.tell(Signal::Modules);
        }
        for fence in told.get(2..).unwrap_or_default().chunks_exact(FENCE_BYTES) {
            if let Some(fence) = read_fence(fence) {
                self.tell(Signal::Cancel(fence));
            }
        }
    }

    /// Passes on which jobs ended. What this storage ended itself is heard here too: it knows of some only thus, as of a
    /// sweep's or where the answer was lost, and to hear of an end twice does no harm.
    pub(super) fn hear_ends(&self, message: &[u8]) {
        let Some((_, ended)) = message.split_at_checked(self.origin.len()) else { return };
        self.tell_ends(ended.chunks_exact(16).filter_map(|id| Uuid::from_slice(id).ok().map(JobId)));
    }
}

fn read_fence(bytes: &[u8]) -> Option<Fence> {
    let job = JobId(Uuid::from_slice(bytes.get(..16)?).ok()?);
    let server = ServerId(Uuid::from_slice(bytes.get(16..32)?).ok()?);
    let run = u32::from_be_bytes(bytes.get(32..36)?.try_into().ok()?);
    Some(Fence { job, run, server })
}

impl Wake for Hub {
    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    fn ends(&self) -> Option<broadcast::Receiver<JobId>> {
        let ends = self.ends.subscribe();
        if !self.ends_wanted.swap(true, Ordering::Relaxed) {
            self.wanted.notify_one();
        }
        Some(ends)
    }
}
