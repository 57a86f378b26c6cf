//! What happened to jobs, counted by the minute and by the hour. A transaction counts in memory and writes once, so that a
//! batch of a thousand jobs costs two rows for each handler.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use windlass_api::{CounterQuery, CounterRow, Grain, HandlerName, ModuleName, Timestamp};

use super::{
    fault::Fault,
    tx::Tx,
    words::{Word, signed, unsigned},
};
use crate::storage::{MAX_SPANS, too_many_rows};

/// How many old rows one step removes at most: writing waits for it.
const OLD_ROWS: i64 = 1_000;

/// The most that is taken over from another storage: half of what fits, so that more can be added to it.
const MOST: u64 = 1 << 62;

/// What happened to the jobs of a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) made: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) retried: u64,
    pub(super) deleted: u64,
    pub(super) runs: u64,
    pub(super) run_us: u64,
    pub(super) fuel: u64,
}

impl Happened {
    pub(super) fn add(&mut self, other: &Self) {
        self.made += other.made;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.retried += other.retried;
        self.deleted += other.deleted;
        self.runs += other.runs;
        self.run_us = self.run_us.saturating_add(other.run_us);
        self.fuel = self.fuel.saturating_add(other.fuel);
    }
}

/// What happened, by the beginning of the minute and the number of the handler.
pub(super) type Counters = HashMap<(Timestamp, i64), Happened>;

/// Adds what a transaction has counted.
pub(super) fn write(db: &Connection, counters: &Counters) -> Result<(), Fault> {
    let mut hours = Counters::new();
    for ((minute, handler), happened) in counters {
        add(db, Grain::Minute, *minute, *handler, happened)?;
        hours.entry((Grain::Hour.start_of(*minute), *handler)).or_default().add(happened);
    }
    for ((hour, handler), happened) in &hours {
        add(db, Grain::Hour, *hour, *handler, happened)?;
    }
    Ok(())
}

fn add(db: &Connection, grain: Grain, at: Timestamp, handler: i64, happened: &Happened) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET made = made + excluded.made, succeeded = succeeded + excluded.succeeded,
         failed = failed + excluded.failed, retried = retried + excluded.retried, deleted = deleted + excluded.deleted,
         runs = runs + excluded.runs, run_us = min(run_us + excluded.run_us, 9223372036854775807),
         fuel = min(fuel + excluded.fuel, 9223372036854775807)",
    )?
    .execute(row(grain, at, handler, happened))?;
    Ok(())
}

/// Keeps a row that comes from another storage, unless there is one for the same span and handler. Gives whether it was
/// kept.
pub(super) fn import(db: &Connection, grain: Grain, handler: i64, from: &CounterRow) -> Result<bool, Fault> {
    let happened = Happened {
        made: from.made.min(MOST),
        succeeded: from.succeeded.min(MOST),
        failed: from.failed.min(MOST),
        retried: from.retried.min(MOST),
        deleted: from.deleted.min(MOST),
        runs: from.runs.min(MOST),
        run_us: from.run_us.min(MOST),
        fuel: from.fuel.min(MOST),
    };
    let kept = db
        .prepare_cached(
            "INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        )?
        .execute(row(grain, from.at, handler, &happened))?;
    Ok(kept > 0)
}

fn row(grain: Grain, at: Timestamp, handler: i64, happened: &Happened) -> [i64; 11] {
    [
        grain.number(),
        at.0,
        handler,
        signed(happened.made),
        signed(happened.succeeded),
        signed(happened.failed),
        signed(happened.retried),
        signed(happened.deleted),
        signed(happened.runs),
        signed(happened.run_us),
        signed(happened.fuel),
    ]
}

/// What a row is read by, in the order of [`read`].
pub(super) const COLUMNS: &str = "counters.at, handlers.module, handlers.name, made, succeeded, failed, retried, deleted, \
     runs, run_us, fuel";

pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<CounterRow, Fault> {
    let number = |at: usize| row.get::<_, i64>(at).map(unsigned);
    let damaged = |error: windlass_api::InvalidName| Fault::damaged("a handler", error);
    Ok(CounterRow {
        at: Timestamp(row.get(0)?),
        module: row.get::<_, String>(1)?.parse().map_err(damaged)?,
        handler: row.get::<_, String>(2)?.parse().map_err(damaged)?,
        made: number(3)?,
        succeeded: number(4)?,
        failed: number(5)?,
        retried: number(6)?,
        deleted: number(7)?,
        runs: number(8)?,
        run_us: number(9)?,
        fuel: number(10)?,
    })
}

/// What happened, in no more than so many rows.
pub(super) fn counters(db: &Connection, query: &CounterQuery, most: usize) -> Result<Vec<CounterRow>, Fault> {
    let grain = query.grain;
    let last = grain.start_of(Timestamp(query.before.0.saturating_sub(1)));
    let furthest = last.0.saturating_sub(signed((MAX_SPANS - 1) * grain.span_ms()));
    let from = grain.start_of(query.from).0.max(furthest);
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM counters JOIN handlers ON handlers.n = counters.handler
         WHERE grain = ?1 AND counters.at >= ?2 AND counters.at < ?3
             AND module = coalesce(?4, module) AND name = coalesce(?5, name)
         ORDER BY counters.at, module, name",
    ))?;
    let (module, handler) =
        (query.module.as_ref().map(ModuleName::as_str), query.handler.as_ref().map(HandlerName::as_str));
    let mut rows = statement.query(params![grain.number(), from, query.before.0, module, handler])?;
    let mut counted = Vec::new();
    while let Some(row) = rows.next()? {
        if counted.len() == most {
            return Err(Fault::TooLarge(too_many_rows(most)));
        }
        counted.push(read(row)?);
    }
    Ok(counted)
}

