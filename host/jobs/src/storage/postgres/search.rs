//! Looking for the jobs that pass a filter, newest first.
//!
//! Each search follows the one index that leaves the fewest jobs to look at, as the tallies know beforehand. What else the
//! filter asks is checked job by job, in slices, as long as there is time. A page's cursor is the number of the last job
//! that was looked at.

use std::time::{Duration, Instant};

use sqlx::{Row, postgres::PgRow};
use windlass_api::{Failure, FilteredCount, HandlerName, JobFilter, JobSummary, ModuleName, Page, State};

use super::{
    fault::Fault,
    number, queues, show,
    tx::{Statement, Tx},
    words::{Word, amount, plain, unsigned},
};
use crate::storage::{MAX_COUNTED, SCAN_BUDGET_MS};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// How many jobs a slice looks at: at first, where texts are searched, and at most. A slice is one statement, and the
/// clock is looked at between two.
const FIRST_SLICE: i64 = 250;
const FIRST_TEXT_SLICE: i64 = 25;
const TEXT_SLICE: i64 = 250;
const MAX_SLICE: i64 = 4_000;

/// The size of a page in PostgreSQL's terms: at least 1, at most [`MAX_PAGE`].
pub(super) fn page_size(limit: usize) -> i64 {
    amount(limit.clamp(1, MAX_PAGE))
}

/// A filter in numbers.
struct Wanted {
    state: Option<State>,
    queue: Option<i32>,
    /// The handlers that pass, where it matters.
    handlers: Option<Vec<i32>>,
    tag: Option<String>,
    reason: Option<String>,
    /// The first number that may pass, and the first one that is too high.
    span: (i64, i64),
    text: Option<String>,
}

/// What a search follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    All,
    State(State),
    Queue,
    Handlers,
    Tag,
}

/// A search under way.
struct Scan {
    path: Path,
    /// Whether the path alone answers the filter.
    is_whole: bool,
    before: i64,
    slice: i64,
    deadline: Instant,
}

/// What a slice gave.
struct Slice {
    /// The jobs that pass.
    found: Vec<i64>,
    /// The last job that was looked at; nothing at the end.
    last: Option<i64>,
}

impl Wanted {
    /// Nothing where no job can pass.
    async fn of(tx: &mut Tx<'_>, filter: &JobFilter) -> Result<Option<Self>, Fault> {
        let mut queue = None;
        if let Some(name) = &filter.queue {
            let query = tx.query("SELECT n FROM @queues WHERE name = $1").bind(name.as_str());
            let Some(row) = tx.first(query).await? else { return Ok(None) };
            queue = Some(row.try_get(0)?);
        }
        let mut handlers = None;
        if filter.module.is_some() || filter.handler.is_some() {
            let query = tx
                .query("SELECT n FROM @handlers WHERE module = coalesce($1, module) AND name = coalesce($2, name)")
                .bind(filter.module.as_ref().map(ModuleName::as_str))
                .bind(filter.handler.as_ref().map(HandlerName::as_str));
            let mut numbers = Vec::new();
            for row in tx.all(query).await? {
                numbers.push(row.try_get(0)?);
            }
            if numbers.is_empty() {
                return Ok(None);
            }
            handlers = Some(numbers);
        }
        let from = filter.created_from.map_or(0, number::first_of);
        let before = filter.created_before.map_or(i64::MAX, number::first_of);
        Ok((from < before).then(|| Self {
            state: filter.state,
            queue,
            handlers,
            tag: filter.tag.as_deref().map(plain),
            reason: filter.reason.as_deref().map(plain),
            span: (from, before),
            text: filter.text.clone().filter(|text| !text.is_empty()),
        }))
    }

    fn is_of_time(&self) -> bool {
        self.span != (0, i64::MAX)
    }

    /// How many jobs there are by each of the paths that the filter offers, as the tallies know.
    async fn tallied(&self, tx: &mut Tx<'_>) -> Result<(Path, i64), Fault> {
        let (mut by_state, mut by_queue, mut by_handlers, mut exact) = (0, 0, 0, 0);
        for tallied in queues::tallies(tx).await? {
            let whole = tallied.jobs.iter().sum::<i64>();
            let in_state = self.state.map_or(whole, |state| tallied.jobs[state as usize]);
            let in_queue = self.queue.is_none_or(|queue| queue == tallied.queue);
            let in_handlers = self.handlers.as_ref().is_none_or(|handlers| handlers.contains(&tallied.handler));
            by_state += in_state;
            by_queue += if in_queue { whole } else { 0 };
            by_handlers += if in_handlers { whole } else { 0 };
            exact += if in_queue && in_handlers { in_state } else { 0 };
        }
        let offers = [
            self.state.map(|state| (by_state, Path::State(state))),
            self.queue.is_some().then_some((by_queue, Path::Queue)),
            self.handlers.is_some().then_some((by_handlers, Path::Handlers)),
        ];
        let best = offers.into_iter().flatten().min_by_key(|(jobs, _)| *jobs).map_or(Path::All, |(_, path)| path);
        Ok((if self.tag.is_some() { Path::Tag } else { best }, exact))
    }

