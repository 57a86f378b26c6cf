//! How long and how often a host is asked that is away.

use std::time::{Duration, Instant};

/// Between two tries: doubling from the first to the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// When a request may be sent again that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would fail again.
    Never,
    /// It may have been done: where doing it twice does no harm.
    IfHarmless,
    /// It cannot have been done.
    Always,
}

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    begun_at: Instant,
    patience: Duration,
    pause: Duration,
}

impl Tries {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { begun_at: Instant::now(), patience, pause: SHORTEST_PAUSE }
    }

    /// How long to wait before the next one; nothing where patience is over by then.
    pub(crate) fn next_pause(&mut self) -> Option<Duration> {
        // Many that lost the same host must not come back all at once. What is random in a UUID is random enough for that.
        let share = f64::from(uuid::Uuid::now_v7().as_bytes()[15]) / 255.0;
        let pause = self.pause.mul_f64(0.75 + share / 2.0);
        if self.begun_at.elapsed() + pause > self.patience {
            return None;
        }
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        Some(pause)
    }

    /// For how long it has been tried, to be told.
    pub(crate) fn told(&self) -> String {
        if self.patience.is_zero() { String::new() } else { format!(", tried for {} s", self.patience.as_secs_f64()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_seconds() {
        let mut tries = Tries::new(Duration::from_secs(3_600));
        let pauses: Vec<_> = (0..10).map(|_| tries.next_pause().unwrap()).collect();
        assert!(pauses[0] >= Duration::from_millis(75) && pauses[0] <= Duration::from_millis(125), "{pauses:?}");
        assert!(pauses[9] >= Duration::from_millis(1_500) && pauses[9] <= Duration::from_millis(2_500), "{pauses:?}");
    }

    #[test]
    fn without_patience_nothing_is_tried_twice() {
        assert_eq!(Tries::new(Duration::ZERO).next_pause(), None);
        assert_eq!(Tries::new(Duration::ZERO).told(), "");
    }
}
