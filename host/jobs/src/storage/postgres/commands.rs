//! What operators and applications ask of one job.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Digest, JobId, RequeueRequest, ServerId, State, UniqueRule};

use super::{
    fault::Fault,
    flow, modules,
    record::{self, Job, traits},
    settle::delete_reason,
    tx::Tx,
    unique,
    words::{Ask, Word, count, plain},
};
use crate::{
    Fence,
    storage::{Commanded, Signal},
};

pub(super) async fn remove(tx: &mut Tx<'_>, id: JobId, by: &str, ask: Ask) -> Result<Commanded, Fault> {
    let commanded = remove_all(tx, &[id], ask, None, by).await?;
    Ok(commanded.into_iter().next().unwrap_or(Commanded::NotFound))
}

/// Deletes or cancels jobs, all or none.
pub(super) async fn remove_all(
    tx: &mut Tx<'_>,
    ids: &[JobId],
    ask: Ask,
    expected_state: Option<State>,
    by: &str,
) -> Result<Vec<Commanded>, Fault> {
    let held = Job::held_all(tx, &ids.iter().copied().collect()).await?;
    let succeeded = held.values().filter(|job| job.state == State::Succeeded).map(|job| job.seq).collect::<Vec<_>>();
    let mut results = results_of(tx, succeeded).await?;
    let (now, mut left) = (tx.now(), held);
    let (mut commanded, mut changes) = (Vec::with_capacity(ids.len()), Vec::new());
    // One that is named twice is found as it was left.
    let mut done = HashMap::<JobId, State>::new();
    for id in ids {
        let Some(job) = left.remove(id) else {
            commanded.push(done.get(id).copied().map_or(Commanded::NotFound, Commanded::Refused));
            continue;
        };
        let from = job.state;
        if expected_state.is_some_and(|expected| expected != from) {
            commanded.push(Commanded::Refused(from));
            done.insert(*id, from);
            continue;
        }
        match (from, ask) {
            (State::Processing, _) => {
                let server = job.server.ok_or_else(|| Fault::damaged(format_args!("job {id}"), "nobody runs it"))?;
                // Changed in place: whoever is about to settle the run must still find it.
                let query = tx.query("UPDATE @live SET ask = $2, asked_by = $3 WHERE id = $1");
                let query = query.bind(id.0).bind(ask.number()).bind(plain(by));
                tx.run(query).await?;
                let fence = job.fence(tx.server_id(server).await?);
                tx.told.signals.push(Signal::Cancel(fence));
                commanded.push(Commanded::Requested(fence));
                done.insert(*id, from);
            }
            (State::Deleted, _) | (State::Succeeded | State::Failed, Ask::Cancel) => {
                commanded.push(Commanded::Refused(from));
                done.insert(*id, from);
            }
            _ => {
                let mut change = job.change();
                change.result = results.remove(&change.job.seq);
                change.job.become_now(now, State::Deleted, Some(delete_reason(ask).as_str()));
                change.record_step(now, from, by);
                changes.push(change);
                commanded.push(Commanded::Done(State::Deleted));
                done.insert(*id, State::Deleted);
            }
        }
    }
    record::save(tx, &changes).await?;
    Ok(commanded)
}

/// What jobs gave that are deleted now: it is kept as long as they are.
async fn results_of(tx: &mut Tx<'_>, succeeded: Vec<i64>) -> Result<HashMap<i64, String>, Fault> {
    if succeeded.is_empty() {
        return Ok(HashMap::new());
    }
    let query = tx
        .query("SELECT seq, result FROM @ended WHERE state = 4 AND seq = ANY ($1::bigint[]) AND result IS NOT NULL")
        .bind(succeeded);
    tx.all(query).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

pub(super) async fn requeue(tx: &mut Tx<'_>, id: JobId, how: RequeueRequest, by: &str) -> Result<Commanded, Fault> {
    // The entry of its key is held before the job is.
    let rule = unique::rule_of(tx, id).await?;
    let keys = rule.iter().map(|rule| rule.key).collect();
    let entries = unique::hold(tx, &keys).await?;
    let commanded = requeue_held(tx, id, how, by, rule.as_ref().map(|rule| (rule, &entries))).await?;
    unique::let_go(tx, &keys).await?;
    Ok(commanded)
}

async fn requeue_held(
    tx: &mut Tx<'_>,
    id: JobId,
    how: RequeueRequest,
    by: &str,
    unique: Option<(&UniqueRule, &HashMap<Digest, i64>)>,
) -> Result<Commanded, Fault> {
    let Some(job) = Job::held(tx, id).await? else { return Ok(Commanded::NotFound) };
    let (now, from) = (tx.now(), job.state);
    let unexpected = how.expected_state.is_some_and(|expected| expected != from);
    if unexpected || matches!(from, State::Enqueued | State::Processing) {
        return Ok(Commanded::Refused(from));
    }
    if let Some((rule, entries)) = unique
        && let Some(holder) = unique::take_back(tx, &job, rule, entries).await?
    {
        return Ok(Commanded::Conflict(holder));
    }
    let is_child = job.traits & traits::PARENTS != 0;
    if is_child {
        flow::let_go(tx, job.seq).await?;
    }
    let mut change = job.change();
    let job = &mut change.job;
    job.expires_at = None;
    (job.attempt, job.losses) = (0, 0);
    (job.ask, job.asked_by) = (None, None);
    (job.ended_line, job.started_at) = (None, None);
    // The log has a limit of its own, which the runs from before must not have used up.
    for forget in [
        "DELETE FROM @progress WHERE seq = $1",
        "DELETE FROM @logs WHERE seq = $1",
        "DELETE FROM @log_sizes WHERE seq = $1",
    ] {
        let query = tx.query(forget).bind(job.seq);
        tx.run(query).await?;
    }
    if how.fresh {
        let query = tx.query("DELETE FROM @checkpoints WHERE seq = $1").bind(job.seq);
        tx.run(query).await?;
    }
    // Nothing starts on a version that is retired.
    let lets_go = match job.version {
        Some(version) => how.newest || modules::is_retired(tx, version).await?,
        None => how.newest,
    };
    if lets_go {
        job.version = None;
    }
    // No activation moves what waits for its parents.
    if lets_go || (is_child && job.version.is_none()) {
        let path = tx.handler_path(job.handler).await?;
        job.mode = modules::active_mode(tx, &path).await?.unwrap_or(job.mode);
    }
    job.become_ready(now, Some("requeued"));
    change.record_step(now, from, by);
    record::save(tx, &[change]).await?;
    Ok(Commanded::Done(State::Enqueued))
}

/// The runs whose cancel was asked for, of one server or of all.
pub(super) async fn asked_runs(tx: &mut Tx<'_>, server: Option<ServerId>) -> Result<Vec<Fence>, Fault> {
    let query = tx
        .query(
            "SELECT l.id, l.run, s.id FROM (SELECT n, id FROM @servers WHERE alive AND ($1::uuid IS NULL OR id = $1)) s
             CROSS JOIN LATERAL (SELECT id, run FROM @live WHERE state = 3 AND server = s.n AND ask IS NOT NULL
             OFFSET 0) l",
        )
        .bind(server.map(|server| server.0));
    let mut runs = Vec::new();
    for row in tx.all(query).await? {
        runs.push(Fence {
            job: JobId(row.try_get::<Uuid, _>(0)?),
            run: count(row.try_get(1)?),
            server: ServerId(row.try_get::<Uuid, _>(2)?),
        });
    }
    Ok(runs)
}
