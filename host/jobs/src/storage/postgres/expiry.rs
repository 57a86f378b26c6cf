//! Jobs that were not started in time.

use sqlx::Row;
use windlass_api::{State, Timestamp};

use super::{
    fault::Fault,
    promote::SCHEDULER,
    record::{self, Job, live, made},
    tx::Tx,
    words::amount,
};

/// Why they are deleted.
const EXPIRED: &str = "expired";

/// How many are deleted at once where a claim has met one.
pub(super) const AT_ONCE: usize = 1_000;

/// Deletes jobs whose time is over, at most `limit`; gives how many.
pub(super) async fn expire(tx: &mut Tx<'_>, limit: usize) -> Result<usize, Fault> {
    const OVER: &str = concat!(
        live!(
            "(SELECT * FROM @live WHERE expires_at IS NOT NULL AND expires_at <= $1 AND state <> 3
             ORDER BY expires_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED) l"
        ),
        made!()
    );
    if limit == 0 {
        return Ok(0);
    }
    let now = tx.now();
    let query = tx.query(OVER).bind(now.0).bind(amount(limit));
    let mut changes = Vec::new();
    for row in tx.all(query).await? {
        let job = Job::read(&row)?;
        let from = job.state;
        let mut change = job.change();
        change.job.become_now(now, State::Deleted, Some(EXPIRED));
        change.record_step(now, from, SCHEDULER);
        changes.push(change);
    }
    record::save(tx, &changes).await?;
    Ok(changes.len())
}

/// When the next job expires.
pub(super) async fn next(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Fault> {
    let query = tx.query("SELECT expires_at FROM @live WHERE expires_at IS NOT NULL ORDER BY expires_at, seq LIMIT 1");
    Ok(tx.first(query).await?.map(|row| row.try_get(0).map(Timestamp)).transpose()?)
}
