//! Servers, their heartbeats, and what becomes of the jobs of those that are gone.

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Cause, Json, QueueName, ServerId, ServerView, SlotUse, State, Timestamp, Usage};

use super::{
    commands,
    fault::Fault,
    record::{self, Change, Job, live, made},
    settle::{delete_reason, host_failure},
    tx::Tx,
    words::{count, plain, signed, unsigned},
};
use crate::storage::{Heartbeat, NewServer, Pulse, Vitals};

/// After so many lost servers a job is taken to be what kills them.
const MAX_LOSSES: u32 = 3;

/// Who takes runs away from lost servers.
const SWEEPER: &str = "sweeper";

/// How many runs are taken away in one statement each.
const SLICE: usize = 1_000;

pub(super) async fn register(tx: &mut Tx<'_>, server: &NewServer) -> Result<(), Fault> {
    let queues = Json::write(&server.queues).map_err(|error| Fault::damaged("a server's queues", error))?;
    let query = tx
        .query(
            "INSERT INTO @servers (id, alive, beat, host, pid, version, queues, sync_slots, sync_busy, async_slots,
             async_busy, started_at, heartbeat_at)
             SELECT $2, true, 0, $3, $4, $5, $6, $7, 0, $8, 0, t.now, t.now FROM (SELECT @now AS now OFFSET 0) t",
        )
        .bind(tx.instant())
        .bind(server.id.0)
        .bind(plain(&server.host))
        .bind(i64::from(server.pid))
        .bind(plain(&server.version))
        .bind(queues.as_str())
        .bind(i64::from(server.sync_slots))
        .bind(i64::from(server.async_slots));
    tx.run(query).await?;
    Ok(())
}

/// Counts the server's heart up. Nothing of what a claim or a sweep holds of its row is in the way.
pub(super) async fn heartbeat(tx: &mut Tx<'_>, id: ServerId, vitals: Vitals) -> Result<Heartbeat, Fault> {
    let Vitals { sync_slots, async_slots, memory_bytes } = vitals;
    let query = tx
        .query(
            "UPDATE @servers SET beat = beat + 1, heartbeat_at = @now, sync_slots = $3, sync_busy = $4,
             async_slots = $5, async_busy = $6, memory = $7 WHERE id = $2 AND alive",
        )
        .bind(tx.instant())
        .bind(id.0)
        .bind(i64::from(sync_slots.total))
        .bind(i64::from(sync_slots.busy))
        .bind(i64::from(async_slots.total))
        .bind(i64::from(async_slots.busy))
        .bind(memory_bytes.map(signed));
    if tx.run(query).await? == 0 {
        return Ok(Heartbeat::Refused);
    }
    Ok(Heartbeat::Alive { cancelled: commands::asked_runs(tx, Some(id)).await? })
}

pub(super) async fn pulses(tx: &mut Tx<'_>) -> Result<Vec<Pulse>, Fault> {
    let query = tx.query("SELECT id, beat FROM @servers WHERE alive ORDER BY n");
    let mut pulses = Vec::new();
    for row in tx.all(query).await? {
        pulses.push(Pulse { server: ServerId(row.try_get::<Uuid, _>(0)?), beat: unsigned(row.try_get(1)?) });
    }
    Ok(pulses)
}

/// Ends a server; gives its number, where it lived. Claims of its hold its row, and so come before or find it gone.
async fn end(tx: &mut Tx<'_>, id: ServerId, beat: Option<u64>) -> Result<Option<i32>, Fault> {
    let query = tx
        .query("SELECT n FROM @servers WHERE id = $1 AND alive AND ($2::bigint IS NULL OR beat = $2) FOR UPDATE")
        .bind(id.0)
        .bind(beat.map(signed));
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let n = row.try_get(0)?;
    let query = tx.query("UPDATE @servers SET alive = false WHERE n = $1").bind(n);
    tx.run(query).await?;
    Ok(Some(n))
}

pub(super) async fn sweep(tx: &mut Tx<'_>, lost: Pulse) -> Result<Option<usize>, Fault> {
    let Some(server) = end(tx, lost.server, Some(lost.beat)).await? else { return Ok(None) };
    take_from(tx, server, take_away).await.map(Some)
}

