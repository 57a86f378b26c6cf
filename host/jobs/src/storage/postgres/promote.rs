//! Jobs whose instant or whose handler has come.

use sqlx::Row;
use windlass_api::{Mode, State, Timestamp};

use super::{
    expiry,
    fault::Fault,
    modules,
    record::{self, Job, MORE, live, made},
    ripples, rooms,
    tx::Tx,
    words::{Word, amount},
};
use crate::storage::Promoted;

/// Who moves jobs when their instant has come, and those that continue others.
pub(super) const SCHEDULER: &str = "scheduler";

/// How long until those are looked for again whom somebody else holds, in milliseconds.
const BLOCKED_MS: u64 = 50;

/// Who moves jobs when a version is activated.
const ACTIVATION: &str = "activation";

/// Moves jobs that wait for a handler that is there, but for those that an activation is yet to bring: a version that has lacked
/// the handler is not tried again. Gives how many.
pub(super) async fn wake_awaiting(tx: &mut Tx<'_>, limit: usize) -> Result<usize, Fault> {
    const AWAITING: &str = concat!(
        live!(
            "l.active_mode",
            "(SELECT w.*, h.active_mode FROM (
                 SELECT n, module, active_mode FROM @handlers WHERE active_mode IS NOT NULL
                     AND EXISTS (
                         SELECT 1 FROM @live WHERE state = 1 AND reason = 'handler-missing' ORDER BY handler LIMIT 1)
                 ORDER BY n) h
             CROSS JOIN LATERAL (SELECT active FROM @modules WHERE name = h.module LIMIT 1) m
             CROSS JOIN LATERAL (
                 SELECT * FROM @live WHERE state = 1 AND handler = h.n AND reason = 'handler-missing'
                     AND lacked IS DISTINCT FROM m.active
                 ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED) w
             LIMIT $1) l"
        ),
        made!(),
    );
    if limit == 0 {
        return Ok(0);
    }
    let query = tx.query(AWAITING).bind(amount(limit));
    let now = tx.now();
    let mut changes = Vec::new();
    for row in tx.all(query).await? {
        let mut change = Job::read(&row)?.change();
        change.job.mode = Mode::from_number(row.try_get(MORE)?)?;
        change.job.become_ready(now, None);
        change.record_step(now, State::Awaiting, ACTIVATION);
        changes.push(change);
    }
    record::save(tx, &changes).await?;
    Ok(changes.len())
}

pub(super) async fn promote(tx: &mut Tx<'_>, limit: usize) -> Result<Promoted, Fault> {
    const DUE: &str = concat!(
        live!("(SELECT * FROM @live WHERE state = 0 AND at <= $1 ORDER BY at, seq LIMIT $2 FOR UPDATE SKIP LOCKED) l"),
        made!()
    );
    let now = tx.now();
    let expired = expiry::expire(tx, limit).await?;
    let mut left = limit - expired.min(limit);
    let query = tx.query(DUE).bind(now.0).bind(amount(left));
    let mut changes = Vec::new();
    for row in tx.all(query).await? {
        let mut change = Job::read(&row)?.change();
        let due_at = change.job.at;
        change.job.become_ready(now, None);
        // It has waited in its line since it was due, whenever it was moved.
        change.job.ready_at = due_at.min(now);
        change.record_step(now, State::Scheduled, SCHEDULER);
        changes.push(change);
    }
    record::save(tx, &changes).await?;
    left = left.saturating_sub(changes.len());
    let woken = wake_awaiting(tx, left.min(modules::SLICE)).await?;
    left = left.saturating_sub(woken);
    let rippled = ripples::go_on(tx, left).await?;
    left = left.saturating_sub(rippled.looked_at);
    let let_go = rooms::let_go(tx, left).await?;
    let query = tx.query("SELECT at FROM @live WHERE state = 0 ORDER BY at LIMIT 1");
    let due_at = tx.first(query).await?.map(|row| row.try_get(0)).transpose()?.map(Timestamp);
    let in_ms = |at: Timestamp| at.ms_since(now);
    let next = [
        due_at.map(in_ms),
        expiry::next(tx).await?.map(in_ms),
        rippled.more.then_some(0),
        rippled.blocked.then_some(BLOCKED_MS),
        let_go.next_in_ms,
    ];
    let next_in_ms = next.into_iter().flatten().min();
    Ok(Promoted { moved: changes.len() + woken + rippled.moved, next_in_ms })
}
