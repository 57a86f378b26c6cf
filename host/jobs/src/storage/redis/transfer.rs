//! Moving everything to another storage, and from one.

use std::collections::BTreeMap;

use redis::Cmd;
use windlass_api::{Grain, HandlerPath, HistoryLine, JobFilter, Json, Page, ServerId, State, Timestamp, Usage};

use super::{
    RedisStorage, answer,
    bytes::{cut, mode_number},
    fault::damaged,
    history::{Kept, Run},
    list::{Cursor, Search},
    modules::{Rehomed, handlers_json},
    notes::{encode_line, encode_progress, line_bytes},
    queues::{grain_letter, numbers},
    record::{Record, encode_wide, id},
    recurring, script,
};
use crate::storage::{CounterRecord, JobRecord, QueueRecord, Record as Exported, Signal, StorageError, VersionRecord};

/// No page holds more records.
const MAX_PAGE: usize = 500;

/// A page ends when it holds so much: 8 MiB.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// What comes one after the other, and where a page goes on.
enum Place {
    /// The versions from this one on, by module and then the oldest first.
    Versions(usize),
    /// The queues after this one.
    Queues(String),
    /// The entries after this one.
    Recurring(Option<String>),
    /// The spans of this length from this instant on, without so many rows of the first one.
    Counters(Grain, i64, usize),
    Jobs(Option<Cursor>),
}

impl Place {
    fn parse(text: Option<&str>) -> Result<Self, StorageError> {
        let Some(text) = text else { return Ok(Self::Versions(0)) };
        Self::read(text).ok_or_else(|| StorageError::InvalidCursor(text.chars().take(80).collect()))
    }

    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let counters = |grain| {
            let (from, without) = rest.split_once('+')?;
            Some(Self::Counters(grain, from.parse().ok()?, without.parse().ok()?))
        };
        match kind {
            "versions" => Some(Self::Versions(rest.parse().ok()?)),
            "queues" => Some(Self::Queues(rest.to_owned())),
            "recurring" => Some(Self::Recurring((!rest.is_empty()).then(|| rest.to_owned()))),
            "minutes" => counters(Grain::Minute),
            "hours" => counters(Grain::Hour),
            "jobs" if rest.is_empty() => Some(Self::Jobs(None)),
            "jobs" => Some(Self::Jobs(Some(Cursor::parse(rest).ok()?))),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Versions(at) => format!("versions:{at}"),
            Self::Queues(after) => format!("queues:{after}"),
            Self::Recurring(after) => format!("recurring:{}", after.as_deref().unwrap_or_default()),
            Self::Counters(Grain::Minute, from, without) => format!("minutes:{from}+{without}"),
            Self::Counters(Grain::Hour, from, without) => format!("hours:{from}+{without}"),
            Self::Jobs(cursor) => format!("jobs:{}", cursor.as_ref().map(Cursor::shown).unwrap_or_default()),
        }
    }
}

/// A page that fills.
struct Filling {
    records: Vec<Exported>,
    bytes: usize,
    limit: usize,
}

impl Filling {
    fn room(&self) -> usize {
        self.limit - self.records.len()
    }

    fn is_full(&self) -> bool {
        self.room() == 0 || self.bytes >= PAGE_BYTES
    }

    fn push(&mut self, record: Exported, bytes: usize) {
        self.records.push(record);
        self.bytes += bytes;
    }
}

