//! Going on past a job whose record is damaged: one such job must not stop all that stand behind it.
//!
//! Where a record does not make sense, it is dealt with in the same transaction. Where the file is damaged, SQLite writes
//! nothing more in the transaction that has met it: the job is remembered as a suspect, and dealt with in another one.

use std::sync::{Mutex, PoisonError};

use rusqlite::OptionalExtension;
use windlass_api::{JobId, State};

use super::{
    fault::Fault,
    lines,
    record::ties,
    ripples,
    tx::Tx,
    words::{self, Word},
};
use crate::storage::{Signal, StorageError};

/// Takes a job out of every line, wherever it stands there.
const LINES: [&str; 2] = ["DELETE FROM waiting WHERE seq = ?1", "DELETE FROM scheduled WHERE seq = ?1"];

/// Who ends a job whose record is damaged.
const BY: &str = "storage";

/// How many suspects one call goes on past: more than stand on one page.
pub(super) const MAX_SUSPECTS: usize = 256;

/// How many jobs, or steps of theirs, stand on the pages on either side of a job's, at most.
const BESIDE: usize = 400;

/// The job that stands on a damaged page.
#[derive(Debug, Default)]
pub(super) struct Suspect(Mutex<Option<i64>>);

impl Suspect {
    pub(super) fn take(&self) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes a step that touches nothing but what belongs to one job. Where the file is damaged there, the job is the
    /// suspect. Anywhere else a damaged page is shared, and no single job is to blame for it.
    pub(super) fn watch<T>(&self, seq: i64, step: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        step().inspect_err(|fault| {
            if fault.is_of_the_file() {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seq);
            }
        })
    }

    /// Takes a step that writes a job, and is taken back where it fails. A row that grows may need room from the pages
    /// beside its own: where one of those is damaged, the job is the suspect, since it cannot be written where it stands.
    pub(super) fn watch_beside<T>(
        &self,
        seq: i64,
        tx: &mut Tx<'_>,
        step: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        step(tx).inspect_err(|fault| {
            if fault.is_of_the_file() {
                // Whatever this finds, the fault is what the step gave.
                let _ = self.watch(seq, || look_beside(tx, seq));
            }
        })
    }
}

/// Reads the jobs and the steps beside those of one, as far as the pages reach that what is written may need room from.
fn look_beside(tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
    for (table, number) in [("jobs", "lines"), ("history", "n")] {
        for beside in ["seq > ?1 ORDER BY seq", "seq < ?1 ORDER BY seq DESC"] {
            let sql = format!("SELECT max({number}) FROM (SELECT {number} FROM {table} WHERE {beside} LIMIT {BESIDE})");
            tx.db.prepare_cached(&sql)?.query_row([seq], |row| row.get::<_, Option<i64>>(0))?;
        }
    }
    Ok(())
}

/// How much of a suspect is still written, the most first: what cannot be is tried no second time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// The job with its history.
    Whole,
    /// The job alone, where its history stands on the damaged page.
    Job,
    /// Nothing but the line that it stands in, where the job itself does. It is still counted, since nothing tells where.
    Line,
}

impl Extent {
    pub(super) const ALL: [Self; 3] = [Self::Whole, Self::Job, Self::Line];
}

/// Takes a suspect out of its line, in a transaction of its own. It may have left since it was met.
pub(super) fn set_suspect_aside(tx: &mut Tx<'_>, seq: i64, met_in: State, extent: Extent) -> Result<(), Fault> {
    if matches!(extent, Extent::Line) {
        // Its parents would lead to it again and again.
        tx.db.prepare_cached("DELETE FROM edges WHERE child = ?1")?.execute([seq])?;
        return leave_lines(tx, seq);
    }
    let mut query = tx.db.prepare_cached("SELECT 1 FROM jobs WHERE seq = ?1 AND state = ?2")?;
    if !query.exists((seq, met_in.number()))? {
        return Ok(());
    }
    set_aside_to(tx, seq, met_in, extent)?;
    tx.signal(Signal::Work);
    Ok(())
}

