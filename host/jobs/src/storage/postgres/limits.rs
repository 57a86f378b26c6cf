//! Limits as operators put, remove and see them.

use std::collections::BTreeMap;

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{LimitRule, LimitTarget, LimitView};

use super::{
    fault::Fault,
    rooms,
    rules::{Rules, rule_of},
    tx::Tx,
    words::{amount, signed, unsigned},
};
use crate::storage::{MAX_LIMITS, MAX_LINES_LOOKED_AT};

/// How many lines are read at once.
const SLICE: usize = 1_000;

pub(super) async fn limits(tx: &mut Tx<'_>) -> Result<Vec<LimitView>, Fault> {
    let rules = Rules::read(tx).await?;
    let mut views = Vec::new();
    for (target, rule) in rules.all() {
        let mut view = LimitView { target: target.clone(), rule, running: 0, held: 0, keys: None };
        let LimitTarget::Keys(start) = target else {
            let thing = target.to_string();
            for (_, running, held) in lines_from(tx, &thing, &thing, true).await? {
                (view.running, view.held) = (running, held);
            }
            views.push(view);
            continue;
        };
        let (start, mut after, mut keys) = (format!("key:{start}"), String::new(), 0);
        'lines: loop {
            let lines = lines_from(tx, &start, &after, false).await?;
            let is_last = lines.len() < SLICE;
            for (thing, running, held) in lines {
                if running + held > 0 && rules.of(&thing).is_some_and(|(other, _)| other == target) {
                    if keys == MAX_LINES_LOOKED_AT {
                        break 'lines;
                    }
                    keys += 1;
                    view.running += running;
                    view.held += held;
                }
                after = thing;
            }
            if is_last {
                break;
            }
        }
        view.keys = u64::try_from(keys).ok();
        views.push(view);
    }
    views.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(views)
}

/// Lines whose things start so, after one of them (or that one alone), each with how many run and wait in it.
async fn lines_from(tx: &mut Tx<'_>, start: &str, after: &str, alone: bool) -> Result<Vec<(String, u64, u64)>, Fault> {
    let query = tx
        .query(
            "SELECT l.thing, l.running, (SELECT count(*) FROM @live WHERE held = l.n) FROM (
                 SELECT n, thing, running FROM @limited WHERE thing >= $1 AND starts_with(thing, $1)
                     AND CASE WHEN $3 THEN thing = $2 ELSE thing > $2 END
                 ORDER BY thing LIMIT $4) l ORDER BY l.thing",
        )
        .bind(start.to_owned())
        .bind(after.to_owned())
        .bind(alone)
        .bind(if alone { 1 } else { amount(SLICE) });
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, unsigned(row.try_get(1)?), unsigned(row.try_get(2)?)))).collect()
}

/// Nobody claims until the transaction ends, so that nothing starts uncounted meanwhile: each claim looks at this table with a lock
/// that this one keeps out. Whoever only reads the table is not in its way.
pub(super) async fn stop_claims(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let query = tx.query("LOCK TABLE @limits IN EXCLUSIVE MODE");
    tx.run(query).await?;
    Ok(())
}

pub(super) async fn put(tx: &mut Tx<'_>, target: &LimitTarget, rule: LimitRule) -> Result<(), Fault> {
    if keep(tx, target, rule, true).await? {
        count_running(tx, target).await?;
        changed(tx, target).await?;
    }
    Ok(())
}

/// Keeps a limit, in the place of another where `replaces`; gives whether it did.
async fn keep(tx: &mut Tx<'_>, target: &LimitTarget, rule: LimitRule, replaces: bool) -> Result<bool, Fault> {
    stop_claims(tx).await?;
    let text = target.to_string();
    let query = tx.query("SELECT count(*), coalesce(bool_or(target = $1), false) FROM @limits").bind(text.clone());
    let row = tx.first(query).await?.ok_or(Fault::Again)?;
    let (limits, is_known) = (row.try_get::<i64, _>(0)?, row.try_get::<bool, _>(1)?);
    if is_known && !replaces {
        return Ok(false);
    }
    if !is_known && limits >= amount(MAX_LIMITS) {
        return Err(Fault::TooLarge(format!(
            "there are {limits} limits already, and at most {MAX_LIMITS} are kept, since each claim looks at all of them: \
             remove one, or use a limit on each key that starts so (`key:START*`)"
        )));
    }
    let query = tx
        .query(
            "INSERT INTO @limits (target, concurrency, rate_count, rate_period_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (target) DO UPDATE SET concurrency = excluded.concurrency, rate_count = excluded.rate_count,
                 rate_period_ms = excluded.rate_period_ms",
        )
        .bind(text)
        .bind(rule.concurrency.map(i64::from))
        .bind(rule.rate.map(|rate| i64::from(rate.count)))
        .bind(rule.rate.map(|rate| signed(rate.period_ms)));
    tx.run(query).await?;
    Ok(true)
}

