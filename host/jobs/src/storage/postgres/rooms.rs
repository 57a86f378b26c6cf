//! The lines of limited things: places in them are given back here, and jobs that wait in them let go where there is room.
//!
//! Whoever counts in a line holds one lock for all of them (`@limited`), taken after the rows of jobs and before nothing that
//! others hold: who takes jobs under limits, who ends runs that have places, and who lets jobs go come one after the other.
//! Whoever has nothing to do with limits never asks for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{State, Timestamp};

use super::{
    fault::Fault,
    record::Change,
    rules::{Line, Rules},
    tx::Tx,
    words::amount,
};
use crate::storage::MAX_LINES_LOOKED_AT;

/// How many jobs a step lets go that ends runs, or changes a limit.
pub(super) const AT_ONCE: usize = 100;

/// How long a line rests from which as many jobs were let go as there is room for, in milliseconds: they are there to be taken, and
/// where nobody has a free slot for them, more of them would be of no use.
const REST_MS: u64 = 1_000;

/// How long until the next look where there are more lines than one looks at, in milliseconds.
const MORE_LINES_MS: u64 = 100;

/// What came of letting jobs go.
#[derive(Clone, Debug, Default)]
pub(super) struct LetGo {
    pub(super) moved: usize,
    /// The lines that let as many go as there is room for.
    emptied: Vec<i32>,
    /// How long until there is room in a line by time alone, in milliseconds.
    pub(super) next_in_ms: Option<u64>,
}

/// Nobody else counts in a line until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let query = tx.query("SELECT 1 FROM pg_advisory_xact_lock(hashtextextended('@limited', 0))");
    tx.first(query).await?;
    Ok(())
}

/// The lines of things, made where there are none.
pub(super) async fn lines(tx: &mut Tx<'_>, things: &[String]) -> Result<HashMap<String, Line>, Fault> {
    let query = tx
        .query("INSERT INTO @limited (thing) SELECT t FROM unnest($1::text[]) AS t ORDER BY t ON CONFLICT DO NOTHING")
        .bind(things.to_vec());
    tx.run(query).await?;
    let query = tx
        .query("SELECT n, running, part_ms, parts, starts, thing FROM @limited WHERE thing = ANY($1::text[])")
        .bind(things.to_vec());
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((row.try_get::<String, _>(5)?, read(row)?))).collect()
}

fn read(row: &PgRow) -> Result<Line, Fault> {
    Ok(Line {
        n: row.try_get(0)?,
        running: row.try_get(1)?,
        part_ms: row.try_get(2)?,
        parts: row.try_get(3)?,
        starts: row.try_get(4)?,
    })
}

/// Writes lines back.
pub(super) async fn keep(tx: &mut Tx<'_>, lines: &HashMap<String, Line>, rules: &Rules) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let until = |thing: &String, line: &Line| rules.of(thing).map_or(0, |(_, rule)| line.counts_until(&rule));
    let list = |values: &[i64]| {
        let values = values.iter().map(i64::to_string).collect::<Vec<_>>();
        format!("{{{}}}", values.join(","))
    };
    // Lists of different lengths only travel as text.
    let query = tx
        .query(
            "UPDATE @limited l SET running = v.running, part_ms = v.part_ms, parts = v.parts::bigint[],
                 starts = v.starts::bigint[], counts_until = v.counts_until
             FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
                 AS v (n, running, part_ms, parts, starts, counts_until)
             WHERE l.n = v.n",
        )
        .bind(lines.values().map(|line| line.n).collect::<Vec<_>>())
        .bind(lines.values().map(|line| line.running).collect::<Vec<_>>())
        .bind(lines.values().map(|line| line.part_ms).collect::<Vec<_>>())
        .bind(lines.values().map(|line| list(&line.parts)).collect::<Vec<_>>())
        .bind(lines.values().map(|line| list(&line.starts)).collect::<Vec<_>>())
        .bind(lines.iter().map(|(thing, line)| until(thing, line)).collect::<Vec<_>>());
    tx.run(query).await?;
    Ok(())
}

