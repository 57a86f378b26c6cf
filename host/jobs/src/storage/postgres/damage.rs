//! Going on past a job whose record is damaged: one such job must not stop all that stand behind it. It becomes `failed`,
//! reason `damaged`: once its record is repaired it can be requeued.

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{JobId, Mode, State, Usage};

use super::{
    core::{Core, attempt},
    fault::Fault,
    record::{self, Job, live},
    tx::{Kind, Tx},
    words::Word,
};
use crate::{
    Fence,
    storage::{ClaimRequest, StorageError},
};

/// Who sets damaged jobs aside.
const BY: &str = "storage";

/// Why.
const DAMAGED: &str = "damaged";

/// How many jobs at the heads of the lines are looked at one by one, where one of them cannot be read.
const LOOKED_AT: i64 = 100;

/// Sets aside the jobs at the heads of the lines that PostgreSQL cannot read, because a page of its own is damaged: a claim
/// would meet them again and again. Gives whether there were any.
pub(super) async fn set_heads_aside(core: &Core, request: &ClaimRequest) -> Result<bool, StorageError> {
    let heads = async |tx: &mut Tx<'_>| heads(tx, request).await;
    let mut found = false;
    for (id, seq) in attempt!(core, Kind::Single, |tx| heads(tx)).0? {
        let read = async |tx: &mut Tx<'_>| {
            let query = tx.query(
                "SELECT length(payload) + coalesce(length(headers), 0) + coalesce(length(retry), 0) FROM @jobs WHERE seq = $1",
            );
            tx.first(query.bind(seq)).await.map(drop)
        };
        let Err(fault) = attempt!(core, Kind::Single, |tx| read(tx)).0 else { continue };
        if !fault.is_of_a_page() {
            return Err(fault.into());
        }
        let why = StorageError::from(fault);
        tracing::error!(job = %id, %why, "a job is set aside, because its record is damaged");
        let put = async |tx: &mut Tx<'_>| set_head_aside(tx, id).await;
        let (outcome, told) = attempt!(core, Kind::Several, |tx| put(tx));
        outcome?;
        core.tell(told).await;
        found = true;
    }
    Ok(found)
}

async fn heads(tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Vec<(JobId, i64)>, Fault> {
    let free = [(Mode::Sync, request.sync_free), (Mode::Async, request.async_free)];
    let modes = free.iter().filter(|(_, free)| *free > 0).map(|(mode, _)| mode.number()).collect::<Vec<_>>();
    let names = request.queues.iter().map(|queue| queue.as_str().to_owned()).collect::<Vec<_>>();
    let query = tx
        .query(
            "SELECT w.id, w.seq FROM unnest($1::smallint[]) AS m (mode) CROSS JOIN LATERAL (
                 SELECT id, seq FROM @live WHERE state = 2 AND held IS NULL AND mode = m.mode
                     AND queue <> ALL (ARRAY(SELECT n FROM @queues WHERE paused ORDER BY n))
                     AND ($2::text[] IS NULL OR queue = ANY (ARRAY(SELECT n FROM @queues WHERE name = ANY ($2))))
                 ORDER BY priority + 0, ready_at, seq LIMIT $3) w",
        )
        .bind(modes)
        .bind((!names.is_empty()).then_some(names))
        .bind(LOOKED_AT);
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((JobId(row.try_get::<Uuid, _>(0)?), row.try_get(1)?))).collect()
}

async fn set_head_aside(tx: &mut Tx<'_>, id: JobId) -> Result<(), Fault> {
    const HEAD: &str = live!(
        "(SELECT * FROM @live WHERE id = $1 AND state = 2 FOR UPDATE) l, (SELECT NULL::bigint AS max_attempts) j"
    );
    let query = tx.query(HEAD).bind(id.0);
    // Somebody else may have dealt with it.
    let Some(row) = tx.first(query).await? else { return Ok(()) };
    let now = tx.now();
    let mut change = Job::read(&row)?.change();
    change.job.become_now(now, State::Failed, Some(DAMAGED));
    change.record_step(now, State::Enqueued, BY);
    record::save(tx, &[change]).await
}

/// Sets aside jobs that have just been claimed.
pub(super) async fn set_aside(tx: &mut Tx<'_>, damaged: &[(Fence, String)]) -> Result<(), Fault> {
    let fences = damaged.iter().map(|(fence, _)| *fence).collect::<Vec<_>>();
    let now = tx.now();
    let mut changes = Vec::new();
    for (fence, job) in Job::fenced(tx, &fences).await? {
        let why = damaged.iter().find(|(of, _)| *of == fence).map_or("", |(_, why)| why.as_str());
        tracing::error!(job = %fence.job, why, "a job is set aside, because its record is damaged");
        let run = job.current_run();
        let mut change = job.change();
        change.job.become_now(now, State::Failed, Some(DAMAGED));
        change.record_run(now, run, Usage::default(), None, Some(BY))?;
        changes.push(change);
    }
    // The slots stay free for those behind them.
    tx.told.work = true;
    record::save(tx, &changes).await
}