/// Keeps a limit that comes from another storage, unless there is one on the same.
pub(super) async fn import(tx: &mut Tx<'_>, target: &LimitTarget, rule: LimitRule) -> Result<bool, Fault> {
    let is_new = keep(tx, target, rule, false).await?;
    if is_new {
        count_running(tx, target).await?;
    }
    Ok(is_new)
}

pub(super) async fn remove(tx: &mut Tx<'_>, target: &LimitTarget) -> Result<bool, Fault> {
    stop_claims(tx).await?;
    let query = tx.query("DELETE FROM @limits WHERE target = $1").bind(target.to_string());
    if tx.run(query).await? == 0 {
        return Ok(false);
    }
    changed(tx, target).await?;
    Ok(true)
}

/// Lets jobs go that a limit holds no longer.
async fn changed(tx: &mut Tx<'_>, target: &LimitTarget) -> Result<(), Fault> {
    // The lines of keys end their rests by themselves, which are short.
    if !matches!(target, LimitTarget::Keys(_)) {
        let query = tx.query("UPDATE @limited SET rests_until = 0 WHERE thing = $1").bind(target.to_string());
        tx.run(query).await?;
    }
    rooms::let_go(tx, rooms::AT_ONCE).await.map(drop)
}

/// Counts the runs that are under a limit already, and gives each a place in its line.
async fn count_running(tx: &mut Tx<'_>, target: &LimitTarget) -> Result<(), Fault> {
    let query = tx.query(
        "SELECT l.id, (SELECT name FROM @queues WHERE n = l.queue),
             (SELECT module || '/' || name FROM @handlers WHERE n = l.handler),
             CASE WHEN l.traits & 4 <> 0 THEN (SELECT limit_key FROM @conditions WHERE seq = l.seq) END
         FROM @live l WHERE l.state = 3",
    );
    let rules = Rules::read(tx).await?;
    let mut runs = BTreeMap::<Uuid, String>::new();
    for row in tx.all(query).await? {
        let name = |at: usize| row.try_get::<Option<&str>, _>(at).map(Option::unwrap_or_default);
        let things = rules.things(name(1)?, name(2)?, row.try_get::<Option<&str>, _>(3)?);
        let under = |thing: &String| rules.of(thing).is_some_and(|(other, _)| other == target);
        if let Some(thing) = things.into_iter().find(under) {
            runs.insert(row.try_get(0)?, thing);
        }
    }
    // Held in the order of their ids, and before the lines are: whoever ends them does the same.
    let query = tx
        .query(
            "SELECT l.id FROM unnest($1::uuid[]) AS w (id)
             CROSS JOIN LATERAL (SELECT id FROM @live WHERE id = w.id AND state = 3 LIMIT 1 FOR UPDATE) l",
        )
        .bind(runs.keys().copied().collect::<Vec<_>>());
    let still = tx.all(query).await?.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    rooms::lock(tx).await?;
    let mut counted = BTreeMap::<String, Vec<Uuid>>::new();
    for id in still {
        if let Some(thing) = runs.remove(&id) {
            counted.entry(thing).or_default().push(id);
        }
    }
    if !matches!(target, LimitTarget::Keys(_)) {
        counted.entry(target.to_string()).or_default();
    }
    let things = counted.keys().cloned().collect::<Vec<_>>();
    let mut lines = rooms::lines(tx, &things).await?;
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    for (thing, line) in &mut lines {
        let runs = counted.remove(thing).unwrap_or_default();
        line.running = amount(runs.len());
        numbers.extend(runs.iter().map(|_| line.n));
        ids.extend(runs);
    }
    let query = tx
        .query(
            "UPDATE @live l SET places = array_append(l.places, p.line)
             FROM unnest($1::uuid[], $2::integer[]) AS p (id, line)
             WHERE l.id = p.id AND NOT coalesce(p.line = ANY (l.places), false)",
        )
        .bind(ids)
        .bind(numbers);
    tx.run(query).await?;
    rooms::keep(tx, &lines, &rules).await
}

/// Limits as they are exported: by the text of their targets, after one.
pub(super) async fn after(tx: &mut Tx<'_>, after: &str, limit: usize) -> Result<Vec<(String, LimitRule)>, Fault> {
    let query = tx.query(
        "SELECT target, concurrency, rate_count, rate_period_ms FROM @limits WHERE target > $1 ORDER BY target LIMIT $2",
    );
    let rows = tx.all(query.bind(after.to_owned()).bind(amount(limit))).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, rule_of(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))).collect()
}
