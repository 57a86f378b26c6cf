//! The threads of sync handlers, and the few jobs that wait for one of them on this server.
//!
//! Sync handlers have threads of their own because a guest's file calls use tokio's blocking pool: sharing that could
//! leave every thread waiting for another.
//!
//! Where runs are short, a claim for just the free threads would cost more than the runs. So some jobs are claimed
//! ahead: about as many as are run in 20 ms, and none where a run takes more than 5 ms. A job that has waited here for
//! 100 ms is handed back, since another server may have a thread for it.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Notify};
use windlass_api::SlotUse;

/// One run, from its start to its settlement. Dropped before it was first polled, it hands its job back.
pub(super) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How much work is claimed ahead, as time.
const AHEAD: Duration = Duration::from_millis(20);

/// Runs that take longer are not claimed ahead.
const SHORT: Duration = Duration::from_millis(5);

/// No more jobs are claimed ahead.
const MAX_AHEAD: u32 = 500;

/// How long a job waits here for a thread.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often to look whether a job has waited for too long.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Threads {
    total: u32,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    /// Told when there is something for a thread to do.
    changed: Condvar,
    /// Told when jobs begin to wait.
    waiting: Notify,
    /// Told when there is room.
    freed: Arc<Notify>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(Instant, Run)>,
    running: u32,
    typical: Typical,
    closed: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { waiting, running, typical, closed } = self;
        let waiting = waiting.len();
        f.debug_struct("Line")
            .field("waiting", &waiting)
            .field("running", running)
            .field("typical", typical)
            .field("closed", closed)
            .finish()
    }
}

/// How long runs have taken lately; nothing before the first has ended.
#[derive(Clone, Copy, Debug, Default)]
struct Typical(Option<Duration>);

impl Typical {
    fn learn(&mut self, took: Duration) {
        self.0 = Some(self.0.map_or(took, |typical| (typical * 7 + took) / 8));
    }

    /// How many jobs it is worth having here beyond those that run.
    fn ahead(self, threads: u32) -> u32 {
        match self.0 {
            Some(typical) if typical <= SHORT => {
                let each = AHEAD.as_nanos() / typical.as_nanos().max(1);
                u32::try_from(each).unwrap_or(u32::MAX).saturating_mul(threads).min(MAX_AHEAD)
            }
            _ => 0,
        }
    }
}

impl Line {
    /// How many more jobs to claim. While jobs wait, none are claimed until half of what is claimed ahead has been run,
    /// so that each claim brings many.
    fn room(&self, threads: u32) -> u32 {
        let ahead = self.typical.ahead(threads);
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        if waiting > ahead / 2 {
            return 0;
        }
        (threads + ahead).saturating_sub(self.running + waiting)
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next run, or nothing when the threads are to end.
    fn take(&self) -> Option<Run> {
        let mut line = self.line();
        loop {
            if line.closed {
                return None;
            }
            if let Some((_, run)) = line.waiting.pop_front() {
                line.running += 1;
                return Some(run);
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, threads: u32, host: &Handle) {
        while let Some(run) = self.take() {
            let begun = Instant::now();
            // A panic of the host's own ends the run, which is settled all the same, and not the thread.
            if catch_unwind(AssertUnwindSafe(|| host.block_on(run))).is_err() {
                tracing::error!("a sync run panicked in the host");
            }
            let mut line = self.line();
            line.running -= 1;
            line.typical.learn(begun.elapsed());
            if line.room(threads) > 0 {
                self.freed.notify_one();
            }
        }
    }
}

impl Threads {
    /// Starts them. A handler's timers and sockets are driven by `host`. `freed` is told when there is room.
    pub(super) fn start(total: u32, host: &Handle, freed: Arc<Notify>) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { line: Mutex::default(), changed: Condvar::new(), waiting: Notify::new(), freed });
        for number in 0..total {
            let (shared, host) = (Arc::clone(&shared), host.clone());
            let name = format!("windlass-sync-{number}");
            thread::Builder::new().name(name).spawn(move || shared.work(total, &host))?;
        }
        Ok(Self { total, shared })
    }

    /// How many are busy.
    pub(super) fn used(&self) -> SlotUse {
        SlotUse { total: self.total, busy: self.shared.line().running }
    }

    /// How many jobs to claim for them.
    pub(super) fn room(&self) -> u32 {
        self.shared.line().room(self.total)
    }

    /// Runs something as soon as a thread is free.
    pub(super) fn run(&self, run: Run) {
        self.shared.line().waiting.push_back((Instant::now(), run));
        self.shared.changed.notify_one();
        self.shared.waiting.notify_one();
    }

    /// Hands back every job that waits here.
    pub(super) fn give_back(&self) {
        let waiting = std::mem::take(&mut self.shared.line().waiting);
        // Dropped here, outside the lock: each hands its job to the recorder.
        drop(waiting);
    }

    /// Hands back jobs that have waited here for too long, until it is dropped.
    pub(super) async fn give_back_the_late(&self) {
        loop {
            self.shared.waiting.notified().await;
            while !self.shared.line().waiting.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                self.give_back_before(Instant::now().checked_sub(PATIENCE));
            }
        }
    }

