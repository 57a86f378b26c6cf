//! Limits as operators put and see them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use windlass_api::{LimitRule, LimitTarget, LimitView};

use super::{
    SqliteStorage,
    fault::Fault,
    lines,
    operation::Durability,
    rules::{self, COLUMNS, Limit, Rules},
    tx::Tx,
    words::{signed, unsigned},
};
use crate::storage::{LimitRecord, LimitStore, MAX_LIMITS, MAX_LINES_LOOKED_AT, Signal, StorageError};

/// How many lines of keys are told at once that their limit has changed, with jobs to go back in the same step; the others are left to
/// the promotions.
const LINES_AT_ONCE: usize = 100;

/// The limit on a target, which may be none that can be read.
pub(super) fn by_target(db: &Connection, target: &str) -> Result<Option<Limit>, Fault> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM limits WHERE target = ?1"))?;
    query.query([target])?.next()?.map(Limit::read).transpose()
}

fn put(tx: &mut Tx<'_>, target: &LimitTarget, rule: LimitRule) -> Result<(), Fault> {
    let name = target.to_string();
    let known = match by_target(tx.db, &name) {
        // What is put now mends it.
        Err(fault) if fault.is_of_a_record() => None,
        known => known?,
    };
    let period = |rule: &LimitRule| rule.rate.map(|rate| rate.period_ms);
    if known.is_none_or(|known| period(&known.rule) != period(&rule)) {
        // Under another number, so that no start of before counts.
        tx.db.prepare_cached("DELETE FROM limits WHERE target = ?1")?.execute([&name])?;
        let limits =
            tx.db.prepare_cached("SELECT count(*) FROM limits")?.query_row([], |row| row.get(0)).map(unsigned)?;
        if limits >= MAX_LIMITS as u64 {
            return Err(Fault::TooLarge(format!(
                "there are {limits} limits: at most {MAX_LIMITS} are allowed; remove some, or limit keys by their start"
            )));
        }
    }
    tx.db
        .prepare_cached(
            "INSERT INTO limits (target, concurrency, rate_count, rate_period_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (target) DO UPDATE SET concurrency = excluded.concurrency, rate_count = excluded.rate_count,
             rate_period_ms = excluded.rate_period_ms",
        )?
        .execute(params![
            name,
            rule.concurrency,
            rule.rate.map(|rate| rate.count),
            rule.rate.map(|rate| signed(rate.period_ms)),
        ])?;
    changed(tx, target, true)
}

fn remove(tx: &mut Tx<'_>, target: &LimitTarget) -> Result<bool, Fault> {
    let removed = tx.db.prepare_cached("DELETE FROM limits WHERE target = ?1")?.execute([target.to_string()])?;
    if removed > 0 {
        changed(tx, target, false)?;
    }
    Ok(removed > 0)
}

/// Keeps a limit that comes from another storage, unless there is one on its target. Gives whether it was kept.
pub(super) fn import(tx: &mut Tx<'_>, record: &LimitRecord) -> Result<bool, Fault> {
    let name = record.target.to_string();
    let is_new = !tx.db.prepare_cached("SELECT 1 FROM limits WHERE target = ?1")?.exists([name])?;
    if is_new {
        put(tx, &record.target, record.rule)?;
    }
    Ok(is_new)
}