impl RedisStorage {
    pub(super) async fn export_page(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Exported>, StorageError> {
        let mut page = Filling { records: Vec::new(), bytes: 0, limit: limit.clamp(1, MAX_PAGE) };
        let mut place = Some(Place::parse(cursor)?);
        while !page.is_full() {
            place = match place {
                Some(Place::Versions(from)) => Some(self.export_versions(from, &mut page).await?),
                Some(Place::Queues(after)) => Some(self.export_queues(&after, &mut page).await?),
                Some(Place::Recurring(after)) => {
                    let entries = self.recurring_page(after.as_deref(), page.room()).await?;
                    for entry in entries.items {
                        page.push(Exported::Recurring(entry), 0);
                    }
                    Some(match entries.next {
                        Some(next) => Place::Recurring(Some(next)),
                        None => Place::Counters(Grain::Minute, i64::MIN, 0),
                    })
                }
                Some(Place::Counters(grain, from, without)) => {
                    Some(self.export_counters(grain, from, without, &mut page).await?)
                }
                Some(Place::Jobs(cursor)) => self.export_jobs(cursor, &mut page).await?,
                None => break,
            };
        }
        Ok(Page::new(page.records, place.map(|place| place.shown())))
    }

    async fn export_versions(&self, from: usize, page: &mut Filling) -> Result<Place, StorageError> {
        let mut rows = self.versions(None).await?;
        // They are stored in the order in which they were deployed, so that the newest comes last.
        rows.reverse();
        for (at, row) in rows.into_iter().enumerate().skip(from) {
            if page.is_full() {
                return Ok(Place::Versions(at));
            }
            let digest = row.view.digest;
            let component = self.bytes_of(digest).await?;
            let component =
                component.ok_or_else(|| damaged(format_args!("the component {digest}"), "it is missing"))?;
            let (bytes, view) = (component.len(), row.view);
            let record = VersionRecord {
                module: row.module,
                digest,
                version: view.version,
                sdk: view.sdk,
                handlers: view.handlers,
                deployed_at: view.deployed_at,
                active: view.active,
                component,
            };
            page.push(Exported::Version(record), bytes);
        }
        Ok(Place::Queues(String::new()))
    }

    async fn export_queues(&self, after: &str, page: &mut Filling) -> Result<Place, StorageError> {
        let mut last = after.to_owned();
        for queue in self.all_queues().await?.into_iter().filter(|queue| queue.paused && queue.name.as_str() > after) {
            if page.is_full() {
                return Ok(Place::Queues(last));
            }
            last = queue.name.to_string();
            page.push(Exported::Queue(QueueRecord { name: queue.name, paused: true }), 0);
        }
        Ok(Place::Recurring(None))
    }

    async fn export_counters(
        &self,
        grain: Grain,
        from: i64,
        mut without: usize,
        page: &mut Filling,
    ) -> Result<Place, StorageError> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        let least = if from == i64::MIN { "-inf".to_owned() } else { from.to_string() };
        command.arg(format!("{}spans:{}", self.prefix, grain_letter(grain))).arg(least).arg("+inf");
        // One more than there is room for shows whether there are any left.
        command.arg("LIMIT").arg(0).arg(page.room() + 1);
        let mut spans = answer::List::of(self.link.ask(&command).await?)?;
        while !spans.is_empty() {
            let at = spans.number::<i64>()?;
            let query = windlass_api::CounterQuery {
                grain,
                from: Timestamp(at),
                before: Timestamp(at.saturating_add(1)),
                module: None,
                handler: None,
            };
            for (n, row) in self.happened(&query).await?.into_iter().enumerate().skip(without) {
                if page.is_full() {
                    return Ok(Place::Counters(grain, at, n));
                }
                page.push(Exported::Counter(CounterRecord { grain, row }), 0);
            }
            without = 0;
        }
        Ok(match grain {
            Grain::Minute => Place::Counters(Grain::Hour, i64::MIN, 0),
            Grain::Hour => Place::Jobs(None),
        })
    }

    async fn export_jobs(&self, cursor: Option<Cursor>, page: &mut Filling) -> Result<Option<Place>, StorageError> {
        let filter = JobFilter::default();
        let mut search = Search::of_all(&filter, cursor.clone());
        let slice = self.slice(&mut search, page.room(), "ids").await?;
        let is_last = slice.is_last;
        let (mut ids, mut reached) = (slice.into_rest(), cursor);
        while !ids.is_empty() {
            if page.is_full() {
                return Ok(Some(Place::Jobs(reached)));
            }
            let job = id(&ids.bytes()?)?;
            match self.export_job(job).await {
                Ok(Some((seq, record))) => {
                    let bytes = size_of_record(&record);
                    page.push(Exported::Job(Box::new(record)), bytes);
                    reached = Some(Cursor::at(seq, job));
                }
                // It was removed since.
                Ok(None) => {}
                Err(StorageError::Damaged(why)) => tracing::error!(%job, %why, "a damaged job is not exported"),
                Err(error) => return Err(error),
            }
        }
        Ok(if is_last { None } else { Some(Place::Jobs(search.cursor().cloned())) })
    }

