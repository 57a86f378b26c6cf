//! The thread that writes: it takes everything that has queued up, carries it out in one transaction, commits once, and
//! answers all.
//!
//! Each operation stands in a savepoint of its own, so that one that fails undoes itself alone. An operation is answered
//! only after the commit: what was answered holds.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use windlass_api::State;

use super::{
    counters,
    fault::Fault,
    ground::Ground,
    hub::Hub,
    operation::{Applied, Durability, Operation, Step},
    options::Synchronous,
    tx::{Cache, Effects, Tally, Tx},
    words::Word,
};
use crate::{
    Clock,
    storage::{Retention, Signal, StorageError},
};

/// How often a host looks whether another process has written.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many operations share a commit at most; the first of them waits for all.
const MAX_BATCH: usize = 256;

/// How long operations are added to a commit: the first of them waits for all, whatever they are.
const MAX_BATCH_TIME: Duration = Duration::from_millis(50);

/// What the writing thread owns.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) operations: Receiver<Box<dyn Operation>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) retention: Retention,
    pub(super) synchronous: Synchronous,
    pub(super) hub: Arc<Hub>,
    pub(super) ground: Arc<Ground>,
    /// Whether the log is folded into the database in the end.
    pub(super) folds: bool,
    /// Whether to look for what other processes write.
    pub(super) watches: bool,
}

impl Writer {
    /// Carries out a step at once, before the thread runs.
    pub(super) fn at_start<T: Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (step, mut answered) = Step::new(Durability::Promised, step);
        self.commit(vec![Box::new(step)], &mut Cache::default(), &mut None);
        answered.try_recv().map_err(|error| StorageError::Unavailable(error.to_string()))?
    }

    /// Works until nobody is left who could send an operation.
    pub(super) fn run(mut self) {
        let mut cache = Cache::default();
        let mut synced = None;
        let mut seen_version = self.data_version();
        let mut looked_at = Instant::now();
        loop {
            let first = match self.operations.recv_timeout(LOOK_EVERY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.fold_log(),
            };
            if let Some(first) = first {
                let mut batch = vec![first];
                batch.extend(self.operations.try_iter().take(MAX_BATCH - 1));
                self.commit(batch, &mut cache, &mut synced);
            }
            // Also where nothing is written: the log says so soon, and not only when somebody enqueues.
            let _ = self.ground.look_at_times();
            if self.watches && looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                let version = self.data_version();
                if version != seen_version {
                    seen_version = version;
                    self.tell_of_others();
                }
            }
        }
    }

    /// Folds the log into the database file, so that what a host leaves behind is one file that can be copied.
    fn fold_log(&self) {
        if !self.folds {
            return;
        }
        let folded = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        match folded {
            Ok(false) => {}
            Ok(true) => tracing::debug!("another process reads the database; its log stays beside it"),
            Err(error) => tracing::warn!(%error, "failed to fold the log into the database; it stays beside it"),
        }
    }

    /// Carries out operations in their order, in as few transactions as keep each of them short.
    fn commit(&mut self, mut batch: Vec<Box<dyn Operation>>, cache: &mut Cache, synced: &mut Option<bool>) {
        while !batch.is_empty() {
            batch = self.commit_some(batch, cache, synced);
        }
    }

    /// Carries out operations in one transaction; gives those for which there was no time in it.
    fn commit_some(
        &mut self,
        mut batch: Vec<Box<dyn Operation>>,
        cache: &mut Cache,
        synced: &mut Option<bool>,
    ) -> Vec<Box<dyn Operation>> {
        let mut rest = Vec::new();
        if let Err(error) = self.ground.look_at_times() {
            let why = reason(error);
            batch.into_iter().for_each(|operation| operation.answer(Some(&why)));
            return rest;
        }
        let promises = batch.iter().any(|operation| operation.durability() == Durability::Promised);
        let must_sync = self.synchronous == Synchronous::Full && promises;
        let outcome = self.carry_out(&mut batch, cache, must_sync, synced);
        let broken = match outcome {
            Ok(told) => {
                rest = batch.split_off(told.operations.min(batch.len()));
                self.hub.tell(told.signals, &told.ends);
                // What is promised must stand where the next host finds it.
                let stands = if promises { self.ground.look() } else { Ok(()) };
                stands.err().map(reason)
            }
            Err(error) => {
                cache.clear();
                // Rolling back fails only where there is nothing left to roll back.
                let _ = self.db.execute_batch("ROLLBACK");
                tracing::error!(%error, operations = batch.len(), "a transaction was rolled back");
                Some(reason(error))
            }
        };
        if batch.iter().any(|operation| operation.folds()) {
            self.fold_log();
        }
        for operation in batch {
            operation.answer(broken.as_deref());
        }
        rest
    }

    fn carry_out(
        &self,
        batch: &mut [Box<dyn Operation>],
        cache: &mut Cache,
        must_sync: bool,
        synced: &mut Option<bool>,
    ) -> Result<Told, StorageError> {
        if *synced != Some(must_sync) {
            *synced = None;
            self.db
                .execute_batch(if must_sync { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })
                .map_err(Fault::from)?;
            *synced = Some(must_sync);
        }
        self.db.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])).map_err(Fault::from)?;
        let mut tx = Tx::new(&self.db, cache, self.clock.as_ref(), self.retention);
        let began = Instant::now();
        let mut operations = 0;
        for operation in batch {
            if operation.apply(&mut tx) == Applied::Broken {
                return Err(StorageError::Unavailable(
                    "the transaction was rolled back, and nothing was written".into(),
                ));
            }
            operations += 1;
            if began.elapsed() >= MAX_BATCH_TIME {
                break;
            }
        }
        let Effects { tally, counters, signals, ends, .. } = tx.effects;
        write_tally(&self.db, &tally)?;
        counters::write(&self.db, &counters)?;
        self.db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(Fault::from)?;
        Ok(Told { operations, signals, ends })
    }

    /// Changes with each commit of another connection, and with none of this one.
    fn data_version(&self) -> i64 {
        self.db.pragma_query_value(None, "data_version", |row| row.get(0)).unwrap_or(0)
    }

    fn tell_of_others(&self) {
        let mut signals = vec![Signal::Work, Signal::Modules];
        match super::commands::asked_runs(&self.db) {
            Ok(runs) => signals.extend(runs.into_iter().map(Signal::Cancel)),
            Err(fault) => tracing::warn!(?fault, "failed to look for jobs that another process cancelled"),
        }
        self.hub.tell(signals, &[]);
    }
}

