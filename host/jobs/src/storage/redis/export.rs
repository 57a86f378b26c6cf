//! Everything that is held, as records for another storage.

use std::collections::BTreeMap;

use windlass_api::{Digest, Grain, JobFilter, JobId, Json, Page, State, Timestamp};

use super::{
    RedisStorage, answer,
    audit::Kept,
    fault::damaged,
    history::PARENTS,
    list::{Cursor, Search},
    notes::line_bytes,
    queues::grain_letter,
    record::id,
};
use crate::{
    Start,
    storage::{
        AuditRecord, CounterRecord, ExportPart, JobRecord, LimitRecord, QueueRecord, Record as Exported, StorageError,
        VersionRecord,
    },
};

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
    /// The limits from this one on, in the order of their targets.
    Limits(usize),
    /// The entries after this one.
    Recurring(Option<String>),
    /// The spans of this length from this instant on, without so many rows of the first one.
    Counters(Grain, i64, usize),
    /// The entries after this number.
    Audit(u64),
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
            "limits" => Some(Self::Limits(rest.parse().ok()?)),
            "recurring" => Some(Self::Recurring((!rest.is_empty()).then(|| rest.to_owned()))),
            "minutes" => counters(Grain::Minute),
            "hours" => counters(Grain::Hour),
            "audit" => Some(Self::Audit(rest.parse().ok()?)),
            "jobs" if rest.is_empty() => Some(Self::Jobs(None)),
            "jobs" => Some(Self::Jobs(Some(Cursor::parse(rest).ok()?))),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Versions(at) => format!("versions:{at}"),
            Self::Queues(after) => format!("queues:{after}"),
            Self::Limits(at) => format!("limits:{at}"),
            Self::Recurring(after) => format!("recurring:{}", after.as_deref().unwrap_or_default()),
            Self::Counters(Grain::Minute, from, without) => format!("minutes:{from}+{without}"),
            Self::Counters(Grain::Hour, from, without) => format!("hours:{from}+{without}"),
            Self::Audit(after) => format!("audit:{after}"),
            Self::Jobs(cursor) => format!("jobs:{}", cursor.as_ref().map(Cursor::shown).unwrap_or_default()),
        }
    }
}

/// A part that fills.
struct Filling {
    records: Vec<Exported>,
    skipped: Vec<String>,
    bytes: usize,
    limit: usize,
}

