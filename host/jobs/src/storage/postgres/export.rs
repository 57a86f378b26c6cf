//! Everything that the database holds, as records.

use std::collections::{BTreeMap, HashMap};

use sqlx::Row;
use windlass_api::{Grain, Json, LogLevel, LogLine, Page, Timestamp};

use super::{
    audit,
    fault::Fault,
    limits, number,
    queues::{COUNTER, read_counter},
    schedule, show,
    tx::Tx,
    words::{self, Word, amount, count, unsigned},
};
use crate::storage::{AuditRecord, CounterRecord, JobRecord, LimitRecord, QueueRecord, Record, VersionRecord};

/// No part of an export carries more, in bytes of what is large in it, except for a single record that does.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// No part of an export has more records.
pub(super) const MAX_RECORDS: usize = 1_000;

/// How many jobs are read at once: few enough that they fit into memory whatever they hold.
const JOBS: usize = 25;

/// Where an export goes on: after which record of which kind.
pub(super) enum Position {
    Versions(i32),
    Queues(i32),
    Limits(String),
    Recurring(String),
    Counters(i16, i64, i32),
    Audit(i64),
    Jobs(i64),
    /// Jobs that wait, run or have ended, and whose own record is not there.
    Lost(i64),
}

/// The first one after a number.
pub(super) const LOST: &str = "
SELECT s.seq, s.id FROM (
    SELECT seq, id FROM @live WHERE seq > $1 UNION ALL SELECT seq, NULL FROM @ended WHERE seq > $1) s
WHERE NOT EXISTS (SELECT 1 FROM @jobs j WHERE j.seq = s.seq) ORDER BY s.seq LIMIT 1";

impl Position {
    pub(super) const FIRST: Self = Self::Versions(0);

    pub(super) fn read(cursor: &str) -> Result<Self, Fault> {
        let parsed = || {
            let (kind, rest) = cursor.split_once(':')?;
            Some(match kind {
                "versions" => Self::Versions(rest.parse().ok()?),
                "queues" => Self::Queues(rest.parse().ok()?),
                "limits" => Self::Limits(rest.to_owned()),
                "recurring" => Self::Recurring(rest.to_owned()),
                "counters" => {
                    let mut numbers = rest.splitn(3, ':');
                    let (grain, at) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
                    Self::Counters(grain, at, numbers.next()?.parse().ok()?)
                }
                "audit" => Self::Audit(rest.parse().ok()?),
                "jobs" => Self::Jobs(rest.parse().ok()?),
                "lost" => Self::Lost(rest.parse().ok()?),
                _ => return None,
            })
        };
        parsed().ok_or_else(|| Fault::cursor(cursor))
    }

    pub(super) fn write(&self) -> String {
        match self {
            Self::Versions(n) => format!("versions:{n}"),
            Self::Queues(n) => format!("queues:{n}"),
            Self::Limits(target) => format!("limits:{target}"),
            Self::Recurring(name) => format!("recurring:{name}"),
            Self::Counters(grain, at, handler) => format!("counters:{grain}:{at}:{handler}"),
            Self::Audit(n) => format!("audit:{n}"),
            Self::Jobs(n) => format!("jobs:{n}"),
            Self::Lost(n) => format!("lost:{n}"),
        }
    }

    /// Before the first record of the next kind.
    pub(super) fn next_kind(&self) -> Option<Self> {
        match self {
            Self::Versions(_) => Some(Self::Queues(0)),
            Self::Queues(_) => Some(Self::Limits(String::new())),
            Self::Limits(_) => Some(Self::Recurring(String::new())),
            Self::Recurring(_) => Some(Self::Counters(-1, 0, 0)),
            Self::Counters(..) => Some(Self::Audit(-1)),
            Self::Audit(_) => Some(Self::Jobs(-1)),
            Self::Jobs(_) => Some(Self::Lost(-1)),
            Self::Lost(_) => None,
        }
    }