/// Gives back the places of runs that ended, and lets as many jobs go as there is room for now.
pub(super) async fn give_back(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    let mut places = BTreeMap::<i32, i64>::new();
    for change in changes {
        if change.before == Some(State::Processing) && change.job.state != State::Processing {
            for place in &change.job.places {
                *places.entry(*place).or_default() += 1;
            }
        }
    }
    if places.is_empty() {
        return Ok(());
    }
    lock(tx).await?;
    let numbers = places.keys().copied().collect::<Vec<_>>();
    let query = tx
        .query(
            "UPDATE @limited l SET running = greatest(l.running - p.amount, 0)
             FROM unnest($1::integer[], $2::bigint[]) AS p (n, amount) WHERE l.n = p.n",
        )
        .bind(numbers.clone())
        .bind(places.into_values().collect::<Vec<_>>());
    tx.run(query).await?;
    let rules = Rules::read(tx).await?;
    let held = looked_at(tx, &numbers).await?;
    let let_go = from_lines(tx, held, &rules, tx.held_left).await?;
    tx.held_left -= let_go.moved.min(tx.held_left);
    Ok(())
}

/// Of these lines, those in which jobs wait.
async fn looked_at(tx: &mut Tx<'_>, lines: &[i32]) -> Result<Vec<(String, Line)>, Fault> {
    let query = tx
        .query(
            "SELECT l.n, l.running, l.part_ms, l.parts, l.starts, l.thing FROM unnest($1::integer[]) AS w (n)
             CROSS JOIN LATERAL (SELECT * FROM @limited WHERE n = w.n LIMIT 1) l
             WHERE EXISTS (SELECT 1 FROM @live WHERE held = w.n LIMIT 1)",
        )
        .bind(lines.to_vec());
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((row.try_get::<String, _>(5)?, read(row)?))).collect()
}

/// Lets jobs go wherever they wait in a line with room, at most `limit`: time makes room too, limits are raised and removed, and
/// a job that was let go may not be taken by anybody.
pub(super) async fn let_go(tx: &mut Tx<'_>, limit: usize) -> Result<LetGo, Fault> {
    let mut lines = held_lines(tx, i32::MIN).await?;
    if lines.is_empty() {
        return Ok(LetGo::default());
    }
    let has_more = lines.len() > MAX_LINES_LOOKED_AT;
    if has_more {
        // From anywhere, so that each line has its turn.
        let (chance, _) = Uuid::new_v4().as_u64_pair();
        let last = last_line(tx).await?;
        let from = i32::try_from(chance % u64::try_from(last.max(1)).unwrap_or(1)).unwrap_or(0);
        lines = [held_lines(tx, from).await?, lines].concat();
        let mut seen = HashSet::new();
        lines.retain(|line| seen.insert(*line));
        lines.truncate(MAX_LINES_LOOKED_AT);
    }
    lock(tx).await?;
    let rules = Rules::read(tx).await?;
    let rested_at = leave_resting(tx, &mut lines).await?;
    let held = looked_at(tx, &lines).await?;
    let mut let_go = from_lines(tx, held, &rules, limit).await?;
    let rests = (!let_go.emptied.is_empty()).then_some(REST_MS);
    if rests.is_some() {
        put_rest(tx, &let_go.emptied, tx.now().plus_ms(REST_MS)).await?;
    }
    let rested = rested_at.map(|at| at.ms_since(tx.now()));
    let_go.next_in_ms = [let_go.next_in_ms, rests, rested].into_iter().flatten().min();
    if has_more {
        let_go.next_in_ms = Some(let_go.next_in_ms.map_or(MORE_LINES_MS, |next| next.min(MORE_LINES_MS)));
    }
    Ok(let_go)
}

/// Leaves lines out that rest, and gives when the first of them has rested.
async fn leave_resting(tx: &mut Tx<'_>, lines: &mut Vec<i32>) -> Result<Option<Timestamp>, Fault> {
    let query = tx
        .query("SELECT n, rests_until FROM @limited WHERE n = ANY($1::integer[]) AND rests_until > $2")
        .bind(lines.clone())
        .bind(tx.now().0);
    let (mut resting, mut first) = (HashSet::new(), None::<i64>);
    for row in tx.all(query).await? {
        resting.insert(row.try_get::<i32, _>(0)?);
        let until = row.try_get::<i64, _>(1)?;
        first = Some(first.map_or(until, |first| first.min(until)));
    }
    lines.retain(|line| !resting.contains(line));
    Ok(first.map(Timestamp))
}

async fn put_rest(tx: &mut Tx<'_>, lines: &[i32], until: Timestamp) -> Result<(), Fault> {
    let query = tx
        .query("UPDATE @limited SET rests_until = $2 WHERE n = ANY($1::integer[])")
        .bind(lines.to_vec())
        .bind(until.0);
    tx.run(query).await?;
    Ok(())
}

/// Lets lines go on that rest: one of those that they let go has met another limit, or theirs has changed.
pub(super) async fn end_rest(tx: &mut Tx<'_>, lines: &[i32]) -> Result<(), Fault> {
    let query = tx
        .query("UPDATE @limited SET rests_until = 0 WHERE n = ANY($1::integer[]) AND rests_until > $2")
        .bind(lines.to_vec())
        .bind(tx.now().0);
    tx.told.work |= tx.run(query).await? > 0;
    Ok(())
}