    fn give_back_before(&self, late: Option<Instant>) {
        let Some(late) = late else { return };
        let mut line = self.shared.line();
        let count = line.waiting.partition_point(|(since, _)| *since <= late);
        if count == 0 {
            return;
        }
        let rest = line.waiting.split_off(count);
        let given_back = std::mem::replace(&mut line.waiting, rest);
        // Runs are longer than they were: none are claimed ahead until some short ones have been seen.
        line.typical = Typical(Some(PATIENCE));
        drop(line);
        tracing::debug!(jobs = given_back.len(), "handing back jobs that found no thread in time");
        drop(given_back);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.line().closed = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Tells when it is run, and when it is dropped without having been run.
    fn tell(done: &Arc<AtomicU32>, dropped: &Arc<AtomicU32>, took: Duration) -> Run {
        struct Told(Arc<AtomicU32>, bool);
        impl Drop for Told {
            fn drop(&mut self) {
                if !self.1 {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let (done, mut told) = (done.clone(), Told(dropped.clone(), false));
        Box::pin(async move {
            told.1 = true;
            thread::sleep(took);
            done.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn nothing_is_claimed_ahead_before_runs_are_known_to_be_short() {
        assert_eq!(Line::default().room(4), 4);
        let mut line = Line { running: 4, ..Line::default() };
        assert_eq!(line.room(4), 0);
        line.typical.learn(Duration::from_millis(6));
        assert_eq!(line.room(4), 0);
        line.typical = Typical(Some(Duration::from_millis(2)));
        assert_eq!(line.room(4), 40);
        line.typical = Typical(Some(Duration::from_micros(1)));
        assert_eq!(line.room(4), MAX_AHEAD);
    }

    #[test]
    fn no_more_are_claimed_while_enough_wait() {
        let (done, dropped) = (Arc::default(), Arc::default());
        let mut line = Line { running: 1, typical: Typical(Some(Duration::from_millis(2))), ..Line::default() };
        assert_eq!(line.room(1), 10);
        for _ in 0..6 {
            line.waiting.push_back((Instant::now(), tell(&done, &dropped, Duration::ZERO)));
        }
        assert_eq!(line.room(1), 0);
        line.waiting.pop_front();
        assert_eq!(line.room(1), 5);
    }

    #[tokio::test]
    async fn a_job_that_waits_for_too_long_is_handed_back_and_no_more_are_claimed_ahead() {
        let (done, dropped) = (Arc::default(), Arc::<AtomicU32>::default());
        let threads = Threads::start(1, &Handle::current(), Arc::default()).unwrap();
        for _ in 0..3 {
            threads.run(tell(&done, &dropped, Duration::from_millis(400)));
        }
        tokio::select! {
            () = threads.give_back_the_late() => {}
            () = async {
                while dropped.load(Ordering::SeqCst) < 2 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } => {}
        }
        assert_eq!(done.load(Ordering::SeqCst), 0, "the first still runs");
        assert_eq!(threads.used(), SlotUse { total: 1, busy: 1 });
        assert_eq!(threads.room(), 0);
    }

    #[tokio::test]
    async fn a_panic_in_a_run_does_not_end_its_thread() {
        let (done, dropped) = (Arc::<AtomicU32>::default(), Arc::default());
        let freed = Arc::<Notify>::default();
        let threads = Threads::start(1, &Handle::current(), freed.clone()).unwrap();
        threads.run(Box::pin(async { panic!("of the host's own") }));
        threads.run(tell(&done, &dropped, Duration::ZERO));
        while done.load(Ordering::SeqCst) == 0 {
            freed.notified().await;
        }
    }
}
