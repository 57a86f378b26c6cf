//! Everything that the database holds, as records.

use std::{collections::BTreeMap, io};

use rusqlite::{Connection, Params, Row};
use windlass_api::{Grain, JobId, Json, LogLine, Page, Timestamp};

use super::{
    audit, conditions, counters,
    fault::Fault,
    flow, limits, notes, number, payload, recurring,
    show::{self, Shown},
    unique,
    words::{self, Word},
};
use crate::storage::{
    CounterRecord, ExportPart, JobRecord, LimitRecord, QueueRecord, Record, Retention, StorageError, VersionRecord,
};

/// A part of an export ends with the record that brings it to so many bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// No part of an export has more records.
const MAX_RECORDS: usize = 1_000;

/// Where an export goes on: after which record of which kind.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    Versions(i64),
    Queues(i64),
    Limits(String),
    Recurring(String),
    Counters { grain: i64, at: i64, handler: i64 },
    Audit(i64),
    Jobs(i64),
}

impl Position {
    const FIRST: Self = Self::Versions(i64::MIN);

    fn read(cursor: &str) -> Result<Self, Fault> {
        let parsed = || {
            let (kind, rest) = cursor.split_once(':')?;
            Some(match kind {
                "versions" => Self::Versions(rest.parse().ok()?),
                "queues" => Self::Queues(rest.parse().ok()?),
                "limits" => Self::Limits(rest.to_owned()),
                "recurring" => Self::Recurring(rest.to_owned()),
                "counters" => {
                    let mut numbers = rest.splitn(3, ':').map(str::parse);
                    let mut number = || numbers.next()?.ok();
                    Self::Counters { grain: number()?, at: number()?, handler: number()? }
                }
                "audit" => Self::Audit(rest.parse().ok()?),
                "jobs" => Self::Jobs(rest.parse().ok()?),
                _ => return None,
            })
        };
        parsed().ok_or_else(|| Fault::cursor(cursor))
    }

    fn write(&self) -> String {
        match self {
            Self::Versions(n) => format!("versions:{n}"),
            Self::Queues(n) => format!("queues:{n}"),
            Self::Limits(target) => format!("limits:{target}"),
            Self::Recurring(name) => format!("recurring:{name}"),
            Self::Counters { grain, at, handler } => format!("counters:{grain}:{at}:{handler}"),
            Self::Audit(n) => format!("audit:{n}"),
            Self::Jobs(n) => format!("jobs:{n}"),
        }
    }

    /// Before the first record of the next kind.
    fn next_kind(&self) -> Option<Self> {
        match self {
            Self::Versions(_) => Some(Self::Queues(i64::MIN)),
            Self::Queues(_) => Some(Self::Limits(String::new())),
            Self::Limits(_) => Some(Self::Recurring(String::new())),
            Self::Recurring(_) => Some(Self::Counters { grain: i64::MIN, at: i64::MIN, handler: i64::MIN }),
            Self::Counters { .. } => Some(Self::Audit(i64::MIN)),
            Self::Audit(_) => Some(Self::Jobs(i64::MIN)),
            Self::Jobs(_) => None,
        }
    }
}

/// A part of an export on its way.
struct Part {
    records: Vec<Record>,
    skipped: Vec<String>,
    bytes: usize,
    limit: usize,
}

