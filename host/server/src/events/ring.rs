//! The events that were told last, for readers that come back.

use std::{collections::VecDeque, sync::Arc};

use super::{Hint, Told};

/// How many are kept: at four kinds a tick, more than a minute.
const LENGTH: usize = 1_024;

/// The last events, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: VecDeque<Arc<Told>>,
    last: u64,
}

impl Ring {
    pub(super) fn push(&mut self, hint: Hint) -> Arc<Told> {
        self.last += 1;
        if self.kept.len() == LENGTH {
            self.kept.pop_front();
        }
        let told = Arc::new(Told { number: self.last, hint });
        self.kept.push_back(Arc::clone(&told));
        told
    }

    /// The number given last.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// What was told after the event of this number; nothing where some of it is no longer known.
    pub(super) fn after(&self, number: u64) -> Option<Vec<Arc<Told>>> {
        let first = self.last + 1 - self.kept.len() as u64;
        let is_known = number <= self.last && number + 1 >= first;
        is_known.then(|| self.kept.iter().filter(|told| told.number > number).cloned().collect())
    }

    /// Marks a time in which nothing was noticed: whoever read before it has missed something.
    pub(super) fn skip(&mut self) {
        self.kept.clear();
        self.last += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(told: Option<Vec<Arc<Told>>>) -> Option<Vec<u64>> {
        Some(told?.iter().map(|told| told.number).collect())
    }

    #[test]
    fn what_came_after_an_event_is_told_again_while_it_is_known() {
        let mut ring = Ring::default();
        assert_eq!(numbers(ring.after(0)), Some(vec![]));
        for _ in 0..3 {
            ring.push(Hint::Servers);
        }
        assert_eq!(numbers(ring.after(1)), Some(vec![2, 3]));
        assert_eq!(numbers(ring.after(3)), Some(vec![]));
        assert_eq!(numbers(ring.after(4)), None, "it was never told");
        for _ in 0..LENGTH {
            ring.push(Hint::Queues);
        }
        assert_eq!(numbers(ring.after(2)), None, "the third is gone");
        assert_eq!(numbers(ring.after(3)).unwrap().len(), LENGTH);
    }

    #[test]
    fn after_a_gap_nothing_before_it_is_known() {
        let mut ring = Ring::default();
        ring.push(Hint::Servers);
        ring.skip();
        assert_eq!(numbers(ring.after(1)), None);
        assert_eq!(numbers(ring.after(ring.last())), Some(vec![]));
    }
}