    /// What comes behind it of its kind.
    pub(super) fn rest(&self) -> String {
        match self {
            Self::Versions(n) => format!("the versions of modules after number {n}"),
            Self::Queues(n) => format!("the queues after number {n}"),
            Self::Limits(target) if target.is_empty() => "the limits".to_owned(),
            Self::Limits(target) => format!("the limits after {target}"),
            Self::Recurring(name) if name.is_empty() => "the recurring jobs".to_owned(),
            Self::Recurring(name) => format!("the recurring jobs after {name}"),
            Self::Counters(..) => "the rest of the counters".to_owned(),
            Self::Audit(n) => format!("the audit log after entry {n}"),
            Self::Jobs(n) => format!("the jobs that were made after {}", number::instant_of((*n).max(0))),
            Self::Lost(_) => "jobs whose own record is not there, if there are any".to_owned(),
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

    fn room(&self) -> i64 {
        amount(self.limit - self.records.len())
    }

    fn add(&mut self, record: Record, bytes: usize) {
        self.records.push(record);
        self.bytes += bytes;
    }
}

pub(super) async fn export(tx: &mut Tx<'_>, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, Fault> {
    let mut position = cursor.map_or(Ok(Position::FIRST), Position::read)?;
    let mut part = Part { records: Vec::new(), bytes: 0, limit: limit.clamp(1, MAX_RECORDS) };
    loop {
        let reached = match &position {
            Position::Versions(after) => versions(tx, *after, &mut part).await?,
            Position::Queues(after) => queues(tx, *after, &mut part).await?,
            Position::Limits(after) => limits(tx, after, &mut part).await?,
            Position::Recurring(after) => entries(tx, after, &mut part).await?,
            Position::Counters(grain, at, handler) => counters(tx, (*grain, *at, *handler), &mut part).await?,
            Position::Audit(after) => audit(tx, *after, &mut part).await?,
            Position::Jobs(after) => jobs(tx, *after, &mut part).await?,
            Position::Lost(after) => none_is_lost(tx, *after).await?,
        };
        // Where the part is full, the next one finds out whether there is more of this kind.
        match reached.or_else(|| position.next_kind()) {
            Some(next) if part.is_full() => return Ok(Page::new(part.records, Some(next.write()))),
            Some(next) => position = next,
            None => return Ok(Page::new(part.records, None)),
        }
    }
}

async fn versions(tx: &mut Tx<'_>, after: i32, part: &mut Part) -> Result<Option<Position>, Fault> {
    let mut last = after;
    loop {
        // One at a time: a component may be large.
        let query = tx
            .query(
                "SELECT v.n, v.module, v.digest, v.version, v.sdk, v.handlers, v.deployed_at,
                     coalesce(v.n = m.active, false), c.bytes, v.canary_percent
                 FROM (SELECT * FROM @versions WHERE n > $1 AND retired_at IS NULL ORDER BY n LIMIT 1) v
                 LEFT JOIN LATERAL (SELECT active FROM @modules WHERE name = v.module LIMIT 1) m ON true
                 LEFT JOIN LATERAL (SELECT bytes FROM @components WHERE digest = v.digest LIMIT 1) c ON true",
            )
            .bind(last);
        let Some(row) = tx.first(query).await? else { return Ok(None) };
        last = row.try_get(0)?;
        let digest = words::digest(row.try_get(2)?)?;
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("version {digest}"), why);
        let component = row.try_get::<Option<Vec<u8>>, _>(8)?.ok_or_else(|| damaged(&"its component is not there"))?;
        let bytes = component.len();
        let record = VersionRecord {
            module: row.try_get::<&str, _>(1)?.parse().map_err(|error| damaged(&error))?,
            digest,
            version: row.try_get(3)?,
            sdk: row.try_get(4)?,
            handlers: serde_json::from_str(row.try_get(5)?).map_err(|error| damaged(&error))?,
            deployed_at: Timestamp(row.try_get(6)?),
            active: row.try_get(7)?,
            canary_percent: row.try_get::<Option<i16>, _>(9)?.map(|percent| u8::try_from(percent).unwrap_or(u8::MAX)),
            component,
        };
        part.add(Record::Version(record), bytes);
        if part.is_full() {
            return Ok(Some(Position::Versions(last)));
        }
    }
}

async fn queues(tx: &mut Tx<'_>, after: i32, part: &mut Part) -> Result<Option<Position>, Fault> {
    let query = tx.query("SELECT n, name FROM @queues WHERE paused AND n > $1 ORDER BY n LIMIT $2");
    let query = query.bind(after).bind(part.room());
    for row in tx.all(query).await? {
        let name = row.try_get::<&str, _>(1)?.parse().map_err(|error| Fault::damaged("a queue", error))?;
        part.add(Record::Queue(QueueRecord { name, paused: true }), 0);
        if part.is_full() {
            return Ok(Some(Position::Queues(row.try_get(0)?)));
        }
    }
    Ok(None)
}

async fn limits(tx: &mut Tx<'_>, after: &str, part: &mut Part) -> Result<Option<Position>, Fault> {
    for (text, rule) in limits::after(tx, after, part.limit - part.records.len()).await? {
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("limit {text}"), why);
        let target = text.parse().map_err(|error| damaged(&error))?;
        rule.check().map_err(|error| damaged(&error))?;
        part.add(Record::Limit(LimitRecord { target, rule }), 0);
        if part.is_full() {
            return Ok(Some(Position::Limits(text)));
        }
    }
    Ok(None)
}

