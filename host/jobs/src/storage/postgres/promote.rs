//! Jobs whose instant has come.

use sqlx::Row;
use windlass_api::{State, Timestamp};

use super::{
    fault::Fault,
    record::{self, Job, live, made},
    tx::Tx,
    words::amount,
};
use crate::storage::Promoted;

/// Who moves jobs when their instant has come.
const SCHEDULER: &str = "scheduler";

pub(super) async fn promote(tx: &mut Tx<'_>, limit: usize) -> Result<Promoted, Fault> {
    const DUE: &str = concat!(
        live!("(SELECT * FROM @live WHERE state = 0 AND at <= $1 ORDER BY at, seq LIMIT $2 FOR UPDATE SKIP LOCKED) l"),
        made!()
    );
    let now = tx.now();
    let query = tx.query(DUE).bind(now.0).bind(amount(limit));
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
    let query = tx.query("SELECT at FROM @live WHERE state = 0 ORDER BY at LIMIT 1");
    let next = tx.first(query).await?.map(|row| row.try_get(0)).transpose()?;
    Ok(Promoted { moved: changes.len(), next_in_ms: next.map(|at| Timestamp(at).ms_since(now)) })
}