impl Filling {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.records.len() + self.skipped.len())
    }

    fn is_full(&self) -> bool {
        self.room() == 0 || self.bytes >= PAGE_BYTES
    }

    fn push(&mut self, record: Exported, bytes: usize) {
        self.records.push(record);
        self.bytes += bytes;
    }

    /// Adds what was read, or else why it was not, where that is because it is damaged.
    fn add<T>(&mut self, read: Result<T, StorageError>, name: &str) -> Result<Option<T>, StorageError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(StorageError::Damaged(why)) => {
                self.skipped.push(if why.starts_with(name) { why } else { format!("{name}: {why}") });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl RedisStorage {
    /// Gives what is held, and refuses where anything of the page cannot be read.
    pub(super) async fn export_page(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Exported>, StorageError> {
        let ExportPart { items, next, skipped } = self.export_part(cursor, limit).await?;
        match skipped.into_iter().next() {
            Some(first) => Err(StorageError::Damaged(first)),
            None => Ok(Page::new(items, next)),
        }
    }

    /// Gives what is held, and goes on past what cannot be read.
    pub(super) async fn export_part(&self, cursor: Option<&str>, limit: usize) -> Result<ExportPart, StorageError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut part = Filling { records: Vec::new(), skipped: Vec::new(), bytes: 0, limit };
        let mut place = Some(Place::parse(cursor)?);
        while !part.is_full() {
            place = match place {
                Some(Place::Versions(from)) => Some(self.export_versions(from, &mut part).await?),
                Some(Place::Queues(after)) => Some(self.export_queues(&after, &mut part).await?),
                Some(Place::Limits(from)) => Some(self.export_limits(from, &mut part).await?),
                Some(Place::Audit(after)) => Some(self.export_audit(after, &mut part).await?),
                Some(Place::Recurring(after)) => {
                    Some(self.export_recurring(after.unwrap_or_default(), &mut part).await?)
                }
                Some(Place::Counters(grain, from, without)) => {
                    Some(self.export_counters(grain, from, without, &mut part).await?)
                }
                Some(Place::Jobs(cursor)) => self.export_jobs(cursor, &mut part).await?,
                None => break,
            };
        }
        let Filling { records, skipped, .. } = part;
        Ok(ExportPart { items: records, next: place.map(|place| place.shown()), skipped })
    }

    async fn export_versions(&self, from: usize, part: &mut Filling) -> Result<Place, StorageError> {
        let rows = self.readable_versions(None).await;
        let mut rows = part.add(rows, "the versions of modules")?.unwrap_or_default();
        // They are stored in the order in which they were deployed, so that the newest comes last.
        rows.reverse();
        for (at, row) in rows.into_iter().enumerate().skip(from) {
            if part.is_full() {
                return Ok(Place::Versions(at));
            }
            // What is wrong with one is said with its name.
            let Some(row) = part.add(row, "")? else { continue };
            if row.view.retired_at.is_some() {
                continue;
            }
            let digest = row.view.digest;
            let component = self.bytes_of(digest).await;
            let component = component.and_then(|bytes| bytes.ok_or_else(|| damaged("its component", "it is missing")));
            let Some(component) = part.add(component, &format!("version {digest} of module {}", row.module))? else {
                continue;
            };
            let (bytes, view) = (component.len(), row.view);
            let record = VersionRecord {
                module: row.module,
                digest,
                version: view.version,
                sdk: view.sdk,
                handlers: view.handlers,
                deployed_at: view.deployed_at,
                active: view.active,
                canary_percent: view.canary_percent,
                component,
            };
            part.push(Exported::Version(record), bytes);
        }
        Ok(Place::Queues(String::new()))
    }

    async fn export_queues(&self, after: &str, part: &mut Filling) -> Result<Place, StorageError> {
        let names = self.paused_names().await;
        let mut last = after.to_owned();
        for queue in part.add(names, "the paused queues")?.unwrap_or_default() {
            if queue.as_str() <= after {
                continue;
            }
            if part.is_full() {
                return Ok(Place::Queues(last));
            }
            let name = queue.parse().map_err(|error| damaged(format_args!("the queue `{queue}`"), error));
            if let Some(name) = part.add(name, "the queue")? {
                part.push(Exported::Queue(QueueRecord { name, paused: true }), 0);
            }
            last = queue;
        }
        Ok(Place::Limits(0))
    }

    async fn export_limits(&self, from: usize, part: &mut Filling) -> Result<Place, StorageError> {
        let limits = self.all_limits().await;
        for (at, limit) in part.add(limits, "the limits")?.unwrap_or_default().into_iter().enumerate().skip(from) {
            if part.is_full() {
                return Ok(Place::Limits(at));
            }
            // What is wrong with one is said with its target.
            if let Some(limit) = part.add(limit, "")? {
                part.push(Exported::Limit(LimitRecord { target: limit.target, rule: limit.rule }), 0);
            }
        }
        Ok(Place::Recurring(None))
    }

    async fn export_audit(&self, mut after: u64, part: &mut Filling) -> Result<Place, StorageError> {
        while !part.is_full() {
            let entries = self.audit_after(after, part.room()).await;
            let Some(entries) = part.add(entries, "the audit log")?.filter(|entries| !entries.is_empty()) else {
                return Ok(Place::Jobs(None));
            };
            for Kept { number, origin, entry } in entries {
                if let Some(entry) = part.add(entry, "")? {
                    part.push(Exported::Audit(AuditRecord { number: origin.unwrap_or(number), entry }), 0);
                }
                after = number;
            }
        }
        Ok(Place::Audit(after))
    }

    async fn export_recurring(&self, mut after: String, part: &mut Filling) -> Result<Place, StorageError> {
        while !part.is_full() {
            let entries = self.kept_recurring(&after, part.room()).await;
            let Some(entries) = part.add(entries, "the recurring jobs")?.filter(|entries| !entries.is_empty()) else {
                return Ok(Place::Counters(Grain::Minute, i64::MIN, 0));
            };
            for (name, entry) in entries {
                if let Some(entry) = part.add(entry, &format!("the recurring job {name}"))? {
                    part.push(Exported::Recurring(entry), 0);
                }
                after = name;
            }
        }
        Ok(Place::Recurring(Some(after)))
    }

    async fn export_counters(
        &self,
        grain: Grain,
        from: i64,
        mut without: usize,
        part: &mut Filling,
    ) -> Result<Place, StorageError> {
        let next_kind = match grain {
            Grain::Minute => Place::Counters(Grain::Hour, i64::MIN, 0),
            Grain::Hour => Place::Audit(0),
        };
        let mut command = redis::cmd("ZRANGEBYSCORE");
        let least = if from == i64::MIN { "-inf".to_owned() } else { from.to_string() };
        let most = part.room().max(1);
        command.arg(format!("{}spans:{}", self.prefix, grain_letter(grain))).arg(least).arg("+inf");
        command.arg("LIMIT").arg(0).arg(most);
        let spans = self.link.ask(&command).await.and_then(answer::List::of);
        let name = format!("the counters by the {}", grain.as_str());
        let Some(mut spans) = part.add(spans, &name)? else { return Ok(next_kind) };
        let (mut seen, mut last) = (0, from);
        while !spans.is_empty() {
            // What is no instant has no counters either.
            let at = spans.text()?.parse::<i64>().ok();
            seen += 1;
            let Some(at) = at.filter(|at| *at >= from) else { continue };
            let name = format!("the counters for the {} of {}", grain.as_str(), Timestamp(at));
            let span = part.add(self.span(grain, at).await, &name)?;
            for (n, row) in span.iter().flat_map(|span| &span.rows).enumerate().skip(without) {
                if part.is_full() {
                    return Ok(Place::Counters(grain, at, n));
                }
                part.push(Exported::Counter(CounterRecord { grain, row: row.clone() }), 0);
            }
            // Once they are all there: a part that ends before begins this span again.
            for field in span.into_iter().flat_map(|span| span.damaged) {
                part.add(Err::<(), _>(damaged(&name, field)), &name)?;
            }
            (without, last) = (0, at);
        }
        Ok(if seen < most { next_kind } else { Place::Counters(grain, last.saturating_add(1), 0) })
    }

    async fn export_jobs(&self, cursor: Option<Cursor>, part: &mut Filling) -> Result<Option<Place>, StorageError> {
        let filter = JobFilter::default();
        let mut search = Search::of_all(&filter, cursor.clone());
        let mut slice = self.slice(&mut search, part.room(), "ids").await?;
        let (is_last, broken) = (slice.is_last, std::mem::take(&mut slice.broken));
        let (mut ids, mut reached) = (slice.into_rest(), cursor);
        while !ids.is_empty() && !part.is_full() {
            let job = id(&ids.bytes()?)?;
            if let Some(seq) = self.export_one(job, part).await? {
                reached = Some(Cursor::at(seq, job));
            }
        }
        let is_whole = ids.is_empty();
        for job in broken {
            let is_past = is_whole || {
                let seq = self.number_of(job).await?;
                seq.zip(reached.as_ref()).is_some_and(|(seq, reached)| reached.is_past(seq))
            };
            if is_past {
                self.export_one(job, part).await?;
            }
        }
        Ok(match is_whole {
            true if is_last => None,
            true => Some(Place::Jobs(search.cursor().cloned())),
            false => Some(Place::Jobs(reached)),
        })
    }

    /// Adds a job; gives its number in the order of making, or nothing where it is gone.
    async fn export_one(&self, job: JobId, part: &mut Filling) -> Result<Option<i64>, StorageError> {
        match part.add(self.export_job(job).await, &format!("job {job}"))? {
            Some(Some((seq, record))) => {
                let bytes = size_of_record(&record);
                part.push(Exported::Job(Box::new(record)), bytes);
                Ok(Some(seq))
            }
            // It was removed since.
            Some(None) => Ok(None),
            None => self.number_of(job).await,
        }
    }

    async fn export_job(&self, job: JobId) -> Result<Option<(i64, JobRecord)>, StorageError> {
        let Some(mut whole) = self.whole(job).await? else { return Ok(None) };
        // It takes its place in its own line where it comes to.
        whole.detail.job.held_by = None;
        let holds_key = match &whole.record.more.unique {
            Some(rule) => self.holder(rule.key).await? == Some(job),
            None => false,
        };
        let waits = whole.record.state == State::Awaiting && whole.record.reason.as_deref() == Some(PARENTS);
        let (waits_for, start) = whole.edges.map_or((Vec::new(), None), |edges| {
            let unmet = edges.parents.iter().filter(|(_, met)| !met).map(|(parent, _)| *parent).collect();
            (unmet, Some(edges.start).filter(|start| waits && *start != Start::Now))
        });
        let checkpoints = self.all_checkpoints(job).await?.into_iter().collect::<BTreeMap<String, Json>>();
        let logs = self.whole_log(job).await?;
        let (detail, losses) = (whole.detail, whole.record.losses);
        let record = JobRecord { detail, losses, checkpoints, logs, waits_for, start, holds_key };
        Ok(Some((whole.record.seq, record)))
    }

    /// The job that was stored last with this key.
    async fn holder(&self, key: Digest) -> Result<Option<JobId>, StorageError> {
        let mut command = redis::cmd("HGET");
        command.arg(format!("{}unique", self.prefix)).arg(&key.0);
        answer::optional(self.link.ask(&command).await?)?.map(|holder| id(&holder)).transpose()
    }
}

/// About how much a record takes.
fn size_of_record(record: &JobRecord) -> usize {
    let values = record.checkpoints.values().map(|value| value.as_str().len()).sum::<usize>();
    let lines = record.logs.iter().map(line_bytes).sum::<usize>();
    record.detail.payload.as_str().len() + values + lines + 1024
}
