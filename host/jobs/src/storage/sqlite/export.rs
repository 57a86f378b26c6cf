//! Everything that the database holds, as records.

use std::collections::BTreeMap;

use rusqlite::Connection;
use windlass_api::{Grain, Json, LogLine, Page, Timestamp};

use super::{
    counters,
    fault::Fault,
    notes, payload, recurring,
    show::{self, Shown},
    words::{self, Word},
};
use crate::storage::{CounterRecord, JobRecord, QueueRecord, Record, Retention, VersionRecord};

/// No part of an export carries more, in bytes of what is large in it, except for a single record that does.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// No part of an export has more records.
const MAX_RECORDS: usize = 1_000;

/// Where an export goes on: after which record of which kind.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    Versions(i64),
    Queues(i64),
    Recurring(String),
    Counters { grain: i64, at: i64, handler: i64 },
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
                "recurring" => Self::Recurring(rest.to_owned()),
                "counters" => {
                    let mut numbers = rest.splitn(3, ':').map(str::parse);
                    let mut number = || numbers.next()?.ok();
                    Self::Counters { grain: number()?, at: number()?, handler: number()? }
                }
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
            Self::Recurring(name) => format!("recurring:{name}"),
            Self::Counters { grain, at, handler } => format!("counters:{grain}:{at}:{handler}"),
            Self::Jobs(n) => format!("jobs:{n}"),
        }
    }

    /// Before the first record of the next kind.
    fn next_kind(&self) -> Option<Self> {
        match self {
            Self::Versions(_) => Some(Self::Queues(i64::MIN)),
            Self::Queues(_) => Some(Self::Recurring(String::new())),
            Self::Recurring(_) => Some(Self::Counters { grain: i64::MIN, at: i64::MIN, handler: i64::MIN }),
            Self::Counters { .. } => Some(Self::Jobs(i64::MIN)),
            Self::Jobs(_) => None,
        }
    }
}

/// A part of an export on its way.
struct Part {
    records: Vec<Record>,
    bytes: usize,
    limit: usize,
}

impl Part {
    fn is_full(&self) -> bool {
        self.records.len() >= self.limit || self.bytes >= MAX_BYTES
    }

    fn add(&mut self, record: Record, bytes: usize) {
        self.records.push(record);
        self.bytes += bytes;
    }
}

pub(super) fn export(
    db: &Connection,
    retention: &Retention,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Record>, Fault> {
    let mut position = cursor.map_or(Ok(Position::FIRST), Position::read)?;
    let mut part = Part { records: Vec::new(), bytes: 0, limit: limit.clamp(1, MAX_RECORDS) };
    loop {
        let reached = match &position {
            Position::Versions(after) => versions(db, *after, &mut part)?,
            Position::Queues(after) => queues(db, *after, &mut part)?,
            Position::Recurring(after) => entries(db, after, &mut part)?,
            Position::Counters { grain, at, handler } => rows(db, (*grain, *at, *handler), &mut part)?,
            Position::Jobs(after) => jobs(db, retention, *after, &mut part)?,
        };
        // Where the part is full, the next one finds out whether there is more of this kind.
        match reached.or_else(|| position.next_kind()) {
            Some(next) if part.is_full() => return Ok(Page::new(part.records, Some(next.write()))),
            Some(next) => position = next,
            None => return Ok(Page::new(part.records, None)),
        }
    }
}

fn versions(db: &Connection, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT n, versions.module, versions.digest, version, sdk, handlers, deployed_at,
             versions.n = coalesce(modules.active, -1), components.bytes
         FROM versions LEFT JOIN modules ON modules.name = versions.module
         LEFT JOIN components ON components.digest = versions.digest WHERE n > ?1 ORDER BY n",
    )?;
    let mut rows = query.query([after])?;
    while let Some(row) = rows.next()? {
        let digest = words::digest(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("version {digest}"), why);
        let component = row.get::<_, Option<Vec<u8>>>(8)?.ok_or_else(|| damaged(&"its component is not there"))?;
        let handlers = serde_json::from_str(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?);
        let bytes = component.len();
        let record = VersionRecord {
            module: row.get::<_, String>(1)?.parse().map_err(|error| damaged(&error))?,
            digest,
            version: row.get(3)?,
            sdk: row.get(4)?,
            handlers: handlers.map_err(|error| damaged(&error))?,
            deployed_at: Timestamp(row.get(6)?),
            active: row.get(7)?,
            component,
        };
        part.add(Record::Version(record), bytes);
        if part.is_full() {
            return Ok(Some(Position::Versions(row.get(0)?)));
        }
    }
    Ok(None)
}

fn queues(db: &Connection, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let mut query = db.prepare_cached("SELECT n, name, paused FROM queues WHERE paused AND n > ?1 ORDER BY n")?;
    let mut rows = query.query([after])?;
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(1)?.parse().map_err(|error| Fault::damaged("a queue", error))?;
        part.add(Record::Queue(QueueRecord { name, paused: row.get(2)? }), 0);
        if part.is_full() {
            return Ok(Some(Position::Queues(row.get(0)?)));
        }
    }
    Ok(None)
}

fn entries(db: &Connection, after: &str, part: &mut Part) -> Result<Option<Position>, Fault> {
    let (entries, _) = recurring::after(db, after, part.limit - part.records.len())?;
    for entry in entries {
        let (name, bytes) = (entry.name.to_string(), entry.definition.as_str().len());
        part.add(Record::Recurring(entry), bytes);
        if part.is_full() {
            return Ok(Some(Position::Recurring(name)));
        }
    }
    Ok(None)
}

fn rows(db: &Connection, after: (i64, i64, i64), part: &mut Part) -> Result<Option<Position>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {}, grain, handler FROM counters JOIN handlers ON handlers.n = counters.handler
         WHERE (grain, counters.at, handler) > (?1, ?2, ?3) ORDER BY grain, counters.at, handler",
        counters::COLUMNS,
    ))?;
    let mut rows = query.query(after)?;
    while let Some(row) = rows.next()? {
        let (grain, handler) = (row.get(11)?, row.get(12)?);
        let counted = counters::read(row)?;
        let position = Position::Counters { grain, at: counted.at.0, handler };
        part.add(Record::Counter(CounterRecord { grain: Grain::from_number(grain)?, row: counted }), 0);
        if part.is_full() {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

fn jobs(db: &Connection, retention: &Retention, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let mut query = db.prepare_cached("SELECT seq FROM jobs WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = query.query([after])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        let Some(Shown { job, detail }) = show::shown(db, retention, seq)? else { continue };
        let checkpoints = checkpoints(db, seq)?;
        let logs = logs(db, seq)?;
        let mut bytes =
            detail.payload.as_str().len() + detail.result.as_ref().map_or(0, |result| result.as_str().len());
        bytes += checkpoints.iter().map(|(key, value)| key.len() + value.as_str().len()).sum::<usize>();
        bytes += logs.iter().map(|line| line.message.len()).sum::<usize>();
        part.add(Record::Job(Box::new(JobRecord { detail, losses: job.losses, checkpoints, logs })), bytes);
        if part.is_full() {
            return Ok(Some(Position::Jobs(seq)));
        }
    }
    Ok(None)
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
            Position::Recurring("nightly".into()),
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
