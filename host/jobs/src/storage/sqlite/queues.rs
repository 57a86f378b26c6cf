//! Queues as a whole, and counts.

use rusqlite::{Connection, OptionalExtension};
use windlass_api::{Counts, Mode, QueueName, QueueView, State, Timestamp};

use super::{
    fault::Fault,
    tx::Tx,
    words::{Word, unsigned},
};
use crate::storage::Signal;

/// One more than the last priority.
const PRIORITIES: i64 = 10;

pub(super) fn counts(db: &Connection) -> Result<Counts, Fault> {
    let mut query = db.prepare_cached("SELECT state, sum(jobs) FROM tally GROUP BY state HAVING sum(jobs) > 0")?;
    let mut rows = query.query([])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        counts.0.insert(State::from_number(row.get(0)?)?, unsigned(row.get(1)?));
    }
    Ok(counts)
}

pub(super) fn set_paused(tx: &mut Tx<'_>, name: &QueueName, paused: bool) -> Result<(), Fault> {
    let queue = tx.queue(name)?;
    tx.db.prepare_cached("UPDATE queues SET paused = ?2 WHERE n = ?1")?.execute((queue, paused))?;
    if !paused {
        tx.signal(Signal::Work);
    }
    Ok(())
}

pub(super) fn queues(db: &Connection) -> Result<Vec<QueueView>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT queues.n, name, paused, coalesce(sum(jobs) FILTER (WHERE state = 2), 0),
             coalesce(sum(jobs) FILTER (WHERE state = 3), 0)
         FROM queues LEFT JOIN tally ON tally.queue = queues.n
         GROUP BY queues.n HAVING paused OR sum(jobs) > 0 ORDER BY name",
    )?;
    let mut rows = query.query([])?;
    let mut queues = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(1)?.parse::<QueueName>().map_err(|error| Fault::damaged("a queue", error))?;
        let enqueued = unsigned(row.get(3)?);
        let oldest_at = if enqueued > 0 { oldest(db, row.get(0)?)? } else { None };
        queues.push(QueueView { name, paused: row.get(2)?, enqueued, processing: unsigned(row.get(4)?), oldest_at });
    }
    Ok(queues)
}

/// The earliest head of a queue's lines: a look at each, however long they are.
fn oldest(db: &Connection, queue: i64) -> Result<Option<Timestamp>, Fault> {
    let mut head = db.prepare_cached(
        "SELECT since FROM waiting WHERE line = ?1 AND queue = ?2 AND priority = ?3 ORDER BY since LIMIT 1",
    )?;
    let mut oldest = None;
    for mode in Mode::VALUES {
        for priority in 0..PRIORITIES {
            let since = head.query_row((mode.number(), queue, priority), |row| row.get(0)).optional()?.map(Timestamp);
            oldest = [oldest, since].into_iter().flatten().min();
        }
    }
    Ok(oldest)
}
