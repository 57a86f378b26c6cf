//! Wrong tokens, counted by where they come from.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many wrong tokens an address may send within a `WINDOW`: a person who mistypes has enough.
pub(super) const MAX_FAILURES: u32 = 10;

/// From its first wrong token on.
const WINDOW: Duration = Duration::from_secs(60);

/// No more addresses are remembered. Whoever has more could use each of them once anyway.
const MAX_ADDRESSES: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Failures {
    /// Counts a wrong token. False where there were too many.
    pub(super) fn note(&self, from: Option<IpAddr>) -> bool {
        let Some(from) = from else { return true };
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MAX_ADDRESSES {
            failures.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        if failures.len() >= MAX_ADDRESSES {
            failures.clear();
        }
        let (since, count) = failures.entry(from).or_insert((Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= MAX_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_sent_too_many_wrong_tokens_is_told_so_and_others_are_not() {
        let failures = Failures::default();
        let [bad, good] = ["203.0.113.9", "203.0.113.10"].map(|text| text.parse::<IpAddr>().ok());
        for _ in 0..MAX_FAILURES {
            assert!(failures.note(bad));
        }
        assert!(!failures.note(bad));
        assert!(failures.note(good));
    }
}
