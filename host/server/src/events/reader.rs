//! One who follows. What it has not taken is never kept for it beyond a bound: it is told that it missed something.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};
use windlass_api::JobId;

use super::{Hint, Seat, Shared, Told, join, until_closed};

/// What a reader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// From here on it follows; the first that it hears.
    Begun,
    /// Something changed.
    Hint(Hint),
    /// A job changed that it watches.
    Job(JobId),
    /// Something may have changed that it was not told of: it reads everything again.
    Missed,
}

/// One who follows; it counts as a reader until it is dropped.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    number: u64,
    seat: Arc<Seat>,
    receiver: Receiver<Arc<Told>>,
    closed: watch::Receiver<bool>,
    /// What it is told before it waits, with the number of each.
    first: VecDeque<(u64, Said)>,
}

impl Reader {
    /// `replay` is what it has missed, unless that is not known.
    pub(super) fn new(
        shared: Arc<Shared>,
        number: u64,
        seat: Arc<Seat>,
        receiver: Receiver<Arc<Told>>,
        replay: Option<Vec<Arc<Told>>>,
        last: u64,
    ) -> Self {
        let closed = shared.closed.subscribe();
        let mut reader = Self { shared, number, seat, receiver, closed, first: VecDeque::new() };
        match replay {
            None => reader.first.push_back((last, Said::Missed)),
            Some(replay) => {
                let begun_after = replay.first().map_or(last, |told| told.number - 1);
                reader.first.push_back((begun_after, Said::Begun));
                // However much it was, each kind is told once: a hint says only what to read again.
                let mut hints = Vec::new();
                replay.iter().for_each(|told| join(&mut hints, told.hint.clone()));
                hints.into_iter().for_each(|hint| reader.queue(begun_after, hint));
                // Whoever breaks off before the last of them is told all of them again.
                if let Some((number, _)) = reader.first.back_mut() {
                    *number = last;
                }
            }
        }
        reader
    }

    /// What it is told next, with its id; nothing where the host stops, or its place was given to others.
    pub(crate) async fn next(&mut self) -> Option<(String, Said)> {
        loop {
            if let Some((number, said)) = self.first.pop_front() {
                return Some((self.shared.id(number), said));
            }
            if self.seat.is_lost.load(Ordering::Relaxed) {
                return None;
            }
            let seat = Arc::clone(&self.seat);
            // Whoever sends asks for more only where the connection has taken what was said before.
            let noting = poll_fn(|_| {
                seat.polled();
                Poll::<()>::Pending
            });
            let received = tokio::select! {
                biased;
                () = noting => return None,
                received = self.receiver.recv() => received,
                () = until_closed(&mut self.closed) => return None,
            };
            match received {
                Ok(told) => {
                    self.queue(told.number - 1, told.hint.clone());
                    if let Some((number, _)) = self.first.back_mut() {
                        *number = told.number;
                    }
                }
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

    /// Keeps what concerns it of a hint, to be told next: each job by itself.
    fn queue(&mut self, number: u64, hint: Hint) {
        match hint {
            Hint::Jobs(jobs) => {
                let own = self.seat.jobs.intersection(&jobs).copied();
                let told = own.map(|job| (number, Said::Job(job)));
                self.first.extend(told);
            }
            hint => self.first.push_back((number, Said::Hint(hint))),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.following().leave_seat(self.number);
    }
}
