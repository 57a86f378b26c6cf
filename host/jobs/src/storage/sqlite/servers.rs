//! Servers, their heartbeats, and what becomes of the jobs of those that are gone.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, params};
use windlass_api::{Cause, Json, QueueName, ServerId, ServerView, SlotUse, State, Timestamp, Usage};

use super::{
    damage::{Suspect, set_aside, unless_damaged},
    fault::Fault,
    record::{Job, RunEnd},
    settle::{delete_reason, host_failure},
    tx::Tx,
    words::{self, count, signed, unsigned},
};
use crate::storage::{Heartbeat, NewServer, Pulse, Vitals};

/// After so many lost servers a job is taken to be what kills them.
const MAX_LOSSES: u32 = 3;

/// Who takes runs away from lost servers.
const SWEEPER: &str = "sweeper";

pub(super) fn register(tx: &mut Tx<'_>, server: &NewServer) -> Result<(), Fault> {
    let queues = Json::write(&server.queues).map_err(|error| Fault::damaged("a server's queues", error))?;
    tx.db
        .prepare_cached(
            "INSERT INTO servers (id, alive, beat, host, pid, version, queues, sync_slots, sync_busy, async_slots,
             async_busy, started_at, heartbeat_at) VALUES (?1, 1, 0, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0, ?8, ?8)",
        )?
        .execute(params![
            server.id.0.as_bytes(),
            server.host,
            server.pid,
            server.version,
            queues.as_str(),
            server.sync_slots,
            server.async_slots,
            tx.now.0,
        ])?;
    Ok(())
}

pub(super) fn is_alive(db: &Connection, server: i64) -> Result<bool, Fault> {
    Ok(db.prepare_cached("SELECT 1 FROM servers WHERE n = ?1 AND alive")?.exists([server])?)
}

pub(super) fn heartbeat(tx: &mut Tx<'_>, id: ServerId, vitals: Vitals) -> Result<Heartbeat, Fault> {
    let Vitals { sync_slots, async_slots, memory_bytes } = vitals;
    let beaten = tx
        .db
        .prepare_cached(
            "UPDATE servers SET beat = beat + 1, heartbeat_at = ?2, sync_slots = ?3, sync_busy = ?4, async_slots = ?5,
             async_busy = ?6, memory = ?7 WHERE id = ?1 AND alive",
        )?
        .execute(params![
            id.0.as_bytes(),
            tx.now.0,
            sync_slots.total,
            sync_slots.busy,
            async_slots.total,
            async_slots.busy,
            memory_bytes.map(signed),
        ])?;
    if beaten == 0 {
        return Ok(Heartbeat::Refused);
    }
    let asked = super::commands::asked_runs(tx.db)?;
    Ok(Heartbeat::Alive { cancelled: asked.into_iter().filter(|fence| fence.server == id).collect() })
}

pub(super) fn pulses(db: &Connection) -> Result<Vec<Pulse>, Fault> {
    let mut query = db.prepare_cached("SELECT id, beat FROM servers WHERE alive ORDER BY n")?;
    let mut rows = query.query([])?;
    let mut pulses = Vec::new();
    while let Some(row) = rows.next()? {
        let id = words::uuid(&row.get::<_, Vec<u8>>(0)?)?;
        pulses.push(Pulse { server: ServerId(id), beat: unsigned(row.get(1)?) });
    }
    Ok(pulses)
}

/// What taking runs away goes on past: the jobs that stand on damaged pages.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// The one that was met last.
    pub(super) suspect: Suspect,
    passed: Mutex<HashSet<i64>>,
}

impl Passing {
    /// From now on a job is left alone.
    pub(super) fn pass(&self, seq: i64) {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).insert(seq);
    }

    fn is_passed(&self, seq: i64) -> bool {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).contains(&seq)
    }
}

pub(super) fn sweep(tx: &mut Tx<'_>, lost: Pulse, passing: &Passing) -> Result<Option<usize>, Fault> {
    let server = tx
        .db
        .prepare_cached("UPDATE servers SET alive = 0 WHERE id = ?1 AND beat = ?2 AND alive RETURNING n")?
        .query_row((lost.server.0.as_bytes(), signed(lost.beat)), |row| row.get(0))
        .optional()?;
    let Some(server) = server else { return Ok(None) };
    end_runs(tx, server, passing, take_away).map(Some)
}

/// Gives up every server at once: whoever holds the lock of the database is the only host.
pub(super) fn sweep_all(tx: &mut Tx<'_>, passing: &Passing) -> Result<usize, Fault> {
    let mut taken = 0;
    for pulse in pulses(tx.db)? {
        taken += sweep(tx, pulse, passing)?.unwrap_or(0);
    }
    Ok(taken)
}