/// Lets the lines of a limit know that it is another one now.
fn changed(tx: &mut Tx<'_>, target: &LimitTarget, is_there: bool) -> Result<(), Fault> {
    tx.forget_rules();
    if let LimitTarget::Keys(start) = target {
        return keys_changed(tx, start);
    }
    let line = target.to_string();
    let runs = match target {
        LimitTarget::Queue(name) => Some(("queue", tx.queue(name)?)),
        LimitTarget::Handler(path) => Some(("handler", tx.handler(path)?)),
        LimitTarget::Key(_) | LimitTarget::Keys(_) => None,
    };
    // Those of keys are always counted.
    if let Some((column, n)) = runs {
        let running = if is_there {
            let count = format!("SELECT count(*) FROM jobs INDEXED BY jobs_by_state WHERE state = 3 AND {column} = ?1");
            tx.db.prepare_cached(&count)?.query_row([n], |row| row.get::<_, i64>(0))?
        } else {
            0
        };
        tx.db
            .prepare_cached(
                "INSERT INTO limit_lines (target, running, held) VALUES (?1, ?2, 0)
                 ON CONFLICT DO UPDATE SET running = excluded.running",
            )?
            .execute((&line, running))?;
        lines::forget_where_empty(tx, &line)?;
    }
    lines::look_for_room(tx, &line)?;
    tx.effects.consequences.room(line);
    Ok(())
}

/// The lines of the keys that start so are looked at by the promotions; some of them at once.
fn keys_changed(tx: &mut Tx<'_>, start: &str) -> Result<(), Fault> {
    let (from, before) = span(start);
    // What is left to do for an earlier change is begun anew.
    tx.db.prepare_cached("DELETE FROM changed_keys WHERE before = ?1")?.execute([&before])?;
    tx.db.prepare_cached("INSERT INTO changed_keys (target, before) VALUES (?1, ?2)")?.execute((&from, &before))?;
    let lines = lines::tell_of_change(tx, LINES_AT_ONCE)?;
    if !lines.is_empty() {
        tx.signal(Signal::Work);
    }
    lines.into_iter().for_each(|line| tx.effects.consequences.room(line));
    Ok(())
}

/// The lines of the keys that start so: from the first text on, before the second. No key has a character that is higher.
fn span(start: &str) -> (String, String) {
    (format!("key:{start}"), format!("key:{start}{}", char::MAX))
}

fn views(db: &Connection) -> Result<Vec<LimitView>, Fault> {
    let limits = rules::all(db)?;
    let rules = Rules::read(db)?;
    limits
        .into_iter()
        .map(|Limit { n, target, rule }| {
            let (running, held, keys) = match &target {
                LimitTarget::Keys(start) => {
                    let (running, held, keys) = sums(db, &rules, n, start)?;
                    (running, held, Some(keys))
                }
                _ => {
                    let mut query = db.prepare_cached("SELECT running, held FROM limit_lines WHERE target = ?1")?;
                    let counts = query
                        .query_row([target.to_string()], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))
                        .optional()?;
                    let (running, held) = counts.unwrap_or_default();
                    (running, held, None)
                }
            };
            Ok(LimitView { target, rule, running, held, keys })
        })
        .collect()
}

/// How many run and wait under a limit on all keys of a start, and how many keys that are.
fn sums(db: &Connection, rules: &Rules, n: i64, start: &str) -> Result<(u64, u64, u64), Fault> {
    let mut query = db.prepare_cached(
        "SELECT target, running, held FROM limit_lines WHERE target >= ?1 AND target < ?2 ORDER BY target",
    )?;
    let mut rows = query.query(span(start))?;
    let (mut running, mut held, mut keys) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        let line = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if rules.of(line).is_none_or(|limit| limit.n != n) {
            continue;
        }
        running += unsigned(row.get(1)?);
        held += unsigned(row.get(2)?);
        keys += 1;
        if keys == MAX_LINES_LOOKED_AT as u64 {
            break;
        }
    }
    Ok((running, held, keys))
}

#[async_trait]
impl LimitStore for SqliteStorage {
    async fn limits(&self) -> Result<Vec<LimitView>, StorageError> {
        self.read(views).await
    }

    async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Result<(), StorageError> {
        let target = target.clone();
        self.write(Durability::Promised, move |tx| put(tx, &target, rule)).await
    }

    async fn remove_limit(&self, target: &LimitTarget) -> Result<bool, StorageError> {
        let target = target.clone();
        self.write(Durability::Promised, move |tx| remove(tx, &target)).await
    }
}