/// Deals with one job of several, wholly or not at all. Nothing where its record is damaged, which is logged.
pub(super) fn unless_damaged<T>(
    tx: &mut Tx<'_>,
    seq: i64,
    step: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    match tx.guarded(step) {
        Ok(done) => Ok(Some(done)),
        Err(fault) if fault.is_of_a_record() => {
            log(tx, seq, fault)?;
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Ends a job whose record is damaged, so that it is met in its line no second time and counted where it stands. It has
/// failed, reason `damaged`: once its record is repaired it can be requeued. `counted` is the state of the line, or of the
/// list, that it was found in.
pub(super) fn set_aside(tx: &mut Tx<'_>, seq: i64, counted: State) -> Result<(), Fault> {
    set_aside_to(tx, seq, counted, Extent::Whole)
}

/// The same for a job that was found by something else than its state.
pub(super) fn set_aside_anywhere(tx: &mut Tx<'_>, seq: i64) -> Result<(), Fault> {
    let state =
        tx.db.prepare_cached("SELECT state FROM jobs WHERE seq = ?1")?.query_row([seq], |row| row.get(0)).optional()?;
    let Some(state) = state else { return Ok(()) };
    set_aside(tx, seq, State::from_number(state).unwrap_or(State::Enqueued))
}

/// Takes a job out of all lines. Its place there may be what is damaged, so it is looked for by its number alone.
pub(super) fn leave_lines(tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
    for line in LINES {
        tx.db.prepare_cached(line)?.execute([seq])?;
    }
    lines::leave_all(tx, seq)
}

/// Keeps that the children of a job are to be told how it ended, as far as its record says that it has any.
pub(super) fn begin_ripple_of(tx: &mut Tx<'_>, seq: i64, outcome: State) -> Result<(), Fault> {
    let tied = tx
        .db
        .prepare_cached("SELECT id, ties FROM jobs WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get::<_, Vec<u8>>(0).ok(), row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((Some(id), ties)) = tied else { return Ok(()) };
    match words::uuid(&id) {
        Ok(id) if ties & ties::HAS_CHILDREN != 0 => ripples::begin(tx, JobId(id), outcome),
        _ => Ok(()),
    }
}

fn set_aside_to(tx: &mut Tx<'_>, seq: i64, counted: State, extent: Extent) -> Result<(), Fault> {
    leave_lines(tx, seq)?;
    // The columns have types of their own, so that these can be read of any job.
    let place = tx
        .db
        .prepare_cached(
            "UPDATE jobs SET state = ?2, at = ?3, reason = 'damaged', mode = min(max(mode, 0), 1), ask = NULL,
             expires_at = NULL, held = NULL, ties = ties & 7 WHERE seq = ?1 RETURNING queue, handler, limit_key",
        )?
        .query_row((seq, State::Failed.number(), tx.now.0), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((queue, handler, limit_key)) = place else { return Ok(()) };
    let limit_key: Option<String> = limit_key;
    if matches!(extent, Extent::Whole) {
        record_damage(tx, seq, counted)?;
    }
    tx.db.prepare_cached("UPDATE jobs SET server = NULL WHERE seq = ?1")?.execute([seq])?;
    tx.count(queue, handler, counted, -1);
    tx.count(queue, handler, State::Failed, 1);
    tx.happened(handler).failed += 1;
    if counted == State::Processing {
        lines::ran(tx, queue, handler, limit_key.as_deref(), -1)?;
    }
    begin_ripple_of(tx, seq, State::Failed)?;
    ripples::release_parents(tx, seq)
}

fn record_damage(tx: &Tx<'_>, seq: i64, counted: State) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "UPDATE jobs SET lines = (SELECT coalesce(max(n), 0) + 1 FROM history WHERE history.seq = ?1) WHERE seq = ?1",
        )?
        .execute([seq])?;
    tx.db
        .prepare_cached(
            "INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, by, reason)
             SELECT seq, lines, ?2, ?3, ?4, iif(?5, run, NULL), iif(?5, attempt, NULL), iif(?5, started_at, NULL),
             iif(?5, server, NULL), ?6, 'damaged' FROM jobs WHERE seq = ?1",
        )?
        .execute((seq, counted.number(), State::Failed.number(), tx.now.0, counted == State::Processing, BY))?;
    Ok(())
}

fn log(tx: &Tx<'_>, seq: i64, fault: Fault) -> Result<(), Fault> {
    let id = tx
        .db
        .prepare_cached("SELECT id FROM jobs WHERE seq = ?1")?
        .query_row([seq], |row| Ok(row.get::<_, Vec<u8>>(0).ok()))
        .optional()?
        .flatten()
        .and_then(|id| words::uuid(&id).ok());
    let job = id.map_or_else(|| format!("number {seq}"), |id| JobId(id).to_string());
    tracing::error!(%job, error = %StorageError::from(fault), "a job is passed over, because its record is damaged");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_api::{Mode, RetryPolicy};

    use super::*;
    use crate::{
        Conditions, NewJob, Start, SystemClock,
        storage::{
            JobStore,
            sqlite::{SqliteStorage, operation::Durability},
        },
    };

    fn job() -> NewJob {
        NewJob {
            id: JobId(uuid::Uuid::now_v7()),
            module: "m".parse().unwrap(),
            handler: "h".parse().unwrap(),
            mode: Mode::Sync,
            queue: windlass_api::QueueName::default(),
            priority: 5,
            start: Start::Now,
            payload: windlass_api::Json::null(),
            headers: std::collections::BTreeMap::new(),
            tags: Vec::new(),
            max_attempts: 1,
            retry: RetryPolicy::default(),
            timeout_ms: None,
            conditions: Conditions::default(),
        }
    }

    #[tokio::test]
    async fn a_suspect_that_was_deleted_meanwhile_stays_deleted_and_counted_once() {
        let storage = SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap();
        let (gone, suspect) = (job(), job());
        storage.enqueue(vec![gone.clone(), suspect.clone()], "ann").await.unwrap();
        storage.delete(gone.id, "ann").await.unwrap();
        for (id, extent) in [(gone.id, Extent::Whole), (suspect.id, Extent::Job), (suspect.id, Extent::Whole)] {
            let aside = move |tx: &mut Tx<'_>| {
                let mut query = tx.db.prepare("SELECT seq FROM jobs WHERE id = ?1")?;
                let seq = query.query_row([id.0.as_bytes()], |row| row.get(0))?;
                set_suspect_aside(tx, seq, State::Enqueued, extent)
            };
            storage.write(Durability::Promised, aside).await.unwrap();
        }
        assert_eq!(storage.counts().await.unwrap().0, [(State::Deleted, 1), (State::Failed, 1)].into());
        assert_eq!(storage.job(gone.id).await.unwrap().unwrap().job.state, State::Deleted);
        assert_eq!(storage.job(suspect.id).await.unwrap().unwrap().job.reason.as_deref(), Some("damaged"));
    }
}