async fn audit(tx: &mut Tx<'_>, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let query = tx
        .query(
            "SELECT n, entry, CASE WHEN imported > 0 THEN imported ELSE n END FROM @audit a WHERE n > $1 ORDER BY a.n LIMIT $2",
        )
        .bind(after)
        .bind(part.room());
    for row in tx.all(query).await? {
        let (n, text) = (row.try_get::<i64, _>(0)?, row.try_get::<&str, _>(1)?);
        let number = unsigned(row.try_get(2)?);
        part.add(Record::Audit(AuditRecord { number, entry: audit::read(n, text)? }), text.len());
        if part.is_full() {
            return Ok(Some(Position::Audit(n)));
        }
    }
    Ok(None)
}

async fn entries(tx: &mut Tx<'_>, after: &str, part: &mut Part) -> Result<Option<Position>, Fault> {
    let (entries, has_more) = schedule::after(tx, after, part.limit - part.records.len()).await?;
    let mut last = None;
    for entry in entries {
        let (name, bytes) = (entry.name.to_string(), entry.definition.as_str().len());
        part.add(Record::Recurring(entry), bytes);
        if part.is_full() {
            return Ok(Some(Position::Recurring(name)));
        }
        last = Some(name);
    }
    Ok(last.filter(|_| has_more).map(Position::Recurring))
}

