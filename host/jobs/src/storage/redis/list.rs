//! Lists of jobs, and how many pass a filter.
//!
//! A list follows the indexes that leave the fewest jobs to look at, as the tallies know beforehand, and is merged from
//! them; what else the filter asks is checked job by job, a slice in each call, until the time for it is over. A page's
//! cursor is the number in the order of making and the id of the last job that was looked at.

use std::time::{Duration, Instant};

use redis::cmd;
use uuid::Uuid;
use windlass_api::{FilteredCount, JobFilter, JobId, JobSummary, ModuleName, Page, State, Timestamp};

use super::{
    RedisStorage,
    answer::{self, List},
    bytes::state_number,
    queues::Tally,
    record::id,
    script::{self, Call},
    show,
};
use crate::storage::{MAX_COUNTED, SCAN_BUDGET_MS, StorageError};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// How many jobs one slice looks at: some milliseconds.
const LOOKS: usize = 500;

/// The same where payloads are searched for a text.
const LOOKS_AT_TEXT: usize = 100;

/// How many entries of indexes one slice may fetch in all.
const FETCHED: usize = 4000;

/// The numbers in the order of making: so many for each millisecond since this instant. `scripts/births.lua` gives them.
const PER_MS: i64 = 4096;
const EPOCH: i64 = 1_672_531_200_000;

/// Where a list goes on.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    seq: String,
    id: JobId,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Result<Self, StorageError> {
        let parsed = text.split_once('_').and_then(|(seq, id)| {
            seq.parse::<i64>().ok()?;
            Some(Self { seq: seq.to_owned(), id: JobId(id.parse::<Uuid>().ok()?) })
        });
        parsed.ok_or_else(|| StorageError::InvalidCursor(text.chars().take(80).collect()))
    }

    pub(super) fn at(seq: i64, id: JobId) -> Self {
        Self { seq: seq.to_string(), id }
    }

    pub(super) fn shown(&self) -> String {
        format!("{}_{}", self.seq, self.id)
    }

    /// Appends it to a call: the number, then the id.
    pub(super) fn put<'a>(&self, call: &'a mut Call) -> &'a mut Call {
        call.arg(&self.seq).arg(self.id.0.as_bytes())
    }

    /// Whether a job of this number was passed before it was reached.
    pub(super) fn is_past(&self, seq: i64) -> bool {
        self.seq.parse::<i64>().is_ok_and(|own| seq <= own)
    }
}

/// Which numbers in the order of making are looked at, both ends included; all of them where absent.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    least: Option<i64>,
    greatest: Option<i64>,
}

/// A list to be looked through.
pub(super) struct Search<'a> {
    filter: &'a JobFilter,
    indexes: Vec<String>,
    bounds: Bounds,
    newest_first: bool,
    cursor: Option<Cursor>,
}

/// What a slice of it came to.
pub(super) struct Slice {
    pub(super) passed: u64,
    /// Whether nothing is left to be looked at.
    pub(super) is_last: bool,
    /// Those of them whose record is damaged.
    pub(super) broken: Vec<JobId>,
    searched_to: Option<Timestamp>,
    rest: List,
}

impl Slice {
    /// What was asked for of those that passed.
    pub(super) fn into_rest(self) -> List {
        self.rest
    }
}

impl<'a> Search<'a> {
    /// Everything, the jobs that were made first coming first.
    pub(super) fn of_all(filter: &'a JobFilter, cursor: Option<Cursor>) -> Self {
        Self { filter, indexes: every_state(), bounds: Bounds::default(), newest_first: false, cursor }
    }

    pub(super) fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }
}

fn every_state() -> Vec<String> {
    State::ALL.iter().map(|state| state_index(*state)).collect()
}

fn state_index(state: State) -> String {
    format!("s:{}", state_number(state))
}