    fn is_answered_by(&self, path: Path) -> bool {
        let others = [
            self.state.is_some() && !matches!(path, Path::State(_)),
            self.queue.is_some() && path != Path::Queue,
            self.handlers.is_some() && path != Path::Handlers,
            self.tag.is_some() && path != Path::Tag,
            self.text.is_some(),
            self.reason.is_some(),
        ];
        !others.contains(&true)
    }

    fn begin(&self, path: Path, before: i64) -> Scan {
        Scan {
            path,
            is_whole: self.is_answered_by(path),
            before: before.min(self.span.1),
            slice: if self.text.is_some() { FIRST_TEXT_SLICE } else { FIRST_SLICE },
            deadline: Instant::now() + Duration::from_millis(SCAN_BUDGET_MS),
        }
    }

    /// The numbers of the jobs along a path, newest first. `$1` is where to begin, `$2` the last that may pass, `$3` how
    /// many, `$4` the state, `$5` the queue, `$6` the handlers, `$7` the tag.
    fn along(path: Path) -> &'static str {
        match path {
            Path::All => "SELECT seq FROM @jobs WHERE seq < $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3",
            Path::State(state) if state.is_final() => {
                "SELECT seq FROM @ended WHERE state = $4 AND seq < $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3"
            }
            Path::State(_) => {
                "SELECT seq FROM @live WHERE state + 0 = $4 AND seq < $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3"
            }
            Path::Queue => {
                "SELECT seq FROM @jobs WHERE queue = $5 AND seq < $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3"
            }
            Path::Handlers => {
                "SELECT s.seq FROM unnest($6::integer[]) AS h (n) CROSS JOIN LATERAL (
                     SELECT seq FROM @jobs WHERE handler = h.n AND seq < $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3) s
                 ORDER BY s.seq DESC LIMIT $3"
            }
            Path::Tag => "SELECT seq FROM @tags WHERE tag = $7 AND seq < $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3",
        }
    }

    fn bind<'q>(&self, statement: Statement<'q>, scan: &Scan, limit: i64) -> Statement<'q> {
        statement
            .bind(scan.before)
            .bind(self.span.0)
            .bind(limit)
            .bind(self.state.map(Word::number))
            .bind(self.queue)
            .bind(self.handlers.clone())
            .bind(self.tag.clone())
    }

    /// Looks at some more jobs.
    async fn slice(&self, tx: &mut Tx<'_>, scan: &mut Scan, limit: i64) -> Result<Slice, Fault> {
        let types = "$4::smallint, $5::integer, $6::integer[], $7::text";
        if scan.is_whole {
            let sql = format!(
                "SELECT s.seq FROM ({}) s, (SELECT {types}) AS given ORDER BY s.seq DESC",
                Self::along(scan.path)
            );
            let query = self.bind(tx.query_of(&sql), scan, limit);
            let mut found = Vec::new();
            for row in tx.all(query).await? {
                found.push(row.try_get(0)?);
            }
            let last = found.last().copied().filter(|_| amount(found.len()) == limit);
            return Ok(Slice { found, last });
        }
        let slice = if self.text.is_some() { scan.slice.min(TEXT_SLICE) } else { scan.slice };
        let sql = format!(
            "SELECT s.seq, ($4::smallint IS NULL
                     OR ($4 < 4 AND EXISTS (SELECT 1 FROM @live WHERE state + 0 = $4 AND seq = s.seq LIMIT 1))
                     OR ($4 >= 4 AND EXISTS (SELECT 1 FROM @ended WHERE state = $4 AND seq = s.seq LIMIT 1)))
                 AND ($5::integer IS NULL OR j.queue = $5) AND ($6::integer[] IS NULL OR j.handler = ANY ($6))
                 AND ($7::text IS NULL OR EXISTS (SELECT 1 FROM @tags WHERE tag = $7 AND seq = s.seq LIMIT 1))
                 AND ($10::text IS NULL
                     OR EXISTS (SELECT 1 FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = s.seq AND reason = $10 LIMIT 1)
                     OR EXISTS (SELECT 1 FROM @ended WHERE state IN (4, 5, 6) AND seq = s.seq AND reason = $10 LIMIT 1)),
                 $8::text IS NULL OR strpos(j.payload, $8) > 0, f.failure
             FROM ({}) s
             LEFT JOIN LATERAL (SELECT queue, handler, payload FROM @jobs WHERE seq = s.seq LIMIT 1) j ON true
             LEFT JOIN LATERAL (
                 SELECT h.failure FROM (
                     SELECT ended_line FROM @live WHERE $8 IS NOT NULL AND state + 0 IN (0, 1, 2, 3) AND seq = s.seq
                     UNION ALL
                     SELECT ended_line FROM @ended WHERE $8 IS NOT NULL AND state IN (4, 5, 6) AND seq = s.seq LIMIT 1) e
                 CROSS JOIN LATERAL (
                     SELECT failure FROM @history WHERE seq = s.seq AND n = e.ended_line AND strpos(failure, $9) > 0
                     LIMIT 1) h) f ON true
             ORDER BY s.seq DESC",
            Self::along(scan.path)
        );
        // Failures are kept as JSON, so the text is looked for as it stands there; what is found is looked at again.
        let escaped = self.text.as_ref().and_then(|text| serde_json::to_string(text).ok());
        let escaped = escaped.map(|text| text[1..text.len() - 1].to_owned());
        let query = self.bind(tx.query_of(&sql), scan, slice).bind(self.text.as_deref().map(plain)).bind(escaped);
        let query = query.bind(self.reason.clone());
        let rows = tx.all(query).await?;
        let mut found = Vec::new();
        for row in &rows {
            if row.try_get::<Option<bool>, _>(1)?.unwrap_or(false) && self.text_is_in(row)? {
                found.push(row.try_get(0)?);
            }
        }
        let last = rows.last().filter(|_| amount(rows.len()) == slice).map(|row| row.try_get(0)).transpose()?;
        scan.slice = (scan.slice * 2).min(MAX_SLICE);
        Ok(Slice { found, last })
    }

    fn text_is_in(&self, row: &PgRow) -> Result<bool, Fault> {
        let Some(text) = &self.text else { return Ok(true) };
        if row.try_get::<Option<bool>, _>(2)?.unwrap_or(false) {
            return Ok(true);
        }
        let failure = row.try_get::<Option<&str>, _>(3)?.and_then(|text| serde_json::from_str::<Failure>(text).ok());
        Ok(failure.is_some_and(|failure| failure.message.contains(text)))
    }
}