async fn counters(tx: &mut Tx<'_>, after: (i16, i64, i32), part: &mut Part) -> Result<Option<Position>, Fault> {
    let sql = format!(
        "SELECT {COUNTER}, c.grain, c.handler
         FROM (SELECT * FROM @counters WHERE (grain, at, handler) > ($1, $2, $3) ORDER BY grain, at, handler LIMIT $4) c
         LEFT JOIN LATERAL (SELECT module, name FROM @handlers WHERE n = c.handler LIMIT 1) h ON true
         ORDER BY c.grain, c.at, c.handler"
    );
    let query = tx.query_of(&sql).bind(after.0).bind(after.1).bind(after.2).bind(part.room());
    for row in tx.all(query).await? {
        let (grain, handler) = (row.try_get(11)?, row.try_get(12)?);
        let counted = read_counter(&row)?;
        let position = Position::Counters(grain, counted.at.0, handler);
        part.add(Record::Counter(CounterRecord { grain: Grain::from_number(grain)?, row: counted }), 0);
        if part.is_full() {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

async fn jobs(tx: &mut Tx<'_>, after: i64, part: &mut Part) -> Result<Option<Position>, Fault> {
    let mut last = after;
    loop {
        let query = tx.query("SELECT seq FROM @jobs WHERE seq > $1 ORDER BY seq LIMIT $2");
        let query = query.bind(last).bind(part.room().min(amount(JOBS)));
        let mut seqs = Vec::<i64>::new();
        for row in tx.all(query).await? {
            seqs.push(row.try_get(0)?);
        }
        if seqs.is_empty() {
            return Ok(None);
        }
        let mut checkpoints = checkpoints(tx, &seqs).await?;
        let mut logs = logs(tx, &seqs).await?;
        for whole in show::details(tx, &seqs).await? {
            let (detail, seq) = (whole.detail, whole.seq);
            let checkpoints = checkpoints.remove(&seq).unwrap_or_default();
            let logs = logs.remove(&seq).unwrap_or_default();
            let mut bytes =
                detail.payload.as_str().len() + detail.result.as_ref().map_or(0, |result| result.as_str().len());
            bytes += checkpoints.iter().map(|(key, value)| key.len() + value.as_str().len()).sum::<usize>();
            bytes += logs.iter().map(|line| line.message.len()).sum::<usize>();
            let record = JobRecord {
                detail,
                losses: whole.losses,
                checkpoints,
                logs,
                waits_for: whole.waits_for,
                start: whole.start,
                holds_key: whole.holds_key,
            };
            part.add(Record::Job(Box::new(record)), bytes);
            last = seq;
            if part.is_full() {
                return Ok(Some(Position::Jobs(last)));
            }
        }
        last = seqs.last().copied().unwrap_or(last);
    }
}

/// Fails where there is a job whose own record is not there, as after a restore of some of the tables.
async fn none_is_lost(tx: &mut Tx<'_>, after: i64) -> Result<Option<Position>, Fault> {
    let query = tx.query(LOST).bind(after);
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let name = number::name(row.try_get(0)?, row.try_get(1)?);
    Err(Fault::damaged(name, "its record is not there, although it is known that it was stored"))
}

async fn checkpoints(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<HashMap<i64, BTreeMap<String, Json>>, Fault> {
    let query = tx.query("SELECT seq, key, value FROM @checkpoints WHERE seq = ANY($1::bigint[])").bind(seqs.to_vec());
    let mut checkpoints = HashMap::<i64, BTreeMap<String, Json>>::new();
    for row in tx.all(query).await? {
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged("a checkpoint", why);
        let key = String::from_utf8(row.try_get(1)?).map_err(|error| damaged(&error))?;
        let value = serde_json::from_str(row.try_get(2)?).map_err(|error| damaged(&error))?;
        checkpoints.entry(row.try_get(0)?).or_default().insert(key, value);
    }
    Ok(checkpoints)
}

async fn logs(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<HashMap<i64, Vec<LogLine>>, Fault> {
    let query = tx
        .query("SELECT seq, run, at, level, message, fields FROM @logs WHERE seq = ANY($1::bigint[]) ORDER BY seq, n")
        .bind(seqs.to_vec());
    let mut logs = HashMap::<i64, Vec<LogLine>>::new();
    for row in tx.all(query).await? {
        let fields = row.try_get::<Option<&str>, _>(5)?.map(serde_json::from_str).transpose();
        logs.entry(row.try_get(0)?).or_default().push(LogLine {
            run: count(row.try_get(1)?),
            at: Timestamp(row.try_get(2)?),
            level: LogLevel::from_number(row.try_get(3)?)?,
            message: row.try_get(4)?,
            fields: fields.map_err(|error| Fault::damaged("a log line", error))?,
        });
    }
    Ok(logs)
}
