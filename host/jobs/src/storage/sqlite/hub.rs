//! Tells those who listen of what has changed.

use tokio::sync::broadcast;
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
}

impl Hub {
    pub(super) fn new() -> Self {
        Self { signals: broadcast::Sender::new(SIGNALS_KEPT), ends: broadcast::Sender::new(ENDS_KEPT) }
    }

    /// Sends what a commit has changed: each signal once, however often it came up. Nobody may be listening.
    pub(super) fn tell(&self, signals: Vec<Signal>, ends: &[JobId]) {
        let (mut work, mut modules) = (false, false);
        for signal in signals {
            let told = match signal {
                Signal::Work => std::mem::replace(&mut work, true),
                Signal::Modules => std::mem::replace(&mut modules, true),
                Signal::Cancel(_) => false,
            };
            if !told {
                let _ = self.signals.send(signal);
            }
        }
        if self.ends.receiver_count() > 0 {
            for job in ends {
                let _ = self.ends.send(*job);
            }
        }
    }
}

impl Wake for Hub {
    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    fn ends(&self) -> Option<broadcast::Receiver<JobId>> {
        Some(self.ends.subscribe())
    }
}
