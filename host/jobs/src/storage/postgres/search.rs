//! Looking for the jobs that pass a filter, newest first.
//!
//! Each search follows the one index that leaves the fewest jobs to look at, as the tallies know beforehand. What else the
//! filter asks is checked job by job, in slices, as long as there is time. Where a slice finds nothing, the next one begins no
//! higher than the newest job of each of the indexes that the filter names: so the jobs of one that stand together are passed
//! over at once where none of them is in another. A page's cursor is the number of the last job that was looked at.

use std::time::{Duration, Instant};

use sqlx::{Row, postgres::PgRow};
use windlass_api::{Failure, FilteredCount, HandlerName, JobFilter, JobSummary, ModuleName, Page, State};

use super::{
    fault::Fault,
    number, queues, show,
    tx::{Statement, Tx},
    words::{Word, amount, plain, unsigned},
};
use crate::storage::{COUNT_BUDGET_MS, MAX_COUNTED, SCAN_BUDGET_MS};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// How many jobs a slice looks at: at first, where texts are searched, and at most. A slice is one statement, and the
/// clock is looked at between two.
const FIRST_SLICE: i64 = 250;
const FIRST_TEXT_SLICE: i64 = 25;
const TEXT_SLICE: i64 = 250;
const MAX_SLICE: i64 = 4_000;

/// A tag is followed unless another index is known to hold no more jobs than this, and fewer: its own are not tallied.
const FEW: i64 = 10_000;

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