pub(super) async fn jobs(
    tx: &mut Tx<'_>,
    filter: &JobFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<JobSummary>, Fault> {
    let parse = |text: &str| text.parse::<i64>().map_err(|_| Fault::cursor(text));
    let before = cursor.map(parse).transpose()?.unwrap_or(i64::MAX);
    let limit = limit.clamp(1, MAX_PAGE);
    let Some(wanted) = Wanted::of(tx, filter).await? else { return Ok(Page::new(Vec::new(), None)) };
    let path = wanted.tallied(tx).await?.0;
    let mut scan = wanted.begin(path, before);
    let (mut found, mut next, mut searched_to) = (Vec::new(), None, None);
    loop {
        // One more than asked for tells whether there is a next page.
        let slice = wanted.slice(tx, &mut scan, amount(limit + 1)).await?;
        found.extend(slice.found);
        if found.len() > limit {
            found.truncate(limit);
            next = found.last().copied();
            break;
        }
        let Some(last) = slice.last else { break };
        scan.before = last;
        if !scan.is_whole && Instant::now() >= scan.deadline {
            (next, searched_to) = (Some(last), Some(number::instant_of(last)));
            break;
        }
    }
    let items = show::summaries(tx, &found).await?;
    Ok(Page { items, next: next.map(|seq| seq.to_string()), searched_to })
}

pub(super) async fn count(tx: &mut Tx<'_>, filter: &JobFilter) -> Result<FilteredCount, Fault> {
    let counted =
        |count: u64, cut: bool| FilteredCount { count: count.min(MAX_COUNTED), more: cut || count > MAX_COUNTED };
    let Some(wanted) = Wanted::of(tx, filter).await? else { return Ok(counted(0, false)) };
    let (path, exact) = wanted.tallied(tx).await?;
    if wanted.tag.is_none() && wanted.text.is_none() && wanted.reason.is_none() && !wanted.is_of_time() {
        return Ok(counted(unsigned(exact), false));
    }
    let mut scan = wanted.begin(path, i64::MAX);
    if scan.is_whole {
        let sql = format!(
            "SELECT count(*) FROM ({}) s, (SELECT $4::smallint, $5::integer, $6::integer[], $7::text) AS given",
            Wanted::along(path)
        );
        let query =
            wanted.bind(tx.query_of(&sql), &scan, amount(usize::try_from(MAX_COUNTED).unwrap_or(usize::MAX)) + 1);
        let row = tx.first(query).await?.ok_or(Fault::Again)?;
        return Ok(counted(unsigned(row.try_get(0)?), false));
    }
    let mut jobs = 0;
    loop {
        let slice = wanted.slice(tx, &mut scan, MAX_SLICE).await?;
        jobs += u64::try_from(slice.found.len()).unwrap_or(u64::MAX);
        let Some(last) = slice.last else { return Ok(counted(jobs, false)) };
        if jobs > MAX_COUNTED || Instant::now() >= scan.deadline {
            return Ok(counted(jobs, true));
        }
        scan.before = last;
    }
}