    async fn export_job(&self, job: windlass_api::JobId) -> Result<Option<(i64, JobRecord)>, StorageError> {
        let Some(whole) = self.whole(job).await? else { return Ok(None) };
        let checkpoints = self.all_checkpoints(job).await?.into_iter().collect::<BTreeMap<String, Json>>();
        let logs = self.whole_log(job).await?;
        let record = JobRecord { detail: whole.detail, losses: whole.record.losses, checkpoints, logs };
        Ok(Some((whole.record.seq, record)))
    }

    pub(super) async fn import_records(&self, records: &[Exported]) -> Result<usize, StorageError> {
        let now = self.now().await?;
        for record in records {
            if let Exported::Version(version) = record {
                self.put_component(version.digest, &version.component).await?;
            }
        }
        let mut call = self.call(&script::IMPORT);
        call.arg(records.len());
        for record in records {
            put_record(&mut call.command, record, now)?;
        }
        let new = answer::number::<i64>(self.run(call).await?)?;
        self.hub.tell(Signal::Work);
        for record in records {
            if let Exported::Version(version) = record
                && version.active
            {
                // Jobs that are here may have waited for what it brings.
                for spec in &version.handlers {
                    let path = format!("{}/{}", version.module, spec.name);
                    self.rehome(&path, mode_number(spec.mode).into(), Rehomed::Waiting).await?;
                }
            }
        }
        if records.iter().any(|record| matches!(record, Exported::Version(_))) {
            self.hub.tell(Signal::Modules);
        }
        Ok(usize::try_from(new).unwrap_or(0))
    }
}

/// About how much a record takes.
fn size_of_record(record: &JobRecord) -> usize {
    let values = record.checkpoints.values().map(|value| value.as_str().len()).sum::<usize>();
    let lines = record.logs.iter().map(line_bytes).sum::<usize>();
    record.detail.payload.as_str().len() + values + lines + 1024
}

/// Appends a record to a command, as `import.lua` says.
fn put_record(command: &mut Cmd, record: &Exported, now: Timestamp) -> Result<(), StorageError> {
    match record {
        Exported::Version(version) => {
            command
                .arg("V")
                .arg(version.module.as_str())
                .arg(&version.digest.0)
                .arg(version.component.len())
                .arg(&version.version)
                .arg(&version.sdk)
                .arg(handlers_json(&version.handlers)?)
                .arg(version.deployed_at.0)
                .arg(u8::from(version.active))
                .arg(version.handlers.len());
            for spec in &version.handlers {
                command.arg(format!("{}/{}", version.module, spec.name)).arg(mode_number(spec.mode));
            }
        }
        Exported::Queue(queue) => {
            command.arg("Q").arg(queue.name.as_str()).arg(u8::from(queue.paused));
        }
        Exported::Recurring(entry) => {
            let (kept, due) = recurring::encode(entry)?;
            command.arg("R").arg(entry.name.as_str()).arg(format!("{} {kept}", entry.revision)).arg(due);
        }
        Exported::Counter(CounterRecord { grain, row }) => {
            let path = HandlerPath { module: row.module.clone(), handler: row.handler.clone() };
            let counted = numbers(row).into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
            command.arg("N").arg(grain_letter(*grain)).arg(row.at.0).arg(path.to_string()).arg(counted.len());
            for (what, count) in counted {
                command.arg(what).arg(count.min(1 << 62));
            }
        }
        Exported::Job(job) => put_job_record(command, job, now)?,
    }
    Ok(())
}

