//! Hints that something changed, for whoever follows this host: a dashboard reads again what it shows.
//!
//! ```text
//!   storage: signals, ends ─┐
//!   storage: one look every 250 ms ─▶ watcher ─▶ ring of 1,024 ─▶ broadcast ─▶ readers (256 at most)
//!   this host's own API ────┘
//! ```
//!
//! Where nobody reads, nothing is looked at: the watcher starts with the first reader and ends a little after the last.

mod looks;
mod reader;
mod ring;
mod watcher;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{broadcast, watch};
use windlass_api::{JobId, State};
use windlass_jobs::storage::Storage;

pub(crate) use self::reader::{Reader, Said};
use self::ring::Ring;

/// How many follow this host at once.
pub(crate) const MAX_READERS: usize = 256;

/// How many jobs one reader may watch: each is looked at for itself.
pub(crate) const MAX_WATCHED: usize = 8;

/// How many events a reader may be behind before it misses some.
const MAX_BEHIND: usize = 256;

/// A reader whose connection has taken nothing for so long loses its place where others want one. Something is sent more often than
/// that, so one that reads never does.
const STALLED: Duration = Duration::from_secs(60);

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// How many jobs there are in these states.
    Counts(BTreeSet<State>),
    /// Jobs that somebody watches.
    Jobs(BTreeSet<JobId>),
    /// The servers, or the slots they use.
    Servers,
    /// The queues.
    Queues,
    /// The modules.
    Modules,
}

/// A hint with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    number: u64,
    hint: Hint,
}

/// Everybody follows already who may.
#[derive(Debug, thiserror::Error)]
#[error("{} follow this host already: close some, or read without following", MAX_READERS)]
pub(crate) struct Full;

/// What this host tells. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    shared: Arc<Shared>,
}

struct Shared {
    storage: Arc<dyn Storage>,
    /// Tells this start of this host from others, whose numbers mean nothing here.
    start: String,
    following: Mutex<Following>,
    closed: watch::Sender<bool>,
}

/// Who follows, and what they were told.
struct Following {
    ring: Ring,
    sender: broadcast::Sender<Arc<Told>>,
    /// Those who follow, by a number of each.
    seats: BTreeMap<u64, Arc<Seat>>,
    last_seat: u64,
    /// By how many readers each job is watched.
    watched: BTreeMap<JobId, usize>,
    /// What is to be told at the next tick.
    pending: Vec<Hint>,
    /// Whether the watcher is there.
    is_watched: bool,
}

/// The place of one who follows.
struct Seat {
    jobs: BTreeSet<JobId>,
    taken_at: Instant,
    /// How long after that its connection last had room, in milliseconds.
    polled_ms: AtomicU64,
    /// Whether it was given to others.
    is_lost: AtomicBool,
}