/// The types of what every statement of a search is given, so that it may leave some of it unused.
const TYPES: &str = "$4::smallint, $5::integer, $6::integer[], $7::text";

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
        let (jobs, best) = offers.into_iter().flatten().min_by_key(|(jobs, _)| *jobs).unwrap_or((i64::MAX, Path::All));
        let Some(tag) = &self.tag else { return Ok((best, exact)) };
        if jobs > FEW {
            return Ok((Path::Tag, exact));
        }
        let query = tx.query("SELECT count(*) FROM (SELECT FROM @tags WHERE tag = $1 LIMIT $2) t");
        let row = tx.first(query.bind(tag.clone()).bind(jobs + 1)).await?.ok_or(Fault::Again)?;
        Ok((if row.try_get::<i64, _>(0)? > jobs { best } else { Path::Tag }, exact))
    }

    /// The indexes that hold only jobs which pass the part of the filter that they are for.
    fn exact_paths(&self) -> Vec<Path> {
        let paths = [
            self.state.map(Path::State),
            self.queue.map(|_| Path::Queue),
            self.handlers.as_ref().map(|_| Path::Handlers),
            self.tag.as_ref().map(|_| Path::Tag),
        ];
        paths.into_iter().flatten().collect()
    }

    /// Has a search go on no higher than the newest job of each index that the filter names. Gives whether there is one in each.
    async fn pass_over(&self, tx: &mut Tx<'_>, scan: &mut Scan) -> Result<bool, Fault> {
        let paths = self.exact_paths();
        if scan.is_whole || paths.len() < 2 {
            return Ok(true);
        }
        let newest = paths.iter().map(|path| format!("({})", Self::along(*path))).collect::<Vec<_>>();
        let sql = format!("SELECT {} FROM (SELECT {TYPES}) AS given", newest.join(", "));
        let query = self.bind(tx.query_of(&sql), scan, 1);
        let row = tx.first(query).await?.ok_or(Fault::Again)?;
        for at in 0..paths.len() {
            let Some(seq) = row.try_get::<Option<i64>, _>(at)? else { return Ok(false) };
            scan.before = scan.before.min(seq.saturating_add(1));
        }
        Ok(true)
    }

    /// What is left to be checked of each job along a path, but for a text.
    fn checks(&self, path: Path) -> String {
        let mut checks = Vec::new();
        match self.state.filter(|state| path != Path::State(*state)) {
            Some(state) if state.is_final() => {
                checks.push("EXISTS (SELECT 1 FROM @ended WHERE state = $4 AND seq = s.seq LIMIT 1)");
            }
            Some(_) => checks.push("EXISTS (SELECT 1 FROM @live WHERE state + 0 = $4 AND seq = s.seq LIMIT 1)"),
            None => {}
        }
        if self.queue.is_some() && path != Path::Queue {
            checks.push("j.queue = $5");
        }
        if self.handlers.is_some() && path != Path::Handlers {
            checks.push("j.handler = ANY ($6)");
        }
        if self.tag.is_some() && path != Path::Tag {
            checks.push("EXISTS (SELECT 1 FROM @tags WHERE tag = $7 AND seq = s.seq LIMIT 1)");
        }
        if self.reason.is_some() {
            checks.push(
                "(EXISTS (SELECT 1 FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = s.seq AND reason = $10 LIMIT 1)
                     OR EXISTS (SELECT 1 FROM @ended WHERE state IN (4, 5, 6) AND seq = s.seq AND reason = $10 LIMIT 1))",
            );
        }
        if checks.is_empty() { "true".to_owned() } else { checks.join(" AND ") }
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

    fn begin(&self, path: Path, before: i64, budget_ms: u64) -> Scan {
        Scan {
            path,
            is_whole: self.is_answered_by(path),
            before: before.min(self.span.1),
            slice: if self.text.is_some() { FIRST_TEXT_SLICE } else { FIRST_SLICE },
            deadline: Instant::now() + Duration::from_millis(budget_ms),
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
        if scan.is_whole {
            let sql = format!(
                "SELECT s.seq FROM ({}) s, (SELECT {TYPES}) AS given ORDER BY s.seq DESC",
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
        let checks = self.checks(scan.path);
        // What is wide of a job is read only where something of it is looked at.
        let job = if self.text.is_some() || checks.contains("j.") {
            "LEFT JOIN LATERAL (SELECT queue, handler, payload FROM @jobs WHERE seq = s.seq LIMIT 1) j ON true"
        } else {
            ""
        };
        let (texts, failure) = if self.text.is_some() {
            (
                "strpos(j.payload, $8) > 0, f.failure",
                "LEFT JOIN LATERAL (
                     SELECT h.failure FROM (
                         SELECT ended_line FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = s.seq
                         UNION ALL
                         SELECT ended_line FROM @ended WHERE state IN (4, 5, 6) AND seq = s.seq LIMIT 1) e
                     CROSS JOIN LATERAL (
                         SELECT failure FROM @history WHERE seq = s.seq AND n = e.ended_line AND strpos(failure, $9) > 0
                         LIMIT 1) h) f ON true",
            )
        } else {
            ("true, NULL::text", "")
        };
        let sql = format!(
            "SELECT s.seq, {checks}, {texts} FROM ({}) s {job} {failure},
                 (SELECT {TYPES}, $8::text, $9::text, $10::text) AS given
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
    let mut scan = wanted.begin(path, before, SCAN_BUDGET_MS);
    let (mut found, mut next, mut searched_to) = (Vec::new(), None, None);
    let mut finds = false;
    while finds || wanted.pass_over(tx, &mut scan).await? {
        // One more than asked for tells whether there is a next page.
        let slice = wanted.slice(tx, &mut scan, amount(limit + 1)).await?;
        finds = !slice.found.is_empty();
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
    let (items, damaged) = show::summaries(tx, &found).await?;
    Ok(Page { items, next: next.map(|seq| seq.to_string()), searched_to, damaged })
}

pub(super) async fn count(tx: &mut Tx<'_>, filter: &JobFilter) -> Result<FilteredCount, Fault> {
    let counted =
        |count: u64, cut: bool| FilteredCount { count: count.min(MAX_COUNTED), more: cut || count > MAX_COUNTED };
    let Some(wanted) = Wanted::of(tx, filter).await? else { return Ok(counted(0, false)) };
    let (path, exact) = wanted.tallied(tx).await?;
    if wanted.tag.is_none() && wanted.text.is_none() && wanted.reason.is_none() && !wanted.is_of_time() {
        return Ok(counted(unsigned(exact), false));
    }
    let mut scan = wanted.begin(path, i64::MAX, COUNT_BUDGET_MS);
    if scan.is_whole {
        let sql = format!("SELECT count(*) FROM ({}) s, (SELECT {TYPES}) AS given", Wanted::along(path));
        let query =
            wanted.bind(tx.query_of(&sql), &scan, amount(usize::try_from(MAX_COUNTED).unwrap_or(usize::MAX)) + 1);
        let row = tx.first(query).await?.ok_or(Fault::Again)?;
        return Ok(counted(unsigned(row.try_get(0)?), false));
    }
    let (mut jobs, mut finds) = (0, false);
    while finds || wanted.pass_over(tx, &mut scan).await? {
        let slice = wanted.slice(tx, &mut scan, MAX_SLICE).await?;
        finds = !slice.found.is_empty();
        jobs += u64::try_from(slice.found.len()).unwrap_or(u64::MAX);
        let Some(last) = slice.last else { break };
        if jobs > MAX_COUNTED || Instant::now() >= scan.deadline {
            return Ok(counted(jobs, true));
        }
        scan.before = last;
    }
    Ok(counted(jobs, false))
}