fn put_job_record(command: &mut Cmd, exported: &JobRecord, now: Timestamp) -> Result<(), StorageError> {
    let detail = &exported.detail;
    let job = &detail.job;
    let first = detail.history.first();
    let by = first.map_or("import", |line| line.by.as_str());
    let wide = encode_wide(&job.tags, &detail.payload, (cut(by), &detail.headers, &detail.retry, detail.timeout_ms))?;
    let mut kept = kept_lines(&detail.history);
    let mut record = Record {
        state: job.state,
        mode: job.mode,
        priority: job.priority.min(9),
        // What was asked of a job that ended by it stands in its reason.
        ask: match (job.cancel_requested, job.reason.as_deref()) {
            (false, _) => 0,
            (true, Some("deleted")) => 2,
            (true, _) => 1,
        },
        born: first.map_or(job.state, |line| line.to),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        run: job.run,
        losses: exported.losses,
        lines: 0,
        ended: 0,
        log_bytes: 0,
        seq: 0,
        created_at: job.created_at,
        at: job.run_at.or(job.finished_at).or(detail.history.last().map(|line| line.at)).unwrap_or(job.created_at),
        ready_at: ready_at(&detail.history).unwrap_or(job.created_at),
        started_at: job.started_at,
        server: None,
        version: job.version,
        queue: job.queue.clone(),
        path: HandlerPath { module: job.module.clone(), handler: job.handler.clone() },
        reason: job.reason.clone(),
        asked_by: String::new(),
    };
    if job.state == State::Processing {
        kept.push(come_back(&mut record, job.server, now));
    }
    record.lines = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    if job.usage.is_some() || job.state == State::Processing {
        let last_run = kept.iter().rposition(|line| line.run.is_some());
        record.ended = last_run.and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0);
    }
    let log_bytes = exported.logs.iter().map(line_bytes).sum::<usize>();
    record.log_bytes = u32::try_from(log_bytes).unwrap_or(u32::MAX);
    let mut history = Vec::new();
    for line in &kept {
        line.write(&mut history).map_err(|error| damaged(format_args!("job {}", job.id), error))?;
    }
    let progress =
        job.progress.as_ref().map(|progress| [job.run.to_be_bytes().as_slice(), &encode_progress(progress)].concat());
    command
        .arg("J")
        .arg(job.id.0.as_bytes())
        .arg(record.encode())
        .arg(wide)
        .arg(history)
        .arg(u8::from(detail.result.is_some()))
        .arg(detail.result.as_ref().map_or("", Json::as_str))
        .arg(progress.unwrap_or_default())
        .arg(exported.checkpoints.len());
    for (key, value) in &exported.checkpoints {
        command.arg(key).arg(value.as_str());
    }
    command.arg(exported.logs.len());
    for line in &exported.logs {
        command.arg(encode_line(line));
    }
    Ok(())
}

/// Brings a job back to its line whose server is not here; where its cancel was asked for, it is deleted.
fn come_back(record: &mut Record, server: Option<ServerId>, now: Timestamp) -> Kept {
    let run = Run {
        run: record.run,
        attempt: record.attempt,
        started_at: record.started_at.unwrap_or(record.at),
        server: server.unwrap_or(ServerId(uuid::Uuid::nil())),
        usage: Usage::default(),
        failure: None,
    };
    record.attempt = record.attempt.saturating_sub(1);
    let (state, reason) = if record.ask == 0 { (State::Enqueued, "imported") } else { (State::Deleted, "cancelled") };
    (record.state, record.at, record.reason) = (state, now, Some(reason.to_owned()));
    let by = "import".to_owned();
    Kept { from: State::Processing, to: state, at: now, by, reason: record.reason.clone(), run: Some(run) }
}

/// When a job came to the end of its line last: by being made, being due, being asked for anew.
fn ready_at(history: &[HistoryLine]) -> Option<Timestamp> {
    let to_the_end = |line: &&HistoryLine| line.to == State::Enqueued && line.from != Some(State::Processing);
    history.iter().rev().find(to_the_end).map(|line| line.at)
}

/// The lines of a history as they are kept: without the first one, and each run as one.
fn kept_lines(history: &[HistoryLine]) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut begun = None::<&HistoryLine>;
    for line in history.iter().skip(1) {
        if line.to == State::Processing {
            begun = Some(line);
            continue;
        }
        let run = line.run.map(|run| {
            let begun = begun.take().filter(|begun| begun.run == line.run);
            let server = begun.and_then(|begun| begun.by.strip_prefix("server ")?.parse::<ServerId>().ok());
            Run {
                run,
                attempt: line.attempt.unwrap_or(0),
                started_at: begun.map_or(line.at, |begun| begun.at),
                server: server.unwrap_or(ServerId(uuid::Uuid::nil())),
                usage: line.usage.unwrap_or_default(),
                failure: line.failure.clone(),
            }
        });
        let own = run.as_ref().is_some_and(|run| line.by == format!("server {}", run.server));
        kept.push(Kept {
            from: line.from.unwrap_or(State::Enqueued),
            to: line.to,
            at: line.at,
            by: if own { String::new() } else { line.by.clone() },
            reason: line.reason.clone(),
            run,
        });
    }
    kept
}
