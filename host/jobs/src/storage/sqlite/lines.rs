//! The lines of limits: how many jobs run under each, how many wait there, and when there is room for them.
//!
//! A line is called by its target: `queue:NAME`, `handler:MODULE/HANDLER` or `key:KEY`. How many run is counted with every
//! step into a run and out of one: for each queue and handler that has a limit, and for every key, so that a limit for keys
//! that is put later knows them.

use rusqlite::OptionalExtension;
use windlass_api::{State, Timestamp};

use super::{
    damage::{Suspect, set_aside, unless_damaged},
    fault::Fault,
    record::Job,
    rules::{Limit, Rules},
    tx::Tx,
    words::unsigned,
};
use crate::storage::Signal;

/// The lines that a job counts in, in the order in which they are looked at: those of its queue and its handler where these
/// have limits, and that of its key.
pub(super) fn of_job(tx: &mut Tx<'_>, rules: &Rules, job: &Job) -> Result<Vec<String>, Fault> {
    of(tx, rules, job.queue, job.handler, job.limit_key.as_deref())
}

fn of(tx: &mut Tx<'_>, rules: &Rules, queue: i64, handler: i64, key: Option<&str>) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    if !rules.is_empty() {
        let names = [format!("queue:{}", tx.queue_name(queue)?), format!("handler:{}", tx.handler_path(handler)?)];
        lines.extend(names.into_iter().filter(|line| rules.of(line).is_some()));
    }
    lines.extend(key.map(|key| format!("key:{key}")));
    Ok(lines)
}

/// How long a line rests from which as many jobs were moved back as there is room for, in milliseconds: they are there to be
/// taken, and where nobody has a free slot for them, more of them would be of no use.
const REST_MS: u64 = 1_000;

/// How many lines are told by one step that their limit has changed.
const LINES_TOLD: usize = 1_000;

/// How many more may start under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    jobs: u64,
    /// From when on there is room; absent where only the end of a run makes some.
    at: Option<Timestamp>,
}

fn room(tx: &Tx<'_>, line: &str, running: u64, limit: Option<&Limit>) -> Result<Room, Fault> {
    let mut room = Room { jobs: u64::MAX, at: Some(tx.now) };
    let Some(Limit { n, rule, .. }) = limit else { return Ok(room) };
    if let Some(concurrency) = rule.concurrency {
        room.jobs = u64::from(concurrency).saturating_sub(running);
        if room.jobs == 0 {
            return Ok(Room { jobs: 0, at: None });
        }
    }
    if let Some(rate) = rule.rate {
        let mut query = tx.db.prepare_cached(
            "SELECT free_at, jobs FROM starts WHERE limit_n = ?1 AND target = ?2 AND free_at > ?3 ORDER BY free_at",
        )?;
        let starts = query.query_map((n, line, tx.now.0), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        let starts = starts.collect::<Result<Vec<(i64, i64)>, _>>()?;
        let mut counted = starts.iter().map(|(_, jobs)| unsigned(*jobs)).sum::<u64>();
        let count = u64::from(rate.count);
        if counted < count {
            room.jobs = room.jobs.min(count - counted);
        } else {
            room = Room { jobs: 0, at: None };
            for (free_at, jobs) in starts {
                counted = counted.saturating_sub(unsigned(jobs));
                if counted < count {
                    room.at = Some(Timestamp(free_at));
                    break;
                }
            }
        }
    }
    Ok(room)
}

/// How many run and wait in a line.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    running: u64,
    held: u64,
}

fn counted(tx: &Tx<'_>, line: &str) -> Result<Counted, Fault> {
    let counted = tx
        .db
        .prepare_cached("SELECT running, held FROM limit_lines WHERE target = ?1")?
        .query_row([line], |row| Ok(Counted { running: unsigned(row.get(0)?), held: unsigned(row.get(1)?) }))
        .optional()?;
    Ok(counted.unwrap_or_default())
}