/// Each operation is answered that the storage is unavailable, and why.
fn reason(error: StorageError) -> String {
    match error {
        StorageError::Unavailable(reason) => reason,
        error => error.to_string(),
    }
}

struct Told {
    /// How many operations were carried out.
    operations: usize,
    signals: Vec<Signal>,
    ends: Vec<windlass_api::JobId>,
}

fn write_tally(db: &Connection, tally: &Tally) -> Result<(), Fault> {
    for ((queue, handler, state), change) in tally.iter().filter(|(_, change)| **change != 0) {
        db.prepare_cached(
            "INSERT INTO tally (queue, handler, state, jobs) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs",
        )?
        .execute((queue, handler, State::number(*state), change))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use tokio::sync::oneshot;
    use windlass_api::Timestamp;

    use super::*;
    use crate::TestClock;

    fn writer() -> Writer {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut db, "a test", true).unwrap();
        let (_, operations) = mpsc::channel();
        Writer {
            db,
            operations,
            clock: Arc::new(TestClock::at(Timestamp(0))),
            retention: Retention::default(),
            synchronous: Synchronous::Full,
            hub: Arc::new(Hub::new()),
            ground: Arc::default(),
            folds: true,
            watches: false,
        }
    }

    type Answer = oneshot::Receiver<Result<(), StorageError>>;

    fn insert(name: &'static str, bytes: usize, fails: bool) -> (Box<dyn Operation>, Answer) {
        let step = move |tx: &mut Tx<'_>| {
            tx.db.execute("INSERT INTO queues (name) VALUES (?1)", [format!("{name}{}", "x".repeat(bytes))])?;
            tx.count(1, 1, State::Enqueued, 1);
            if fails { Err(Fault::Damaged("on purpose".into())) } else { Ok(()) }
        };
        let (step, answer) = Step::new(Durability::Promised, step);
        (Box::new(step), answer)
    }

    fn commit(writer: &mut Writer, steps: Vec<(Box<dyn Operation>, Answer)>) -> Vec<Result<(), StorageError>> {
        let (batch, answers) = steps.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        writer.commit(batch, &mut Cache::default(), &mut None);
        answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
    }

    fn stored(writer: &Writer) -> (i64, i64) {
        let number = |sql: &str| writer.db.query_row(sql, [], |row| row.get(0)).unwrap();
        (number("SELECT count(*) FROM queues"), number("SELECT coalesce(sum(jobs), 0) FROM tally"))
    }

    #[test]
    fn an_operation_that_fails_undoes_itself_and_none_that_shares_its_commit() {
        let mut writer = writer();
        let steps = vec![insert("a", 0, false), insert("b", 0, true), insert("c", 0, false)];
        let answers = commit(&mut writer, steps);
        assert!(answers[0].is_ok() && answers[2].is_ok());
        assert!(matches!(&answers[1], Err(StorageError::Damaged(text)) if text == "on purpose"));
        assert_eq!(stored(&writer), (2, 2));
    }

    #[test]
    fn a_commit_ends_early_when_its_operations_take_long() {
        let mut writer = writer();
        let slow = |tx: &mut Tx<'_>| {
            tx.db.execute("INSERT INTO queues (name) VALUES ('slow')", [])?;
            thread::sleep(MAX_BATCH_TIME);
            Ok(())
        };
        let (slow, mut answer) = Step::new(Durability::Promised, slow);
        let (fast, _not_yet) = insert("fast", 0, false);
        let rest = writer.commit_some(vec![Box::new(slow), fast], &mut Cache::default(), &mut None);
        assert!(answer.try_recv().unwrap().is_ok());
        assert_eq!((rest.len(), stored(&writer).0), (1, 1));
    }

    #[test]
    fn a_full_disk_is_told_and_nothing_half_done_and_the_writer_goes_on() {
        let mut writer = writer();
        let pages = writer.db.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0)).unwrap();
        // A database that must not grow fails as one on a full disk does.
        writer.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        let answers = commit(&mut writer, vec![insert("a", 0, false), insert("b", 1_000_000, false)]);
        let full = "the storage is unavailable: the disk is full; make room on it";
        assert_eq!(answers[1].as_ref().unwrap_err().to_string(), full);
        let kept = i64::from(answers[0].is_ok());
        assert_eq!(stored(&writer), (kept, kept), "what was answered holds, and nothing else");
        writer.db.pragma_update_and_check(None, "max_page_count", pages * 1_000, |_| Ok(())).unwrap();
        assert!(commit(&mut writer, vec![insert("c", 1_000_000, false)])[0].is_ok());
        assert_eq!(stored(&writer), (kept + 1, kept + 1));
    }

    #[test]
    fn what_only_shared_a_transaction_is_told_once_why_it_is_undone() {
        let mut writer = writer();
        let ends_it = |tx: &mut Tx<'_>| {
            tx.db.execute_batch("ROLLBACK")?;
            Err::<(), _>(Fault::Damaged("on purpose".into()))
        };
        let (broken, broken_answer) = Step::new(Durability::Promised, ends_it);
        let (shared, answer) = insert("a", 0, false);
        let answers = commit(&mut writer, vec![(shared, answer), (Box::new(broken), broken_answer)]);
        let told = "the storage is unavailable: the transaction was rolled back, and nothing was written";
        assert_eq!(answers[0].as_ref().unwrap_err().to_string(), told);
        // What keeps a transaction from beginning is told to each as well.
        writer.db.execute_batch("BEGIN").unwrap();
        let answers = commit(&mut writer, vec![insert("b", 0, false)]);
        let told = answers[0].as_ref().unwrap_err().to_string();
        assert_eq!(told.matches("the storage is unavailable").count(), 1, "{told}");
    }

    #[test]
    fn what_was_promised_is_synced_and_nothing_else_is() {
        let cases = [
            (Synchronous::Full, vec![Durability::Promised], 2),
            (Synchronous::Full, vec![Durability::Relaxed], 1),
            (Synchronous::Full, vec![Durability::Relaxed, Durability::Promised, Durability::Relaxed], 2),
            (Synchronous::Normal, vec![Durability::Promised], 1),
        ];
        let mut writer = writer();
        let mut synced = None;
        // Each level follows on each other one.
        for (synchronous, durabilities, expected) in cases.iter().chain(cases.iter().rev()) {
            writer.synchronous = *synchronous;
            let mut batch = Vec::<Box<dyn Operation>>::new();
            let mut answers = Vec::new();
            for durability in durabilities {
                // Within a transaction the level is the one that its commit will have.
                let level =
                    |tx: &mut Tx<'_>| Ok(tx.db.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?);
                let (step, answer) = Step::new(*durability, level);
                batch.push(Box::new(step));
                answers.push(answer);
            }
            writer.commit(batch, &mut Cache::default(), &mut synced);
            for mut answer in answers {
                assert_eq!(answer.try_recv().unwrap().unwrap(), *expected, "{synchronous:?} {durabilities:?}");
            }
        }
    }
}
