//! Lists of jobs, and how many pass a filter.
//!
//! A list follows the indexes that leave the fewest jobs to look at, as the tallies know beforehand, and is merged from
//! them. Whether a job stands in the other indexes that the filter names is asked for many at once; what else the filter asks is
//! checked job by job. Each call looks at a slice, until the time for it is over. A page's cursor is the number in the order of
//! making and the id of the last job that was looked at.

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
use crate::storage::{COUNT_BUDGET_MS, MAX_COUNTED, SCAN_BUDGET_MS, StorageError};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// How many jobs one slice looks at: some milliseconds.
const LOOKS: usize = 500;

/// The same where payloads are searched for a text.
const LOOKS_AT_TEXT: usize = 100;

/// How many entries of indexes one slice may fetch in all.
const FETCHED: usize = 4000;

/// The handlers of a filter are looked for in their own indexes, up to so many; more are told by the jobs' records.
const MAX_HANDLERS: usize = 16;

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
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: Option<i64>,
    greatest: Option<i64>,
    /// Whether no other job has such a number.
    are_exact: bool,
}

impl Bounds {
    /// All numbers.
    const NONE: Self = Self { least: None, greatest: None, are_exact: true };
}

/// A list to be looked through.
pub(super) struct Search<'a> {
    filter: &'a JobFilter,
    indexes: Indexes,
    /// How many entries the next slice looks at.
    looks: usize,
    bounds: Bounds,
    newest_first: bool,
    cursor: Option<Cursor>,
}

/// What a search follows.
struct Indexes {
    /// The indexes that are followed: every job that passes stands in one of them.
    followed: Vec<String>,
    /// More of that kind: every job that passes stands in one of each.
    others: Vec<Vec<String>>,
    /// Whether they answer all that the filter asks, but for a time and what is looked for in a job.
    answer_all: bool,
}