impl RedisStorage {
    pub(super) async fn page(
        &self,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobSummary>, StorageError> {
        let until = Instant::now() + Duration::from_millis(SCAN_BUDGET_MS);
        let limit = limit.clamp(1, MAX_PAGE);
        let cursor = cursor.map(Cursor::parse).transpose()?;
        let Some(indexes) = self.indexes(filter).await? else { return Ok(Page::new(Vec::new(), None)) };
        let bounds = self.bounds(filter).await?;
        let mut search = Search { filter, indexes, bounds, newest_first: true, cursor };
        let mut found = Vec::<(Cursor, JobSummary)>::new();
        loop {
            // One more than asked for tells whether there is a next page.
            let slice = self.slice(&mut search, limit + 1 - found.len(), "jobs").await?;
            let (is_last, searched_to) = (slice.is_last, slice.searched_to);
            for job in slice.broken {
                tracing::error!(%job, "a job is left out of a list, because its record is damaged");
            }
            let mut rest = slice.rest;
            while !rest.is_empty() {
                let id = id(&rest.bytes()?)?;
                match show::read_listed(id, &mut rest) {
                    Ok((record, summary)) => found.push((Cursor::at(record.seq, id), summary)),
                    // One that cannot be shown hides no other; whoever asks for it is told why.
                    Err(error) => tracing::error!(job = %id, %error, "a job is left out of a list"),
                }
            }
            let more = found.len() > limit;
            found.truncate(limit);
            let last = found.last().map(|(cursor, _)| cursor.shown());
            let items = |found: Vec<(Cursor, JobSummary)>| found.into_iter().map(|(_, job)| job).collect();
            if more || is_last {
                return Ok(Page::new(items(found), last.filter(|_| more)));
            }
            if Instant::now() >= until {
                let next = search.cursor.map(|cursor| cursor.shown());
                return Ok(Page { items: items(found), next, searched_to });
            }
        }
    }

    /// A job's number in the order of making, as the indexes have it; nothing where it is gone.
    pub(super) async fn number_of(&self, job: JobId) -> Result<Option<i64>, StorageError> {
        for index in every_state() {
            let mut command = cmd("ZSCORE");
            command.arg(format!("{}{index}", self.prefix)).arg(job.0.as_bytes());
            let score = answer::optional(self.link.ask(&command).await?)?;
            if let Some(score) = score.and_then(|score| String::from_utf8(score).ok()) {
                #[expect(clippy::cast_possible_truncation, reason = "numbers in the order of making are whole")]
                return Ok(score.parse::<f64>().ok().map(|score| score as i64));
            }
        }
        Ok(None)
    }

    /// The ids of the newest jobs as they are listed, whether their records can be read or not.
    pub(super) async fn newest_ids(&self, most: usize) -> Result<Vec<JobId>, StorageError> {
        let filter = JobFilter::default();
        let mut search = Search { newest_first: true, ..Search::of_all(&filter, None) };
        let slice = self.slice(&mut search, most, "ids").await?;
        let mut ids = slice.broken.clone();
        let mut rest = slice.into_rest();
        while !rest.is_empty() {
            ids.push(id(&rest.bytes()?)?);
        }
        ids.truncate(most);
        Ok(ids)
    }

    /// Looks at the next jobs of a search, and moves its cursor on.
    pub(super) async fn slice(
        &self,
        search: &mut Search<'_>,
        wanted: usize,
        give: &str,
    ) -> Result<Slice, StorageError> {
        let filter = search.filter;
        let looks = if filter.text.is_some() { LOOKS_AT_TEXT } else { LOOKS };
        let looks = looks.min(FETCHED / search.indexes.len().max(1)).max(20);
        // Where every job that is looked at passes, no more need be looked at than are wanted.
        let looks = if answers_alone(filter) && filter.text.is_none() && filter.reason.is_none() {
            looks.min(wanted.max(20))
        } else {
            looks
        };
        let bound = |bound: Option<i64>, none: &str| bound.map_or_else(|| none.to_owned(), |at| at.to_string());
        let number = |at: Option<Timestamp>| at.map(|at| at.0.to_string()).unwrap_or_default();
        let mut call = self.call(&script::LIST);
        call.arg(if search.newest_first { "new" } else { "old" });
        match &search.cursor {
            Some(cursor) => cursor.put(&mut call),
            None => call.arg("").arg(""),
        };
        call.arg(bound(search.bounds.least, "-inf"))
            .arg(bound(search.bounds.greatest, "+inf"))
            .arg(looks)
            .arg(wanted)
            .arg(give)
            .arg(filter.state.map(|state| state_number(state).to_string()).unwrap_or_default())
            .arg(filter.queue.as_ref().map_or("", |name| name.as_str()))
            .arg(filter.module.as_ref().map_or("", |name| name.as_str()))
            .arg(filter.handler.as_ref().map_or("", |name| name.as_str()))
            .arg(number(filter.created_from))
            .arg(number(filter.created_before))
            .arg(filter.tag.as_deref().unwrap_or_default())
            .arg(filter.text.as_deref().unwrap_or_default())
            .arg(filter.reason.as_deref().unwrap_or_default());
        for index in &search.indexes {
            call.arg(index);
        }
        let mut answer = List::of(self.run(call).await?)?;
        let (passed, is_last) = (answer.number::<i64>()?, answer.number::<i64>()? == 1);
        let (seq, last, made) = (answer.text()?, answer.bytes()?, answer::optional_number::<i64>(answer.next()?)?);
        let broken = answer::ids(&answer.bytes()?)?;
        if !last.is_empty() {
            search.cursor = Some(Cursor { seq, id: id(&last)? });
        }
        Ok(Slice {
            passed: u64::try_from(passed).unwrap_or(0),
            is_last,
            broken,
            searched_to: made.map(Timestamp),
            rest: answer,
        })
    }

    /// The indexes to follow, or nothing where no job can pass.
    async fn indexes(&self, filter: &JobFilter) -> Result<Option<Vec<String>>, StorageError> {
        if let Some(tag) = &filter.tag {
            return Ok(Some(vec![format!("t:{tag}")]));
        }
        let by_handler = filter.module.is_some() || filter.handler.is_some();
        let alone = [filter.state.is_some(), filter.queue.is_some(), by_handler];
        if !by_handler && alone.iter().filter(|set| **set).count() <= 1 {
            return Ok(Some(match (filter.state, &filter.queue) {
                (Some(state), _) => vec![state_index(state)],
                (None, Some(queue)) => vec![format!("q:{queue}")],
                (None, None) => every_state(),
            }));
        }
        let tallies = self.tally().await?;
        if !tallies.iter().any(|tally| passes(filter, tally)) {
            return Ok(None);
        }
        let size = |of: &dyn Fn(&Tally) -> bool| tallies.iter().filter(|it| of(it)).map(|it| it.jobs).sum::<u64>();
        let mut best = (u64::MAX, every_state());
        let mut offer = |jobs: u64, indexes: Vec<String>| {
            if jobs < best.0 {
                best = (jobs, indexes);
            }
        };
        if let Some(state) = filter.state {
            offer(size(&|tally| tally.state == state), vec![state_index(state)]);
        }
        if let Some(queue) = &filter.queue {
            offer(size(&|tally| tally.queue == *queue), vec![format!("q:{queue}")]);
        }
        if by_handler {
            let handlers = |tally: &Tally| of_handler(filter, tally);
            let mut indexes =
                tallies.iter().filter(|it| handlers(it)).map(|it| format!("h/:{}", it.path)).collect::<Vec<_>>();
            indexes.sort_unstable();
            indexes.dedup();
            offer(size(&handlers), indexes);
        }
        Ok(Some(best.1))
    }

    /// The numbers that the jobs of the filter's time have. They are exact where jobs never came faster than numbers.
    async fn bounds(&self, filter: &JobFilter) -> Result<Bounds, StorageError> {
        if filter.created_from.is_none() && filter.created_before.is_none() {
            return Ok(Bounds::default());
        }
        let ahead = self.ahead().await?;
        Ok(Bounds {
            least: filter.created_from.map(number_at),
            greatest: filter.created_before.map(|at| latest_before(at, ahead)),
        })
    }

    /// How far numbers ever ran ahead of the instant that they stand for.
    async fn ahead(&self) -> Result<i64, StorageError> {
        let mut command = cmd("HGET");
        command.arg(format!("{}meta", self.prefix)).arg("ahead");
        Ok(answer::optional_number(self.link.ask(&command).await?)?.unwrap_or(0))
    }

    pub(super) async fn filtered_count(&self, filter: &JobFilter) -> Result<FilteredCount, StorageError> {
        let until = Instant::now() + Duration::from_millis(SCAN_BUDGET_MS);
        let by_time = filter.created_from.is_some() || filter.created_before.is_some();
        if filter.tag.is_none() && filter.text.is_none() && filter.reason.is_none() && !by_time {
            let tallies = self.tally().await?;
            let jobs = tallies.iter().filter(|tally| passes(filter, tally)).map(|tally| tally.jobs).sum();
            return Ok(capped(jobs));
        }
        let Some(indexes) = self.indexes(filter).await? else { return Ok(FilteredCount { count: 0, more: false }) };
        if filter.text.is_none() && filter.reason.is_none() && answers_alone(filter) {
            let ahead = self.ahead().await?;
            if ahead < PER_MS || !by_time {
                return self.count_indexes(&indexes, filter, ahead).await.map(capped);
            }
        }
        let bounds = self.bounds(filter).await?;
        let mut search = Search { filter, indexes, bounds, newest_first: true, cursor: None };
        let mut count = 0;
        loop {
            let slice = self.slice(&mut search, usize::MAX >> 12, "count").await?;
            count += slice.passed;
            if slice.is_last || count > MAX_COUNTED {
                return Ok(capped(count));
            }
            if Instant::now() >= until {
                return Ok(FilteredCount { more: true, ..capped(count) });
            }
        }
    }

    async fn count_indexes(&self, indexes: &[String], filter: &JobFilter, ahead: i64) -> Result<u64, StorageError> {
        let least = filter.created_from.map_or_else(|| "-inf".to_owned(), |at| number_at(at).to_string());
        let greatest = filter.created_before;
        let greatest = greatest.map_or_else(|| "+inf".to_owned(), |at| latest_before(at, ahead).to_string());
        let mut jobs = 0;
        for index in indexes {
            let mut command = cmd("ZCOUNT");
            command.arg(format!("{}{index}", self.prefix)).arg(&least).arg(&greatest);
            jobs += u64::try_from(answer::number::<i64>(self.link.ask(&command).await?)?).unwrap_or(0);
        }
        Ok(jobs)
    }
}

/// The least number of a job that was made at this instant.
fn number_at(at: Timestamp) -> i64 {
    at.0.saturating_sub(EPOCH).saturating_mul(PER_MS)
}

/// The greatest number of a job that was made before this instant.
fn latest_before(at: Timestamp, ahead: i64) -> i64 {
    number_at(Timestamp(at.0.saturating_sub(1))).saturating_add(ahead.max(PER_MS - 1))
}

/// Whether the indexes that are followed hold just the jobs that pass, apart from their time.
fn answers_alone(filter: &JobFilter) -> bool {
    let by_handler = filter.module.is_some() || filter.handler.is_some();
    let conditions = [filter.state.is_some(), filter.queue.is_some(), by_handler, filter.tag.is_some()];
    conditions.iter().filter(|set| **set).count() <= 1
}

fn passes(filter: &JobFilter, tally: &Tally) -> bool {
    filter.state.is_none_or(|state| tally.state == state)
        && filter.queue.as_ref().is_none_or(|queue| tally.queue == *queue)
        && of_handler(filter, tally)
}

fn of_handler(filter: &JobFilter, tally: &Tally) -> bool {
    let of_module = |module: &ModuleName| tally.path.module == *module;
    filter.module.as_ref().is_none_or(of_module)
        && filter.handler.as_ref().is_none_or(|handler| tally.path.handler == *handler)
}

fn capped(count: u64) -> FilteredCount {
    FilteredCount { count: count.min(MAX_COUNTED), more: count > MAX_COUNTED }
}
