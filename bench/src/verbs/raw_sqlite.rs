//! The statements of the SQLite storage, driven raw: the same tables, the same statements in the same batches and
//! transactions with the same durability, and nothing of Windlass around them. Where the storage changes, this has to.

use std::time::Instant;

use anyhow::{Result, ensure};
use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use super::{Took, drive::BATCH};

const SCHEMA: &str = include_str!("../../../host/jobs/src/storage/sqlite/schema/2.sql");

/// Jobs in an enqueueing transaction, as in `drive`.
const BULK: usize = 1_000;

/// As the storage sets it.
const CHECKPOINT_PAGES: u32 = 4096;

/// Numbers of states and modes, as the storage keeps them.
const ENQUEUED: i64 = 2;
const PROCESSING: i64 = 3;
const SUCCEEDED: i64 = 4;
const SYNC: i64 = 0;

const NOW: i64 = 1_800_000_000_000;
const COLUMNS: &str = "jobs.seq, jobs.id, jobs.handler, jobs.queue, jobs.mode, jobs.priority, jobs.state, jobs.attempt, \
                       jobs.max_attempts, jobs.run, jobs.losses, jobs.lines, jobs.created_at, jobs.at, jobs.ready_at, \
                       jobs.started_at, jobs.server, jobs.version, jobs.ended_line, jobs.ask, jobs.asked_by, jobs.reason";