impl Indexes {
    fn of(followed: Vec<String>) -> Self {
        Self { followed, others: Vec::new(), answer_all: true }
    }
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
        let indexes = Indexes::of(every_state());
        Self { filter, indexes, looks: LOOKS, bounds: Bounds::NONE, newest_first: false, cursor }
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
        let mut search = Search { filter, indexes, looks: LOOKS, bounds, newest_first: true, cursor };
        let (mut found, mut damaged) = (Vec::<(Cursor, JobSummary)>::new(), 0);
        loop {
            // One more than asked for tells whether there is a next page.
            let slice = self.slice(&mut search, limit + 1 - found.len(), "jobs").await?;
            let (is_last, searched_to) = (slice.is_last, slice.searched_to);
            for job in slice.broken {
                tracing::error!(%job, "a job is left out of a list, because its record is damaged");
                damaged += 1;
            }
            let mut rest = slice.rest;
            while !rest.is_empty() {
                let id = id(&rest.bytes()?)?;
                match show::read_listed(id, &mut rest) {
                    Ok((record, summary)) => found.push((Cursor::at(record.seq, id), summary)),
                    // One that cannot be shown hides no other; whoever asks for it is told why.
                    Err(error) => {
                        tracing::error!(job = %id, %error, "a job is left out of a list");
                        damaged += 1;
                    }
                }
            }
            let more = found.len() > limit;
            found.truncate(limit);
            let last = found.last().map(|(cursor, _)| cursor.shown());
            let items = |found: Vec<(Cursor, JobSummary)>| found.into_iter().map(|(_, job)| job).collect();
            if more || is_last {
                return Ok(Page { damaged, ..Page::new(items(found), last.filter(|_| more)) });
            }
            if Instant::now() >= until {
                let next = search.cursor.map(|cursor| cursor.shown());
                return Ok(Page { items: items(found), next, searched_to, damaged });
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
        let indexes = &search.indexes;
        let most = (FETCHED / indexes.followed.len().max(1)).max(20);
        let reads = if filter.text.is_some() { LOOKS_AT_TEXT } else { LOOKS };
        // Where every job that is looked at passes, no more need be looked at than are wanted.
        let looks = if !indexes.others.is_empty() {
            search.looks.min(most)
        } else if indexes.answer_all && filter.text.is_none() && filter.reason.is_none() {
            reads.min(most).min(wanted.max(20))
        } else {
            reads.min(most)
        };
        let is_exact = search.bounds.are_exact && filter.text.is_none() && filter.reason.is_none();
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
        call.arg(reads).arg(u8::from(is_exact && indexes.answer_all));
        for group in std::iter::once(&indexes.followed).chain(&indexes.others) {
            call.arg(group.len());
            for index in group {
                call.arg(index);
            }
        }
        search.looks = (search.looks * 2).min(FETCHED);
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
    async fn indexes(&self, filter: &JobFilter) -> Result<Option<Indexes>, StorageError> {
        let by_handler = filter.module.is_some() || filter.handler.is_some();
        let conditions = [filter.state.is_some(), filter.queue.is_some(), by_handler, filter.tag.is_some()];
        if !by_handler && conditions.iter().filter(|set| **set).count() <= 1 {
            return Ok(Some(Indexes::of(match (filter.state, &filter.queue, &filter.tag) {
                (Some(state), ..) => vec![state_index(state)],
                (None, Some(queue), _) => vec![format!("q:{queue}")],
                (None, None, Some(tag)) => vec![format!("t:{tag}")],
                (None, None, None) => every_state(),
            })));
        }
        let tallies = self.tally().await?;
        if !tallies.iter().any(|tally| passes(filter, tally)) {
            return Ok(None);
        }
        let size = |of: &dyn Fn(&Tally) -> bool| tallies.iter().filter(|it| of(it)).map(|it| it.jobs).sum::<u64>();
        let mut groups = Vec::<(u64, Vec<String>)>::new();
        if let Some(state) = filter.state {
            groups.push((size(&|tally| tally.state == state), vec![state_index(state)]));
        }
        if let Some(queue) = &filter.queue {
            groups.push((size(&|tally| tally.queue == *queue), vec![format!("q:{queue}")]));
        }
        if by_handler {
            let handlers = |tally: &Tally| of_handler(filter, tally);
            let mut indexes =
                tallies.iter().filter(|it| handlers(it)).map(|it| format!("h/:{}", it.path)).collect::<Vec<_>>();
            indexes.sort_unstable();
            indexes.dedup();
            groups.push((size(&handlers), indexes));
        }
        if let Some(tag) = &filter.tag {
            let mut command = cmd("ZCARD");
            command.arg(format!("{}t:{tag}", self.prefix));
            let jobs = u64::try_from(answer::number::<i64>(self.link.ask(&command).await?)?).unwrap_or(0);
            groups.push((jobs, vec![format!("t:{tag}")]));
        }
        groups.sort_by_key(|(jobs, _)| *jobs);
        let mut groups = groups.into_iter().map(|(_, indexes)| indexes);
        let followed = groups.next().unwrap_or_else(every_state);
        let (others, many) = groups.partition::<Vec<_>, _>(|indexes| indexes.len() <= MAX_HANDLERS);
        Ok(Some(Indexes { followed, others, answer_all: many.is_empty() }))
    }

    /// The numbers that the jobs of the filter's time have. They are exact where jobs never came faster than numbers.
    async fn bounds(&self, filter: &JobFilter) -> Result<Bounds, StorageError> {
        if filter.created_from.is_none() && filter.created_before.is_none() {
            return Ok(Bounds::NONE);
        }
        let ahead = self.ahead().await?;
        Ok(Bounds {
            least: filter.created_from.map(number_at),
            greatest: filter.created_before.map(|at| latest_before(at, ahead)),
            are_exact: ahead < PER_MS,
        })
    }

    /// How far numbers ever ran ahead of the instant that they stand for.
    async fn ahead(&self) -> Result<i64, StorageError> {
        let mut command = cmd("HGET");
        command.arg(format!("{}meta", self.prefix)).arg("ahead");
        Ok(answer::optional_number(self.link.ask(&command).await?)?.unwrap_or(0))
    }

    pub(super) async fn filtered_count(&self, filter: &JobFilter) -> Result<FilteredCount, StorageError> {
        let until = Instant::now() + Duration::from_millis(COUNT_BUDGET_MS);
        let by_time = filter.created_from.is_some() || filter.created_before.is_some();
        if filter.tag.is_none() && filter.text.is_none() && filter.reason.is_none() && !by_time {
            let tallies = self.tally().await?;
            let jobs = tallies.iter().filter(|tally| passes(filter, tally)).map(|tally| tally.jobs).sum();
            return Ok(capped(jobs));
        }
        let Some(indexes) = self.indexes(filter).await? else { return Ok(FilteredCount { count: 0, more: false }) };
        let bounds = self.bounds(filter).await?;
        let is_alone = indexes.others.is_empty() && indexes.answer_all;
        if filter.text.is_none() && filter.reason.is_none() && is_alone && bounds.are_exact {
            return self.count_indexes(&indexes.followed, bounds).await.map(capped);
        }
        let mut search = Search { filter, indexes, looks: FETCHED, bounds, newest_first: true, cursor: None };
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

    async fn count_indexes(&self, indexes: &[String], bounds: Bounds) -> Result<u64, StorageError> {
        let least = bounds.least.map_or_else(|| "-inf".to_owned(), |least| least.to_string());
        let greatest = bounds.greatest.map_or_else(|| "+inf".to_owned(), |greatest| greatest.to_string());
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