impl Seat {
    /// Its connection has room.
    fn polled(&self) {
        let elapsed_ms = u64::try_from(self.taken_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.polled_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    fn has_stalled(&self, now: Instant) -> bool {
        let polled_at = Duration::from_millis(self.polled_ms.load(Ordering::Relaxed));
        now.duration_since(self.taken_at).saturating_sub(polled_at) >= STALLED
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("readers", &self.readers()).finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        let following = Following {
            ring: Ring::default(),
            sender: broadcast::Sender::new(MAX_BEHIND),
            seats: BTreeMap::new(),
            last_seat: 0,
            watched: BTreeMap::new(),
            pending: Vec::new(),
            is_watched: false,
        };
        let start = format!("{:016x}", fastrand::u64(..));
        let shared = Shared { storage, start, following: Mutex::new(following), closed: watch::Sender::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Tells of something that this host itself changed, where anybody listens.
    pub(crate) fn tell(&self, hint: Hint) {
        let mut following = self.shared.following();
        if following.is_watched {
            following.add(hint);
        }
    }

    /// How many follow.
    pub(crate) fn readers(&self) -> usize {
        self.shared.following().seats.len()
    }

    /// Ends all streams: the host stops.
    pub(crate) fn close(&self) {
        self.shared.closed.send_replace(true);
    }

    /// Follows from the event of this id on, or from now on.
    pub(crate) fn follow(&self, last_id: Option<&str>, jobs: BTreeSet<JobId>) -> Result<Reader, Full> {
        let mut following = self.shared.following();
        if following.seats.len() >= MAX_READERS {
            following.free_stalled(Instant::now());
        }
        if following.seats.len() >= MAX_READERS {
            return Err(Full);
        }
        let (number, seat) = following.take_seat(jobs);
        let replay = match last_id.filter(|id| !id.is_empty()) {
            None => Some(Vec::new()),
            Some(id) => self.shared.number_of(id).and_then(|number| following.ring.after(number)),
        };
        let receiver = following.sender.subscribe();
        let last = following.ring.last();
        if !following.is_watched {
            following.is_watched = true;
            tokio::spawn(watcher::watch(Arc::clone(&self.shared)));
        }
        drop(following);
        Ok(Reader::new(Arc::clone(&self.shared), number, seat, receiver, replay, last))
    }
}

impl Shared {
    /// Held for short synchronous sections only.
    fn following(&self) -> MutexGuard<'_, Following> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.start)
    }

    /// The number in an id of this start.
    fn number_of(&self, id: &str) -> Option<u64> {
        let (start, number) = id.split_once('-')?;
        (start == self.start).then(|| number.parse().ok())?
    }
}

/// Returns when the host stops. What it has looked at is not held on to, since that is a lock.
async fn until_closed(closed: &mut watch::Receiver<bool>) {
    // An error says that the host is gone altogether.
    let _ = closed.wait_for(|closed| *closed).await;
}

impl Following {
    /// Tells what is pending. The ring and the readers see the same, in the same order.
    fn flush(&mut self) {
        for hint in std::mem::take(&mut self.pending) {
            let told = self.ring.push(hint);
            // An error says that nobody reads now.
            drop(self.sender.send(told));
        }
    }

    fn take_seat(&mut self, jobs: BTreeSet<JobId>) -> (u64, Arc<Seat>) {
        for &job in &jobs {
            *self.watched.entry(job).or_default() += 1;
        }
        let (polled_ms, is_lost) = (AtomicU64::new(0), AtomicBool::new(false));
        let seat = Arc::new(Seat { jobs, taken_at: Instant::now(), polled_ms, is_lost });
        self.last_seat += 1;
        self.seats.insert(self.last_seat, Arc::clone(&seat));
        (self.last_seat, seat)
    }

    /// Gives a place back. One that was lost before is nobody's.
    fn leave_seat(&mut self, number: u64) {
        let Some(seat) = self.seats.remove(&number) else { return };
        seat.is_lost.store(true, Ordering::Relaxed);
        for job in &seat.jobs {
            if let Some(readers) = self.watched.get_mut(job) {
                *readers -= 1;
                if *readers == 0 {
                    self.watched.remove(job);
                }
            }
        }
    }

    /// Takes the places of those who read nothing any more.
    fn free_stalled(&mut self, now: Instant) {
        let stalled = self.seats.iter().filter(|(_, seat)| seat.has_stalled(now)).map(|(number, _)| *number);
        stalled.collect::<Vec<_>>().into_iter().for_each(|number| self.leave_seat(number));
    }

    /// Adds to what is pending.
    fn add(&mut self, hint: Hint) {
        join(&mut self.pending, hint);
    }
}

/// Adds to hints of which there is one of each kind: states and jobs are told together.
fn join(hints: &mut Vec<Hint>, hint: Hint) {
    let of_kind = hints.iter_mut().find(|known| std::mem::discriminant(*known) == std::mem::discriminant(&hint));
    match (of_kind, hint) {
        (Some(Hint::Counts(known)), Hint::Counts(states)) => known.extend(states),
        (Some(Hint::Jobs(known)), Hint::Jobs(jobs)) => known.extend(jobs),
        (Some(_), _) => {}
        (None, hint) => hints.push(hint),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