/// The lines in which jobs wait, from a number on: one more than are looked at, if there are as many.
async fn held_lines(tx: &mut Tx<'_>, from: i32) -> Result<Vec<i32>, Fault> {
    let query = tx
        .query(
            "WITH RECURSIVE lines (n) AS (
                 (SELECT held FROM @live WHERE held IS NOT NULL AND held >= $1 ORDER BY held LIMIT 1)
                 UNION ALL
                 SELECT (SELECT held FROM @live WHERE held IS NOT NULL AND held > l.n ORDER BY held LIMIT 1)
                 FROM lines l WHERE l.n IS NOT NULL)
             SELECT n FROM lines WHERE n IS NOT NULL LIMIT $2",
        )
        .bind(from)
        .bind(amount(MAX_LINES_LOOKED_AT + 1));
    tx.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn last_line(tx: &mut Tx<'_>) -> Result<i32, Fault> {
    let query = tx.query("SELECT held FROM @live WHERE held IS NOT NULL ORDER BY held DESC LIMIT 1");
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
}

async fn from_lines(tx: &mut Tx<'_>, lines: Vec<(String, Line)>, rules: &Rules, limit: usize) -> Result<LetGo, Fault> {
    let now = tx.now();
    let mut let_go = LetGo::default();
    let mut next_at = None::<Timestamp>;
    for (thing, line) in lines {
        let rule = rules.of(&thing).map(|(_, rule)| rule);
        let room = rule.map_or(usize::MAX, |rule| line.room(&rule, now));
        if let Some(free_at) = rule.filter(|_| room == 0).and_then(|rule| line.frees_at(&rule, now)) {
            next_at = Some(next_at.map_or(free_at, |next| next.min(free_at)));
        }
        let most = room.min(limit - let_go.moved);
        if room > most && most == 0 {
            next_at = Some(now);
        }
        if most == 0 {
            continue;
        }
        let moved = from_line(tx, line.n, most).await?;
        let_go.moved += moved;
        if moved > 0 && room == most {
            let_go.emptied.push(line.n);
        }
        if room > most && moved == most {
            // There may be more for which there is room.
            next_at = Some(now);
        }
    }
    let_go.next_in_ms = next_at.map(|at| at.ms_since(now));
    tx.told.work |= let_go.moved > 0;
    Ok(let_go)
}

/// Puts the first jobs of a line back to where they stood.
async fn from_line(tx: &mut Tx<'_>, line: i32, most: usize) -> Result<usize, Fault> {
    let query = tx
        .query(
            "WITH first AS MATERIALIZED (
                 SELECT ctid AS spot FROM @live WHERE held = $1 ORDER BY priority, ready_at, seq LIMIT $2
                 FOR UPDATE SKIP LOCKED)
             UPDATE @live SET held = NULL WHERE ctid = ANY (ARRAY(SELECT spot FROM first))",
        )
        .bind(line)
        .bind(amount(most));
    Ok(usize::try_from(tx.run(query).await?).unwrap_or(usize::MAX))
}

/// Removes lines that nobody is in and whose starts no longer count: names of keys are anybody's to make up.
pub(super) async fn forget_idle(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    const MOST: u64 = 1_000;
    let query = tx
        .query(
            "SELECT 1 FROM @limited l WHERE running <= 0 AND counts_until <= $1
                 AND NOT EXISTS (SELECT 1 FROM @live WHERE held = l.n LIMIT 1)
             ORDER BY counts_until LIMIT 1",
        )
        .bind(tx.now().0);
    if tx.first(query).await?.is_none() {
        return Ok(true);
    }
    // Who counts at the moment may count on them.
    let query = tx.query("SELECT pg_try_advisory_xact_lock(hashtextextended('@limited', 0))");
    if !tx.first(query).await?.ok_or(Fault::Again)?.try_get::<bool, _>(0)? {
        return Ok(true);
    }
    let query = tx
        .query(
            "DELETE FROM @limited WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM @limited l WHERE running <= 0 AND counts_until <= $1
                     AND NOT EXISTS (SELECT 1 FROM @live WHERE held = l.n LIMIT 1)
                 ORDER BY counts_until LIMIT $2))",
        )
        .bind(tx.now().0)
        .bind(i64::try_from(MOST).unwrap_or(i64::MAX));
    Ok(tx.run(query).await? < MOST)
}
