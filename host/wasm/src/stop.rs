//! Stopping a run from outside.
//!
//! A [`Stop`] is a shared note, "stop, and why", that the run looks at from two sides: at every tick of the engine's
//! epoch while the guest computes, and as a future while the guest waits in a host call.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Why a run was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Somebody cancelled the job.
    Cancelled,
    /// The host shuts down.
    Shutdown,
    /// The run no longer belongs to this host.
    LeaseLost,
}

/// A handle to stop a run; clones are the same handle. One handle serves one run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// What was asked for: 0 nothing, 1 a cancel whose grace is running, then the reasons.
    word: AtomicU8,
    /// When the grace of a cancel ends. A mutex, since it is written once and read once a tick after a cancel.
    grace_ends_at: Mutex<Option<Instant>>,
    changed: Notify,
}

const NOTHING: u8 = 0;
const GRACE: u8 = 1;

impl StopReason {
    const fn word(self) -> u8 {
        match self {
            Self::Cancelled => 2,
            Self::Shutdown => 3,
            Self::LeaseLost => 4,
        }
    }

    const fn of(word: u8) -> Option<Self> {
        match word {
            2 => Some(Self::Cancelled),
            3 => Some(Self::Shutdown),
            4 => Some(Self::LeaseLost),
            _ => None,
        }
    }
}

impl Stop {
    /// A handle that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the run, within two ticks of the engine's epoch. The first reason stays.
    pub fn stop(&self, reason: StopReason) {
        let set = |word| (word < StopReason::Cancelled.word()).then_some(reason.word());
        // A failed update means that there already is a reason.
        let _ = self.0.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
        self.0.changed.notify_waiters();
    }

    /// Tells the guest that its job was cancelled, and stops the run after the grace; with no grace, at once. A second
    /// call may only shorten the grace.
    pub fn cancel(&self, grace: Duration) {
        let Some(ends_at) = Instant::now().checked_add(grace).filter(|_| !grace.is_zero()) else {
            return self.stop(StopReason::Cancelled);
        };
        let mut current = self.0.grace_ends_at.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(current.map_or(ends_at, |earlier| earlier.min(ends_at)));
        drop(current);
        let _ = self.0.word.compare_exchange(NOTHING, GRACE, Ordering::AcqRel, Ordering::Acquire);
        self.0.changed.notify_waiters();
    }

    /// Whether a cancel was asked for, with or without a grace.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.word.load(Ordering::Acquire), GRACE) || self.reason() == Some(StopReason::Cancelled)
    }

    /// Why the run has to stop now; absent while it may go on.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        match self.0.word.load(Ordering::Acquire) {
            NOTHING => None,
            GRACE => self.grace_ends_at().filter(|ends_at| *ends_at <= Instant::now()).map(|_| StopReason::Cancelled),
            word => StopReason::of(word),
        }
    }

    /// Waits until the run has to stop.
    pub async fn stopped(&self) -> StopReason {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Registered before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            match self.grace_ends_at() {
                None => changed.await,
                Some(ends_at) => {
                    let _ = tokio::time::timeout_at(ends_at.into(), changed).await;
                }
            }
        }
    }

    fn grace_ends_at(&self) -> Option<Instant> {
        *self.0.grace_ends_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let stop = Stop::new();
        assert_eq!(stop.reason(), None);
        stop.stop(StopReason::Shutdown);
        stop.stop(StopReason::LeaseLost);
        stop.cancel(Duration::ZERO);
        assert_eq!(stop.reason(), Some(StopReason::Shutdown));
        assert!(!stop.is_cancelled());
    }

    #[test]
    fn a_cancel_with_a_grace_is_seen_before_it_stops() {
        let stop = Stop::new();
        stop.cancel(Duration::from_secs(3600));
        assert!(stop.is_cancelled());
        assert_eq!(stop.reason(), None);
        stop.cancel(Duration::ZERO);
        assert_eq!(stop.reason(), Some(StopReason::Cancelled));
    }

    #[tokio::test]
    async fn the_end_of_the_grace_wakes_whoever_waits() {
        let stop = Stop::new();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.stopped().await }
        });
        tokio::task::yield_now().await;
        stop.cancel(Duration::from_millis(1));
        assert_eq!(waiting.await.unwrap(), StopReason::Cancelled);
    }

    #[tokio::test]
    async fn a_stop_that_came_first_is_seen_by_whoever_waits_later() {
        let stop = Stop::new();
        stop.stop(StopReason::LeaseLost);
        assert_eq!(stop.stopped().await, StopReason::LeaseLost);
    }
}
