//! One who follows. What it has not taken is never kept for it beyond a bound: it is told that it missed something.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};
use windlass_api::JobId;

use super::{Hint, Shared, Told, until_closed};

/// What a reader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// From here on it follows; the first that it hears.
    Begun,
    /// Something changed.
    Hint(Hint),
    /// Something may have changed that it was not told of: it reads everything again.
    Missed,
}

/// One who follows; it counts as a reader until it is dropped.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    jobs: BTreeSet<JobId>,
    receiver: Receiver<Arc<Told>>,
    closed: watch::Receiver<bool>,
    /// What it is told before it waits, with the number of each.
    first: VecDeque<(u64, Said)>,
}

impl Reader {
    /// `replay` is what it has missed, unless that is not known.
    pub(super) fn new(
        shared: Arc<Shared>,
        jobs: BTreeSet<JobId>,
        receiver: Receiver<Arc<Told>>,
        replay: Option<Vec<Arc<Told>>>,
        last: u64,
    ) -> Self {
        let closed = shared.closed.subscribe();
        let mut reader = Self { shared, jobs, receiver, closed, first: VecDeque::new() };
        match replay {
            None => reader.first.push_back((last, Said::Missed)),
            Some(replay) => {
                let begun_after = replay.first().map_or(last, |told| told.number - 1);
                reader.first.push_back((begun_after, Said::Begun));
                let told = replay.into_iter().filter(|told| reader.concerns(&told.hint));
                let told: Vec<_> = told.map(|told| (told.number, Said::Hint(told.hint.clone()))).collect();
                reader.first.extend(told);
            }
        }
        reader
    }

    /// What it is told next, with its id; nothing where the host stops.
    pub(crate) async fn next(&mut self) -> Option<(String, Said)> {
        if let Some((number, said)) = self.first.pop_front() {
            return Some((self.shared.id(number), said));
        }
        loop {
            let received = tokio::select! {
                received = self.receiver.recv() => received,
                () = until_closed(&mut self.closed) => return None,
            };
            match received {
                Ok(told) if self.concerns(&told.hint) => {
                    return Some((self.shared.id(told.number), Said::Hint(told.hint.clone())));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    // It reads everything again: what waits for it would tell nothing new.
                    let following = self.shared.following();
                    self.receiver = following.sender.subscribe();
                    let last = following.ring.last();
                    drop(following);
                    return Some((self.shared.id(last), Said::Missed));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn concerns(&self, hint: &Hint) -> bool {
        match hint {
            Hint::Job(job) => self.jobs.contains(job),
            _ => true,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut following = self.shared.following();
        following.readers -= 1;
        for job in &self.jobs {
            if let Some(readers) = following.watched.get_mut(job) {
                *readers -= 1;
                if *readers == 0 {
                    following.watched.remove(job);
                }
            }
        }
    }
}