/// The first line of a job that has no room for it.
pub(super) fn full(tx: &mut Tx<'_>, rules: &Rules, job: &Job) -> Result<Option<String>, Fault> {
    for line in of_job(tx, rules, job)? {
        let Some(limit) = rules.of(&line) else { continue };
        if room(tx, &line, counted(tx, &line)?.running, Some(limit))?.jobs == 0 {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// Counts the start of a job against the rates that apply to it.
pub(super) fn count_start(tx: &mut Tx<'_>, rules: &Rules, job: &Job) -> Result<(), Fault> {
    for line in of_job(tx, rules, job)? {
        let Some(Limit { n, rule, .. }) = rules.of(&line) else { continue };
        let Some(rate) = rule.rate else { continue };
        let free_at = rate.free_at(rate.part_of(tx.now));
        tx.db
            .prepare_cached(
                "INSERT INTO starts (limit_n, target, free_at, jobs) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT DO UPDATE SET jobs = jobs + 1",
            )?
            .execute((n, &line, free_at.0))?;
    }
    Ok(())
}

/// Forgets starts that no longer count, at most so many.
pub(super) fn forget_starts(tx: &Tx<'_>, limit: usize) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "DELETE FROM starts WHERE (limit_n, target, free_at) IN
             (SELECT limit_n, target, free_at FROM starts INDEXED BY starts_by_time WHERE free_at <= ?1
              ORDER BY free_at LIMIT ?2)",
        )?
        .execute((tx.now.0, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    Ok(())
}

/// A run of a job has begun.
pub(super) fn began(tx: &mut Tx<'_>, job: &Job) -> Result<(), Fault> {
    ran(tx, job.queue, job.handler, job.limit_key.as_deref(), 1)
}

/// A run of a job has ended, however it did.
pub(super) fn ended(tx: &mut Tx<'_>, job: &Job) -> Result<(), Fault> {
    ran(tx, job.queue, job.handler, job.limit_key.as_deref(), -1)
}

/// Counts a run that has begun or ended.
pub(super) fn ran(tx: &mut Tx<'_>, queue: i64, handler: i64, key: Option<&str>, change: i64) -> Result<(), Fault> {
    let rules = tx.rules()?;
    for line in of(tx, &rules, queue, handler, key)? {
        let held = tx
            .db
            .prepare_cached(
                "INSERT INTO limit_lines (target, running, held) VALUES (?1, max(?2, 0), 0)
                 ON CONFLICT DO UPDATE SET running = max(running + ?2, 0) RETURNING held",
            )?
            .query_row((&line, change), |row| row.get::<_, i64>(0))?;
        if held > 0 {
            let before = if change > 0 { room_at(tx, &line)? } else { None };
            let at = look_for_room(tx, &line)?;
            if change < 0 {
                tx.effects.consequences.room(line);
            } else if let Some(rests_until) = before.filter(|before| *before > tx.now && at == Some(tx.now)) {
                // What has begun is one of those that were moved back, or has taken the room of one.
                put_room_at(tx, &line, Some(rests_until))?;
            } else if at.is_some() {
                tx.signal(Signal::Work);
            }
        } else if change < 0 {
            forget_where_empty(tx, &line)?;
        }
    }
    Ok(())
}

/// A line is kept only while it says anything.
pub(super) fn forget_where_empty(tx: &Tx<'_>, line: &str) -> Result<(), Fault> {
    tx.db.prepare_cached("DELETE FROM limit_lines WHERE target = ?1 AND running = 0 AND held = 0")?.execute([line])?;
    Ok(())
}

/// Works out anew when there is room in a line for those that wait there, and gives that instant where one is known.
pub(super) fn look_for_room(tx: &mut Tx<'_>, line: &str) -> Result<Option<Timestamp>, Fault> {
    let Counted { running, held } = counted(tx, line)?;
    let at = if held > 0 {
        let rules = tx.rules()?;
        room(tx, line, running, rules.of(line))?.at
    } else {
        None
    };
    put_room_at(tx, line, at)?;
    Ok(at)
}

/// From when on there is room in a line, as was worked out last; while it rests, when that is over.
fn room_at(tx: &Tx<'_>, line: &str) -> Result<Option<Timestamp>, Fault> {
    let at = tx
        .db
        .prepare_cached("SELECT room_at FROM limit_lines WHERE target = ?1")?
        .query_row([line], |row| row.get::<_, Option<i64>>(0))
        .optional()?;
    Ok(at.flatten().map(Timestamp))
}

fn put_room_at(tx: &Tx<'_>, line: &str, at: Option<Timestamp>) -> Result<(), Fault> {
    tx.db
        .prepare_cached("UPDATE limit_lines SET room_at = ?2 WHERE target = ?1 AND room_at IS NOT ?2")?
        .execute((line, at.map(|at| at.0)))?;
    Ok(())
}

/// Moves a job that is ready from its own line to that of a limit.
pub(super) fn park(tx: &mut Tx<'_>, mut job: Job, line: String) -> Result<(), Fault> {
    let rules = tx.rules()?;
    for other in of_job(tx, &rules, &job)? {
        // It may have come from there, and the next one may have more luck.
        if other != line && counted(tx, &other)?.held > 0 && look_for_room(tx, &other)?.is_some() {
            tx.signal(Signal::Work);
        }
    }
    let before = job.place();
    job.held = Some(line);
    job.save(tx, &before)
}

/// Puts a job into the line of the limit that holds it.
pub(super) fn join(tx: &mut Tx<'_>, job: &Job) -> Result<(), Fault> {
    let Some(line) = &job.held else { return Ok(()) };
    tx.db.prepare_cached("INSERT INTO held (target, priority, since, seq) VALUES (?1, ?2, ?3, ?4)")?.execute((
        line,
        job.priority,
        job.ready_at.0,
        job.seq,
    ))?;
    tx.db
        .prepare_cached(
            "INSERT INTO limit_lines (target, running, held) VALUES (?1, 0, 1)
             ON CONFLICT DO UPDATE SET held = held + 1",
        )?
        .execute([line])?;
    if look_for_room(tx, line)?.is_some() {
        // Whoever promotes sleeps until the next instant that it knows of, and this may come before.
        tx.signal(Signal::Work);
    }
    Ok(())
}

/// Takes a job out of the line of a limit; gives how many that were.
pub(super) fn leave(tx: &mut Tx<'_>, job: &Job, line: &str, since: Timestamp) -> Result<usize, Fault> {
    let left = tx
        .db
        .prepare_cached("DELETE FROM held WHERE target = ?1 AND priority = ?2 AND since = ?3 AND seq = ?4")?
        .execute((line, job.priority, since.0, job.seq))?;
    if left > 0 {
        one_less(tx, line)?;
    }
    Ok(left)
}

/// Takes a job out of the lines of limits, wherever it stands there.
pub(super) fn leave_all(tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
    let mut query = tx.db.prepare_cached("DELETE FROM held WHERE seq = ?1 RETURNING target")?;
    let lines = query.query_map([seq], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    lines.iter().try_for_each(|line| one_less(tx, line))
}

fn one_less(tx: &Tx<'_>, line: &str) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "UPDATE limit_lines SET held = max(held - 1, 0), room_at = iif(held > 1, room_at, NULL) WHERE target = ?1",
        )?
        .execute([line])?;
    forget_where_empty(tx, line)
}

/// What came of moving jobs back to their own lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) jobs: usize,
    /// Whether that were as many as there is room for.
    pub(super) is_all: bool,
}

/// Moves as many jobs back to their own lines as there is room for, no more than `limit`. One whose record is damaged is failed.
pub(super) fn move_back(tx: &mut Tx<'_>, line: &str, limit: usize, suspect: &Suspect) -> Result<Moved, Fault> {
    let Counted { running, held } = counted(tx, line)?;
    let rules = tx.rules()?;
    let fitting = room(tx, line, running, rules.of(line))?.jobs.min(held);
    let wanted = usize::try_from(fitting).unwrap_or(usize::MAX);
    let jobs = {
        let mut query =
            tx.db.prepare_cached("SELECT seq FROM held WHERE target = ?1 ORDER BY priority, since, seq LIMIT ?2")?;
        let jobs = query.query_map((line, i64::try_from(wanted.min(limit)).unwrap_or(i64::MAX)), |row| row.get(0))?;
        jobs.collect::<Result<Vec<i64>, _>>()?
    };
    for seq in &jobs {
        let moved = suspect.watch_beside(*seq, tx, |tx| {
            unless_damaged(tx, *seq, |tx| {
                let mut job = suspect.watch(*seq, || Job::by_seq(tx.db, *seq))?;
                job.expect(State::Enqueued)?;
                let before = job.place();
                job.held = None;
                job.save(tx, &before)
            })
        })?;
        if moved.is_none() {
            set_aside(tx, *seq, State::Enqueued)?;
        }
    }
    look_for_room(tx, line)?;
    Ok(Moved { jobs: jobs.len(), is_all: jobs.len() >= wanted })
}

/// How many of the lines that had no room are looked at again by one step.
const LINES_LOOKED_AT: i64 = 16;

/// Looks again at some of the lines in which jobs wait for a run to end, others with each step. It finds room only where something
/// else has made some, such as a limit that can no longer be read.
fn look_again(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let lines = {
        let mut query = tx.db.prepare_cached(
            "SELECT target FROM limit_lines INDEXED BY limit_lines_without_room
             WHERE held > 0 AND room_at IS NULL AND target > ?1 ORDER BY target LIMIT ?2",
        )?;
        let lines = query.query_map((tx.last_line(), LINES_LOOKED_AT), |row| row.get::<_, String>(0))?;
        lines.collect::<Result<Vec<_>, _>>()?
    };
    for line in &lines {
        look_for_room(tx, line)?;
    }
    tx.set_last_line(lines.into_iter().next_back().unwrap_or_default());
    Ok(())
}

/// Lets lines of keys know that their limit has changed, at most so many, and gives them.
pub(super) fn tell_of_change(tx: &mut Tx<'_>, most: usize) -> Result<Vec<String>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let changed = tx
        .db
        .prepare_cached("SELECT n, target, before FROM changed_keys ORDER BY n LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))
        .optional()?;
    let Some((n, from, before)) = changed else { return Ok(Vec::new()) };
    let lines = {
        let mut query = tx.db.prepare_cached(
            "SELECT target FROM limit_lines WHERE target >= ?1 AND target < ?2 AND held > 0 ORDER BY target LIMIT ?3",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let lines = query.query_map((&from, &before, most), |row| row.get::<_, String>(0))?;
        lines.collect::<Result<Vec<_>, _>>()?
    };
    for line in &lines {
        look_for_room(tx, line)?;
    }
    match lines.last() {
        // No key has the lowest character, so that this is the next text after that key.
        Some(last) if lines.len() == most => {
            let next = format!("{last}\0");
            tx.db.prepare_cached("UPDATE changed_keys SET target = ?2 WHERE n = ?1")?.execute((n, next))?;
        }
        _ => {
            tx.db.prepare_cached("DELETE FROM changed_keys WHERE n = ?1")?.execute([n])?;
        }
    }
    Ok(lines)
}

/// Whether there are lines that do not know yet that their limit has changed.
fn are_untold(tx: &Tx<'_>) -> Result<bool, Fault> {
    Ok(tx.db.prepare_cached("SELECT 1 FROM changed_keys")?.exists([])?)
}

/// What came of moving jobs back from all lines that have room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Returned {
    pub(super) jobs: usize,
    /// Whether there was more to do than was allowed.
    pub(super) is_cut: bool,
}

/// Moves jobs back from the lines in which there is room, no more than `limit`, and looks at no more lines.
pub(super) fn return_held(tx: &mut Tx<'_>, limit: usize, suspect: &Suspect) -> Result<Returned, Fault> {
    look_again(tx)?;
    tell_of_change(tx, limit.min(LINES_TOLD))?;
    let lines = {
        let mut query = tx.db.prepare_cached(
            "SELECT target FROM limit_lines INDEXED BY limit_lines_with_room
             WHERE room_at IS NOT NULL AND room_at <= ?1 ORDER BY room_at, target LIMIT ?2",
        )?;
        let lines = query.query_map((tx.now.0, i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX)), |row| {
            row.get::<_, String>(0)
        })?;
        lines.collect::<Result<Vec<_>, _>>()?
    };
    let mut returned = Returned::default();
    for (at, line) in lines.iter().enumerate() {
        let left = limit - returned.jobs.min(limit);
        if at == limit || left == 0 {
            returned.is_cut = true;
            break;
        }
        let moved = move_back(tx, line, left, suspect)?;
        returned.jobs += moved.jobs;
        returned.is_cut |= !moved.is_all;
        if moved.is_all && room_at(tx, line)?.is_some_and(|at| at <= tx.now) {
            put_room_at(tx, line, Some(tx.now.plus_ms(REST_MS)))?;
        }
    }
    returned.is_cut |= are_untold(tx)?;
    Ok(returned)
}

/// The next instant at which time makes room in a line.
pub(super) fn next_room(tx: &Tx<'_>) -> Result<Option<Timestamp>, Fault> {
    let next = tx
        .db
        .prepare_cached(
            "SELECT room_at FROM limit_lines INDEXED BY limit_lines_with_room
             WHERE room_at IS NOT NULL AND room_at > ?1 ORDER BY room_at LIMIT 1",
        )?
        .query_row([tx.now.0], |row| row.get(0))
        .optional()?;
    Ok(next.map(Timestamp))
}