pub(super) async fn leave(tx: &mut Tx<'_>, id: ServerId) -> Result<(), Fault> {
    let Some(server) = end(tx, id, None).await? else { return Ok(()) };
    take_from(tx, server, hand_back).await?;
    Ok(())
}

/// Ends all runs of a server; gives how many.
async fn take_from(
    tx: &mut Tx<'_>,
    server: i32,
    take: fn(Timestamp, Job) -> Result<Change, Fault>,
) -> Result<usize, Fault> {
    const RUNS: &str =
        concat!(live!("(SELECT * FROM @live WHERE state = 3 AND server = $1 ORDER BY id FOR UPDATE) l"), made!());
    let query = tx.query(RUNS).bind(server);
    let now = tx.now();
    let mut changes = Vec::new();
    for row in tx.all(query).await? {
        changes.push(take(now, Job::read(&row)?)?);
    }
    for slice in changes.chunks(SLICE) {
        record::save(tx, slice).await?;
    }
    Ok(changes.len())
}

/// Takes a run away from a server that was lost. The attempt counts: nobody knows how far it came.
fn take_away(now: Timestamp, job: Job) -> Result<Change, Fault> {
    let run = job.current_run();
    let mut change = job.change();
    let job = &mut change.job;
    job.losses = job.losses.saturating_add(1);
    let mut failure = None;
    let mut by = SWEEPER.to_owned();
    if let Some(ask) = job.ask {
        by = job.asked_by.clone().unwrap_or(by);
        job.become_now(now, State::Deleted, Some(delete_reason(ask).as_str()));
    } else if job.losses >= MAX_LOSSES {
        let message = format!("{} servers were lost while they ran this job", job.losses);
        failure = Some(host_failure(Cause::Poison, message));
        job.become_now(now, State::Failed, Some(Cause::Poison.as_str()));
    } else if job.attempt >= job.max_attempts {
        let message = format!("the server was lost during attempt {} of {}", job.attempt, job.max_attempts);
        failure = Some(host_failure(Cause::ServerLost, message));
        job.become_now(now, State::Failed, Some(Cause::ServerLost.as_str()));
    } else {
        job.become_now(now, State::Enqueued, Some(Cause::ServerLost.as_str()));
    }
    change.record_run(now, run, Usage::default(), failure.as_ref(), Some(&by))?;
    Ok(change)
}

/// Puts back what a server that left in order had not settled.
fn hand_back(now: Timestamp, job: Job) -> Result<Change, Fault> {
    let run = job.current_run();
    let mut change = job.change();
    let job = &mut change.job;
    job.give_attempt_back();
    let mut by = None;
    if let Some(ask) = job.ask {
        by = job.asked_by.clone();
        job.become_now(now, State::Deleted, Some(delete_reason(ask).as_str()));
    } else {
        job.become_now(now, State::Enqueued, Some("shutdown"));
    }
    change.record_run(now, run, Usage::default(), None, by.as_deref())?;
    Ok(change)
}

pub(super) async fn servers(tx: &mut Tx<'_>) -> Result<Vec<ServerView>, Fault> {
    let query = tx.query(
        "SELECT id, host, pid, version, queues, sync_slots, sync_busy, async_slots, async_busy, started_at, heartbeat_at,
         memory FROM @servers WHERE alive ORDER BY n",
    );
    let mut servers = Vec::new();
    for row in tx.all(query).await? {
        let id = ServerId(row.try_get::<Uuid, _>(0)?);
        let queues = serde_json::from_str::<Vec<QueueName>>(row.try_get(4)?);
        let number = |at: usize| row.try_get::<i64, _>(at).map(count);
        servers.push(ServerView {
            id,
            host: row.try_get(1)?,
            pid: number(2)?,
            version: row.try_get(3)?,
            queues: queues.map_err(|error| Fault::damaged(format_args!("server {id}"), error))?,
            sync_slots: SlotUse { total: number(5)?, busy: number(6)? },
            async_slots: SlotUse { total: number(7)?, busy: number(8)? },
            memory_bytes: row.try_get::<Option<i64>, _>(11)?.map(unsigned),
            started_at: Timestamp(row.try_get(9)?),
            heartbeat_at: Timestamp(row.try_get(10)?),
        });
    }
    Ok(servers)
}