impl Part {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.records.len() + self.skipped.len())
    }

    fn is_full(&self) -> bool {
        self.room() == 0 || self.bytes >= MAX_BYTES
    }

    /// Adds a record, or why it cannot be read. One that was removed meanwhile is neither.
    fn add(&mut self, record: Result<Option<Record>, Fault>, name: impl FnOnce() -> String) -> Result<(), Fault> {
        match record {
            Ok(Some(record)) => {
                self.bytes += text_bytes(&record);
                self.records.push(record);
            }
            Ok(None) => {}
            Err(fault) if fault.is_of_a_record() || fault.is_of_the_file() => self.skip(&name(), fault),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn skip(&mut self, name: &str, fault: Fault) {
        let why = match fault {
            Fault::Damaged(why) => why,
            fault if fault.is_of_the_file() => "the database file is damaged where it stands".to_owned(),
            fault => StorageError::from(fault).to_string(),
        };
        self.skipped.push(if why.starts_with(name) { why } else { format!("{name}: {why}") });
    }

    fn ends_at(self, next: Option<&Position>) -> ExportPart {
        ExportPart { items: self.records, next: next.map(Position::write), skipped: self.skipped }
    }
}

/// How much a record takes when it is written; of a version, how much its component does.
fn text_bytes(record: &Record) -> usize {
    if let Record::Version(version) = record {
        return version.component.len();
    }
    let mut counted = Counted(0);
    // What cannot be written is told to whoever writes it.
    let _ = serde_json::to_writer(&mut counted, record);
    counted.0
}

/// Counts what is written.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives what the database holds, and refuses where anything of the part cannot be read.
pub(super) fn export(
    db: &Connection,
    retention: &Retention,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Record>, Fault> {
    let ExportPart { items, next, skipped } = export_readable(db, retention, cursor, limit)?;
    match skipped.into_iter().next() {
        Some(first) => Err(Fault::Damaged(first)),
        None => Ok(Page::new(items, next)),
    }
}

/// Gives what the database holds, and goes on past what cannot be read.
pub(super) fn export_readable(
    db: &Connection,
    retention: &Retention,
    cursor: Option<&str>,
    limit: usize,
) -> Result<ExportPart, Fault> {
    let mut position = cursor.map_or(Ok(Position::FIRST), Position::read)?;
    let mut part = Part { records: Vec::new(), skipped: Vec::new(), bytes: 0, limit: limit.clamp(1, MAX_RECORDS) };
    loop {
        let reached = match &position {
            Position::Versions(after) => versions(db, *after, &mut part)?,
            Position::Queues(after) => queues(db, *after, &mut part)?,
            Position::Limits(after) => limits(db, after, &mut part)?,
            Position::Recurring(after) => entries(db, after, &mut part)?,
            Position::Counters { grain, at, handler } => rows(db, (*grain, *at, *handler), &mut part)?,
            Position::Audit(after) => audit_log(db, *after, &mut part)?,
            Position::Jobs(after) => jobs(db, retention, *after, &mut part)?,
        };
        // Where nothing was reached, there is no more of this kind.
        match reached.or_else(|| position.next_kind()) {
            Some(next) if part.is_full() => return Ok(part.ends_at(Some(&next))),
            Some(next) => position = next,
            None => return Ok(part.ends_at(None)),
        }
    }
}

fn amount(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Keys of records in their order, as far as the file is sound.
struct Keys<T> {
    keys: Vec<T>,
    /// Where the file is damaged behind them.
    damage: Option<Fault>,
}

impl<T> Keys<T> {
    fn read(
        db: &Connection,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Self, Fault> {
        let mut query = db.prepare_cached(sql)?;
        let mut rows = query.query(values)?;
        let mut keys = Vec::new();
        loop {
            match rows.next().and_then(|row| row.map(&mut read).transpose()).map_err(Fault::from) {
                Ok(Some(key)) => keys.push(key),
                Ok(None) => return Ok(Self { keys, damage: None }),
                Err(fault) if fault.is_of_the_file() => return Ok(Self { keys, damage: Some(fault) }),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Adds the record of each key until the part is full; gives the last key that was looked at. Nothing where there are
    /// no keys; where that is because of damage, `rest` says what is left out.
    fn add_to(
        self,
        part: &mut Part,
        rest: &str,
        name: impl Fn(&T) -> String,
        record: impl Fn(&T) -> Result<Option<Record>, Fault>,
    ) -> Result<Option<T>, Fault> {
        if let (true, Some(damage)) = (self.keys.is_empty(), self.damage) {
            part.skip(rest, damage);
        }
        let mut last = None;
        for key in self.keys {
            part.add(record(&key), || name(&key))?;
            last = Some(key);
            if part.is_full() {
                break;
            }
        }
        Ok(last)
    }
}

fn versions(db: &Connection, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let keys = "SELECT n FROM versions WHERE n > ?1 ORDER BY n LIMIT ?2";
    let keys = Keys::read(db, keys, (after, amount(part.room())), |row| row.get(0))?;
    let rest = format!("the versions of modules after number {after}");
    let last = keys.add_to(part, &rest, |n| version_name(db, *n), |n| version(db, *n))?;
    Ok(last.map(Position::Versions))
}

fn version(db: &Connection, n: i64) -> Result<Option<Record>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT versions.module, versions.digest, version, sdk, handlers, deployed_at,
             versions.n = coalesce(modules.active, -1), components.bytes, canary_percent
         FROM versions LEFT JOIN modules ON modules.name = versions.module
         LEFT JOIN components ON components.digest = versions.digest WHERE n = ?1 AND retired_at IS NULL",
    )?;
    let mut rows = query.query([n])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let digest = words::digest(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("version {digest}"), why);
    let component = row.get::<_, Option<Vec<u8>>>(7)?.ok_or_else(|| damaged(&"its component is not there"))?;
    let handlers = serde_json::from_str(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?);
    Ok(Some(Record::Version(VersionRecord {
        module: row.get::<_, String>(0)?.parse().map_err(|error| damaged(&error))?,
        digest,
        version: row.get(2)?,
        sdk: row.get(3)?,
        handlers: handlers.map_err(|error| damaged(&error))?,
        deployed_at: Timestamp(row.get(5)?),
        active: row.get(6)?,
        canary_percent: row.get(8)?,
        component,
    })))
}

/// What a version is called that cannot be read.
fn version_name(db: &Connection, n: i64) -> String {
    let digest = db
        .prepare_cached("SELECT digest FROM versions WHERE n = ?1")
        .and_then(|mut query| query.query_row([n], |row| row.get::<_, Vec<u8>>(0)));
    match digest.map_err(Fault::from).and_then(|digest| words::digest(&digest)) {
        Ok(digest) => format!("version {digest}"),
        Err(_) => format!("version number {n}"),
    }
}

fn queues(db: &Connection, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let keys = "SELECT n FROM queues WHERE paused AND n > ?1 ORDER BY n LIMIT ?2";
    let keys = Keys::read(db, keys, (after, amount(part.room())), |row| row.get(0))?;
    let rest = format!("the queues after number {after}");
    let last = keys.add_to(part, &rest, |n| format!("queue number {n}"), |n| queue(db, *n))?;
    Ok(last.map(Position::Queues))
}

fn queue(db: &Connection, n: i64) -> Result<Option<Record>, Fault> {
    let mut query = db.prepare_cached("SELECT name, paused FROM queues WHERE n = ?1")?;
    let mut rows = query.query([n])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let name = row.get::<_, String>(0)?.parse();
    let name = name.map_err(|error| Fault::damaged(format_args!("queue number {n}"), error))?;
    Ok(Some(Record::Queue(QueueRecord { name, paused: row.get(1)? })))
}

fn limits(db: &Connection, after: &str, part: &mut Part) -> Result<Option<Position>, Fault> {
    let keys = "SELECT target FROM limits WHERE target > ?1 ORDER BY target LIMIT ?2";
    let keys = Keys::read(db, keys, (after, amount(part.room())), |row| row.get::<_, String>(0))?;
    let rest = if after.is_empty() { "the limits".to_owned() } else { format!("the limits after that of {after}") };
    let limit = |target: &String| {
        let found = limits::by_target(db, target)?;
        Ok(found.map(|limit| Record::Limit(LimitRecord { target: limit.target, rule: limit.rule })))
    };
    let last = keys.add_to(part, &rest, |target| format!("the limit of {target}"), limit)?;
    Ok(last.map(Position::Limits))
}

fn audit_log(db: &Connection, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let keys = "SELECT n FROM audit WHERE n > ?1 ORDER BY n LIMIT ?2";
    let keys = Keys::read(db, keys, (after, amount(part.room())), |row| row.get(0))?;
    let rest = format!("the entries of the audit log after number {}", after.max(0));
    let entry = |n: &i64| Ok(audit::by_number(db, *n)?.map(Record::Audit));
    let last = keys.add_to(part, &rest, |n| audit::name(*n), entry)?;
    Ok(last.map(Position::Audit))
}

fn entries(db: &Connection, after: &str, part: &mut Part) -> Result<Option<Position>, Fault> {
    let keys = "SELECT name FROM recurring WHERE name > ?1 ORDER BY name LIMIT ?2";
    let keys = Keys::read(db, keys, (after, amount(part.room())), |row| row.get::<_, String>(0))?;
    let rest =
        if after.is_empty() { "the recurring jobs".to_owned() } else { format!("the recurring jobs after {after}") };
    let entry = |name: &String| Ok(recurring::by_name(db, name)?.map(Record::Recurring));
    let last = keys.add_to(part, &rest, |name| format!("the recurring job {name}"), entry)?;
    Ok(last.map(Position::Recurring))
}

fn rows(db: &Connection, after: (i64, i64, i64), part: &mut Part) -> Result<Option<Position>, Fault> {
    let keys = "SELECT grain, at, handler FROM counters WHERE (grain, at, handler) > (?1, ?2, ?3)
         ORDER BY grain, at, handler LIMIT ?4";
    let values = (after.0, after.1, after.2, amount(part.room()));
    let keys = Keys::read(db, keys, values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let name = |(grain, at, handler): &(i64, i64, i64)| {
        let grain = Grain::from_number(*grain).map_or("span", Grain::as_str);
        format!("the counter of handler number {handler} for the {grain} of {}", Timestamp(*at))
    };
    let last = keys.add_to(part, "the rest of the counters", name, |key| counter(db, *key))?;
    Ok(last.map(|(grain, at, handler)| Position::Counters { grain, at, handler }))
}

fn counter(db: &Connection, key: (i64, i64, i64)) -> Result<Option<Record>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {} FROM counters LEFT JOIN handlers ON handlers.n = counters.handler
         WHERE grain = ?1 AND counters.at = ?2 AND handler = ?3",
        counters::COLUMNS,
    ))?;
    let mut rows = query.query(key)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Record::Counter(CounterRecord { grain: Grain::from_number(key.0)?, row: counters::read(row)? })))
}

/// How many jobs are found by another way, where their table is damaged: more than stand on a page.
const DETOUR: usize = 100;

fn jobs(db: &Connection, retention: &Retention, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let read = |row: &Row<'_>| row.get(0);
    let keys = "SELECT seq FROM jobs WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut keys = Keys::<i64>::read(db, keys, (after, amount(part.room())), read)?;
    if keys.keys.is_empty() && keys.damage.is_some() {
        // Their numbers stand in each index as well, though in another order, and with the payloads in their own.
        let detours = [
            "SELECT seq FROM jobs INDEXED BY jobs_by_queue WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            "SELECT seq FROM jobs INDEXED BY jobs_by_state WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            "SELECT seq FROM payloads WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        ];
        let mut found = None;
        for detour in detours {
            let way = Keys::read(db, detour, (after, amount(part.room().min(DETOUR))), read)?;
            // What comes sorted by another order comes whole or not at all.
            if way.damage.is_none() || !way.keys.is_empty() {
                found = Some(way);
                break;
            }
        }
        if let Some(found) = found {
            keys = found;
        } else if let Some(next) = beyond(db, after)? {
            let (from, to) = (number::instant_of(after.max(0)), number::instant_of(next));
            let between =
                format!("the jobs that were made between {from} and {to}, of which nothing is left to be named");
            part.skip(&between, Fault::Damaged(format!("{between}: the database file is damaged where they stand")));
            // By its own number: whoever looks for what comes after one before it is led to the damaged page again.
            keys = Keys { keys: vec![next], damage: None };
        }
    }
    let rest = format!("the jobs that were made after {}", number::instant_of(after.max(0)));
    let last = keys.add_to(part, &rest, |seq| job_name(db, *seq), |seq| job(db, retention, *seq))?;
    Ok(last.map(Position::Jobs))
}

/// The first job behind a damaged stretch of their table that begins after a number; nothing where none can be reached.
fn beyond(db: &Connection, after: i64) -> Result<Option<i64>, Fault> {
    let after = after.max(-1);
    let first = |after: i64| {
        let sql = "SELECT seq FROM jobs WHERE seq > ?1 ORDER BY seq LIMIT 1";
        Keys::<i64>::read(db, sql, [after], |row| row.get(0))
    };
    // In steps that double, so that a stretch of any length is passed in at most 63 of them.
    for doubled in 0..63 {
        let at = after.saturating_add(1 << doubled);
        let found = first(at)?;
        if found.damage.is_some() && found.keys.is_empty() {
            continue;
        }
        // The last step may have gone too far: from there back to where the damage ends.
        let back = "SELECT seq FROM jobs WHERE seq > ?1 AND seq <= ?2 ORDER BY seq DESC";
        let before = Keys::<i64>::read(db, back, (after, at), |row| row.get(0))?;
        return Ok(before.keys.last().or(found.keys.first()).copied());
    }
    Ok(None)
}

fn job(db: &Connection, retention: &Retention, seq: i64) -> Result<Option<Record>, Fault> {
    let Some(Shown { job, kept, mut detail }) = show::shown(db, retention, seq)? else { return Ok(None) };
    // Which limits are full is another matter elsewhere.
    detail.job.held_by = None;
    let (checkpoints, logs) = (checkpoints(db, seq)?, logs(db, seq)?);
    let holds_key = kept.unique.as_ref().map(|rule| unique::holds(db, rule, seq)).transpose()?;
    Ok(Some(Record::Job(Box::new(JobRecord {
        detail,
        losses: job.losses,
        checkpoints,
        logs,
        waits_for: conditions::unmet_parents(db, &job)?,
        start: kept.start.filter(|_| flow::waits_for_parents(&job)),
        holds_key: holds_key.unwrap_or(false),
    }))))
}

/// What a job is called that cannot be read.
fn job_name(db: &Connection, seq: i64) -> String {
    let id = db
        .prepare_cached("SELECT id FROM jobs WHERE seq = ?1")
        .and_then(|mut query| query.query_row([seq], |row| row.get::<_, Vec<u8>>(0)));
    match id.map_err(Fault::from).and_then(|id| words::uuid(&id)) {
        Ok(id) => format!("job {}", JobId(id)),
        Err(_) => format!("a job that was made at {}", number::instant_of(seq)),
    }
}

fn checkpoints(db: &Connection, seq: i64) -> Result<BTreeMap<String, Json>, Fault> {
    let mut query = db.prepare_cached("SELECT key, value FROM checkpoints WHERE seq = ?1")?;
    let mut rows = query.query([seq])?;
    let mut checkpoints = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let value = payload::stored_json(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        checkpoints.insert(row.get(0)?, value.map_err(|error| Fault::damaged("a checkpoint", error))?);
    }
    Ok(checkpoints)
}

fn logs(db: &Connection, seq: i64) -> Result<Vec<LogLine>, Fault> {
    let mut lines = Vec::new();
    notes::each_line(db, seq, 0, i64::MAX, |line| lines.push(line))?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_it_was_written_and_nothing_else_is_one() {
        let positions = [
            Position::FIRST,
            Position::Queues(3),
            Position::Limits("key:a:*".into()),
            Position::Recurring("nightly".into()),
            Position::Audit(7),
            Position::Counters { grain: 1, at: -60_000, handler: 9 },
            Position::Jobs(i64::MAX),
        ];
        for position in positions {
            assert_eq!(Position::read(&position.write()).unwrap(), position);
        }
        for cursor in ["", "jobs", "jobs:x", "counters:1:2", "servers:1", "7"] {
            assert!(matches!(Position::read(cursor), Err(Fault::Cursor(_))), "{cursor}");
        }
    }
}