pub(super) fn drive(jobs: usize) -> Result<Took> {
    let folder = tempfile::tempdir()?;
    let mut db = Connection::open(folder.path().join("raw.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.set_prepared_statement_cache_capacity(100);
    db.execute_batch(SCHEMA)?;
    db.execute("INSERT INTO queues (n, name) VALUES (1, 'default')", [])?;
    db.execute("INSERT INTO handlers (n, module, name) VALUES (1, 'bench', 'nothing')", [])?;
    let begun = Instant::now();
    for start in (0..jobs).step_by(BULK) {
        synced(&mut db, true, |tx| enqueue(tx, start..jobs.min(start + BULK)))?;
    }
    let enqueued = begun.elapsed();
    let begun = Instant::now();
    let mut done = 0;
    loop {
        // A claim is not synced, a settlement is.
        let claimed = synced(&mut db, false, claim)?;
        if claimed.is_empty() {
            break;
        }
        done += claimed.len();
        synced(&mut db, true, |tx| settle(tx, &claimed))?;
    }
    ensure!(done == jobs, "{done} of {jobs} jobs were claimed");
    Ok(Took { enqueue: enqueued, work: begun.elapsed() })
}

fn synced<T>(db: &mut Connection, sync: bool, step: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
    db.execute_batch(if sync { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done = step(&tx)?;
    tx.commit()?;
    Ok(done)
}

fn tally(tx: &Transaction<'_>, state: i64, jobs: usize, sign: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, ?1, ?2)
         ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs",
    )?
    .execute((state, sign * i64::try_from(jobs)?))?;
    Ok(())
}

fn count(tx: &Transaction<'_>, made: usize, succeeded: usize) -> Result<()> {
    let (made, succeeded) = (i64::try_from(made)?, i64::try_from(succeeded)?);
    for (grain, span) in [(0, 60_000), (1, 3_600_000)] {
        tx.prepare_cached(
            "INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel)
             VALUES (?1, ?2, 1, ?3, ?4, 0, 0, 0, ?4, 0, 0)
             ON CONFLICT DO UPDATE SET made = made + excluded.made, succeeded = succeeded + excluded.succeeded,
             runs = runs + excluded.runs",
        )?
        .execute((grain, NOW - NOW % span, made, succeeded))?;
    }
    Ok(())
}

fn enqueue(tx: &Transaction<'_>, jobs: std::ops::Range<usize>) -> Result<()> {
    let made = jobs.len();
    for number in jobs {
        let seq = (NOW << 20) + i64::try_from(number)?;
        tx.prepare_cached(
            "INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses,
             lines, created_at, at, ready_at, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, 0, 0, ?9, ?10, ?9, ?11) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            seq,
            Uuid::now_v7().as_bytes(),
            1,
            1,
            SYNC,
            5,
            ENQUEUED,
            3,
            NOW,
            NOW,
            None::<String>
        ])?;
        tx.prepare_cached(
            "INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            seq,
            ENQUEUED,
            "bench",
            None::<i64>,
            None::<String>,
            None::<String>,
            None::<String>,
            r#"{"n":1}"#
        ])?;
        tx.prepare_cached("INSERT INTO waiting (line, queue, priority, since, seq) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((SYNC, 1, 5, NOW, seq))?;
    }
    tally(tx, ENQUEUED, made, 1)?;
    count(tx, made, 0)
}

type Claimed = Vec<(i64, Uuid)>;

fn claim(tx: &Transaction<'_>) -> Result<Claimed> {
    let mut line = tx.prepare_cached(
        "SELECT seq FROM waiting WHERE line = ?1 AND queue = ?2 ORDER BY priority, since, seq LIMIT ?3",
    )?;
    let waiting = line.query_map((SYNC, 1, BATCH), |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let mut claimed = Vec::with_capacity(waiting.len());
    for seq in waiting {
        let id = read_job(tx, "jobs.seq = ?1", [seq])?;
        tx.prepare_cached(
            "DELETE FROM waiting WHERE line = ?1 AND queue = ?2 AND priority = ?3 AND since = ?4 AND seq = ?5",
        )?
        .execute((SYNC, 1, 5, NOW, seq))?;
        write_job(tx, seq, PROCESSING, 1, 0)?;
        tx.prepare_cached("SELECT timeout_ms, born, made_by, retry, headers, payload FROM payloads WHERE seq = ?1")?
            .query_row([seq], |row| row.get::<_, String>(5))?;
        claimed.push((seq, id));
    }
    tally(tx, ENQUEUED, claimed.len(), -1)?;
    tally(tx, PROCESSING, claimed.len(), 1)?;
    Ok(claimed)
}

fn settle(tx: &Transaction<'_>, claimed: &Claimed) -> Result<()> {
    for (seq, id) in claimed {
        read_job(tx, "jobs.id = ?1", [id.as_bytes()])?;
        tx.prepare_cached("INSERT OR REPLACE INTO results (seq, result) VALUES (?1, ?2)")?.execute((seq, "null"))?;
        tx.prepare_cached(
            "INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel,
             peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure)
             VALUES (?1, 1, 3, ?2, ?3, 1, 1, ?3, 1, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL)",
        )?
        .execute((seq, SUCCEEDED, NOW))?;
        write_job(tx, *seq, SUCCEEDED, 1, 1)?;
    }
    tally(tx, PROCESSING, claimed.len(), -1)?;
    tally(tx, SUCCEEDED, claimed.len(), 1)?;
    count(tx, 0, claimed.len())
}

fn read_job(tx: &Transaction<'_>, which: &str, key: impl rusqlite::Params) -> Result<Uuid> {
    let mut query = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE {which}"))?;
    let id = query.query_row(key, |row| row.get::<_, Vec<u8>>(1))?;
    Ok(Uuid::from_slice(&id)?)
}

fn write_job(tx: &Transaction<'_>, seq: i64, state: i64, run: i64, lines: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE jobs SET mode = ?2, state = ?3, attempt = ?4, run = ?5, losses = ?6, lines = ?7, at = ?8,
         ready_at = ?9, started_at = ?10, server = ?11, version = ?12, ended_line = ?13, ask = ?14,
         asked_by = ?15, reason = ?16 WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        SYNC,
        state,
        run,
        run,
        0,
        lines,
        NOW,
        NOW,
        NOW,
        (state == PROCESSING).then_some(1),
        None::<i64>,
        (lines > 0).then_some(lines),
        None::<i64>,
        None::<String>,
        None::<String>
    ])?;
    Ok(())
}