pub(super) fn leave(tx: &mut Tx<'_>, id: ServerId, passing: &Passing) -> Result<(), Fault> {
    let server = tx
        .db
        .prepare_cached("UPDATE servers SET alive = 0 WHERE id = ?1 AND alive RETURNING n")?
        .query_row([id.0.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(server) = server else { return Ok(()) };
    end_runs(tx, server, passing, hand_back).map(drop)
}

/// Ends all runs of a server that is gone; gives how many.
fn end_runs(
    tx: &mut Tx<'_>,
    server: i64,
    passing: &Passing,
    end: fn(&mut Tx<'_>, Job) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let runs = runs_of(tx, server, passing)?;
    for seq in &runs {
        let suspect = &passing.suspect;
        let ended = suspect.watch_beside(*seq, tx, |tx| {
            unless_damaged(tx, *seq, |tx| {
                let job = look(tx, *seq, suspect)?;
                end(tx, job)
            })
        })?;
        if ended.is_none() {
            set_aside(tx, *seq, State::Processing)?;
        }
    }
    Ok(runs.len())
}

/// The numbers of the jobs that a server runs.
fn runs_of(tx: &Tx<'_>, server: i64, passing: &Passing) -> Result<Vec<i64>, Fault> {
    // From the index alone, so that a damaged page hides only the jobs that stand on it.
    let running = tx
        .db
        .prepare_cached("SELECT seq FROM jobs INDEXED BY jobs_by_state WHERE state = 3 ORDER BY seq")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let mut runs = Vec::new();
    for seq in running.into_iter().filter(|seq| !passing.is_passed(*seq)) {
        let own = passing.suspect.watch(seq, || {
            let mut query = tx.db.prepare_cached("SELECT 1 FROM jobs WHERE seq = ?1 AND server = ?2")?;
            Ok(query.exists((seq, server))?)
        })?;
        if own {
            runs.push(seq);
        }
    }
    Ok(runs)
}

fn look(tx: &Tx<'_>, seq: i64, suspect: &Suspect) -> Result<Job, Fault> {
    let job = suspect.watch(seq, || Job::by_seq(tx.db, seq))?;
    // Its history is about to be written to: whether that can be is seen by looking at the place.
    suspect.watch(seq, || Ok(tx.db.prepare_cached("SELECT 1 FROM history WHERE seq = ?1")?.exists([seq])?))?;
    Ok(job)
}

/// Takes a run away from a server that was lost. The attempt counts: nobody knows how far it came.
fn take_away(tx: &mut Tx<'_>, mut job: Job) -> Result<(), Fault> {
    let (before, run) = (job.place(), job.current_run());
    job.losses = job.losses.saturating_add(1);
    let mut failure = None;
    let mut by = SWEEPER.to_owned();
    if let Some(ask) = job.ask {
        by = job.asked_by.clone().unwrap_or(by);
        job.become_now(tx, State::Deleted, Some(delete_reason(ask).as_str().into()));
    } else if job.losses >= MAX_LOSSES {
        let message = format!("{} servers were lost while they ran this job", job.losses);
        failure = Some(host_failure(Cause::Poison, message));
        job.become_now(tx, State::Failed, Some(Cause::Poison.as_str().into()));
    } else if job.attempt >= job.max_attempts {
        let message = format!("the server was lost during attempt {} of {}", job.attempt, job.max_attempts);
        failure = Some(host_failure(Cause::ServerLost, message));
        job.become_now(tx, State::Failed, Some(Cause::ServerLost.as_str().into()));
    } else {
        job.become_now(tx, State::Enqueued, Some(Cause::ServerLost.as_str().into()));
    }
    job.server = None;
    job.record_run(tx, &RunEnd { usage: Usage::default(), failure: failure.as_ref() }, &run, Some(&by))?;
    job.save(tx, &before)
}

/// Puts back what a server that left in order had not settled.
fn hand_back(tx: &mut Tx<'_>, mut job: Job) -> Result<(), Fault> {
    let (before, run) = (job.place(), job.current_run());
    job.give_attempt_back();
    let mut by = None;
    if let Some(ask) = job.ask {
        by = job.asked_by.clone();
        job.become_now(tx, State::Deleted, Some(delete_reason(ask).as_str().into()));
    } else {
        job.become_now(tx, State::Enqueued, Some("shutdown".into()));
    }
    job.server = None;
    job.record_run(tx, &RunEnd { usage: Usage::default(), failure: None }, &run, by.as_deref())?;
    job.save(tx, &before)
}

pub(super) fn servers(db: &Connection) -> Result<Vec<ServerView>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT id, host, pid, version, queues, sync_slots, sync_busy, async_slots, async_busy, started_at, heartbeat_at,
         memory FROM servers WHERE alive ORDER BY n",
    )?;
    let mut rows = query.query([])?;
    let mut servers = Vec::new();
    while let Some(row) = rows.next()? {
        let id = words::uuid(&row.get::<_, Vec<u8>>(0)?).map(ServerId)?;
        let queues = serde_json::from_str::<Vec<QueueName>>(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?);
        servers.push(ServerView {
            id,
            host: row.get(1)?,
            pid: count(row.get(2)?),
            version: row.get(3)?,
            queues: queues.map_err(|error| Fault::damaged(format_args!("server {id}"), error))?,
            sync_slots: SlotUse { total: count(row.get(5)?), busy: count(row.get(6)?) },
            async_slots: SlotUse { total: count(row.get(7)?), busy: count(row.get(8)?) },
            memory_bytes: row.get::<_, Option<i64>>(11)?.map(unsigned),
            started_at: Timestamp(row.get(9)?),
            heartbeat_at: Timestamp(row.get(10)?),
        });
    }
    Ok(servers)
}