/// Removes rows whose time is over; gives whether that was all of them.
pub(super) fn prune(tx: &Tx<'_>) -> Result<bool, Fault> {
    let mut all = true;
    for grain in Grain::VALUES {
        let over = tx.now.0.saturating_sub(signed(grain.kept_ms() + grain.span_ms()));
        let removed = tx
            .db
            .prepare_cached(
                "DELETE FROM counters WHERE grain = ?1 AND at <= ?2 AND (at, handler) IN
                 (SELECT at, handler FROM counters WHERE grain = ?1 AND at <= ?2 ORDER BY at LIMIT ?3)",
            )?
            .execute((grain.number(), over, OLD_ROWS))?;
        all &= signed(u64::try_from(removed).unwrap_or(u64::MAX)) < OLD_ROWS;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(module: Option<&str>) -> CounterQuery {
        let module = module.map(|module| module.parse().unwrap());
        CounterQuery { grain: Grain::Minute, from: Timestamp(0), before: Timestamp(600_000), module, handler: None }
    }

    fn database() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut db, "a test", true).unwrap();
        db.execute_batch("INSERT INTO handlers (module, name) VALUES ('m', 'a'), ('m', 'b'), ('n', 'a')").unwrap();
        db
    }

    #[test]
    fn too_many_rows_are_refused_and_said_how_to_be_asked_for() {
        let db = database();
        for handler in 1..=3 {
            for minute in 0..2 {
                add(&db, Grain::Minute, Timestamp(minute * 60_000), handler, &Happened::default()).unwrap();
            }
        }
        assert_eq!(counters(&db, &query(None), 6).unwrap().len(), 6);
        match counters(&db, &query(None), 5) {
            Err(Fault::TooLarge(text)) => assert!(text.contains("more than 5 rows: ask for a module"), "{text}"),
            other => panic!("should be refused, but is {other:?}"),
        }
        assert_eq!(counters(&db, &query(Some("m")), 5).unwrap().len(), 4);
    }

    #[test]
    fn what_is_imported_leaves_room_for_what_is_added() {
        let db = database();
        let most = u64::MAX;
        let from = CounterRow {
            at: Timestamp(0),
            module: "m".parse().unwrap(),
            handler: "a".parse().unwrap(),
            made: most,
            succeeded: most,
            failed: most,
            retried: most,
            deleted: most,
            runs: most,
            run_us: most,
            fuel: most,
        };
        assert!(import(&db, Grain::Minute, 1, &from).unwrap());
        let one = Happened { made: 1, succeeded: 1, failed: 1, retried: 1, deleted: 1, runs: 1, run_us: 1, fuel: 1 };
        add(&db, Grain::Minute, Timestamp(0), 1, &one).unwrap();
        let row = counters(&db, &query(None), 9).unwrap().remove(0);
        assert!(
            [row.made, row.succeeded, row.failed, row.retried, row.deleted, row.runs, row.run_us, row.fuel]
                .into_iter()
                .all(|count| count == MOST + 1)
        );
    }
}
