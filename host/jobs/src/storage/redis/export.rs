//! Everything that is held, as records for another storage.

use std::collections::BTreeMap;

use windlass_api::{Grain, JobFilter, Json, Page, Timestamp};

use super::{
    RedisStorage, answer,
    fault::damaged,
    list::{Cursor, Search},
    notes::line_bytes,
    queues::grain_letter,
    record::id,
};
use crate::storage::{CounterRecord, JobRecord, QueueRecord, Record as Exported, StorageError, VersionRecord};

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
}

/// About how much a record takes.
fn size_of_record(record: &JobRecord) -> usize {
    let values = record.checkpoints.values().map(|value| value.as_str().len()).sum::<usize>();
    let lines = record.logs.iter().map(line_bytes).sum::<usize>();
    record.detail.payload.as_str().len() + values + lines + 1024
}
