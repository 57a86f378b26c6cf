//! Lists of jobs.
//!
//! Each list follows the one index that leaves the fewest jobs to look at, as the tallies know beforehand; what else the
//! filter asks is checked job by job. A page's cursor is the number of its last job.

use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};
use windlass_api::{HandlerName, JobFilter, JobSummary, ModuleName, Page};

use super::{fault::Fault, show, words::Word};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// The size of a page in SQLite's terms: at least 1, at most [`MAX_PAGE`].
pub(super) fn page_size(limit: usize) -> i64 {
    i64::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(1)
}

pub(super) fn jobs(
    db: &Connection,
    filter: &JobFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<JobSummary>, Fault> {
    let parse = |text: &str| text.parse::<i64>().map_err(|_| Fault::Cursor(text.chars().take(80).collect()));
    let before = cursor.map(parse).transpose()?.unwrap_or(i64::MAX);
    let limit = page_size(limit);
    let Some(wanted) = Wanted::of(db, filter)? else { return Ok(Page::new(Vec::new(), None)) };
    // One more than asked for tells whether there is a next page.
    let mut found = wanted.find(db, before, limit + 1)?;
    let has_more = found.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        found.pop();
    }
    let next = found.last().filter(|_| has_more).map(ToString::to_string);
    let summaries = found.into_iter().map(|seq| Ok(show::summary(db, seq)?.map(|(_, summary)| summary)));
    Ok(Page::new(summaries.filter_map(Result::transpose).collect::<Result<_, Fault>>()?, next))
}

/// A filter in numbers.
struct Wanted<'a> {
    state: Option<i64>,
    queue: Option<i64>,
    /// The handlers that pass, where it matters.
    handlers: Option<Vec<i64>>,
    tag: Option<&'a str>,
}

/// What a list follows.
enum Path {
    All,
    State(i64),
    Queue(i64),
    Handler(i64),
    Tag,
}

impl<'a> Wanted<'a> {
    /// Nothing where no job can pass.
    fn of(db: &Connection, filter: &'a JobFilter) -> Result<Option<Self>, Fault> {
        let queue = match &filter.queue {
            Some(name) => {
                let mut query = db.prepare_cached("SELECT n FROM queues WHERE name = ?1")?;
                let Some(queue) = query.query_row([name.as_str()], |row| row.get(0)).optional()? else {
                    return Ok(None);
                };
                Some(queue)
            }
            None => None,
        };
        let handlers = match (&filter.module, &filter.handler) {
            (None, None) => None,
            (module, handler) => {
                let mut query = db.prepare_cached(
                    "SELECT n FROM handlers WHERE module = coalesce(?1, module) AND name = coalesce(?2, name)",
                )?;
                let names = (module.as_ref().map(ModuleName::as_str), handler.as_ref().map(HandlerName::as_str));
                let handlers = query.query_map(names, |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
                if handlers.is_empty() {
                    return Ok(None);
                }
                Some(handlers)
            }
        };
        Ok(Some(Self { state: filter.state.map(Word::number), queue, handlers, tag: filter.tag.as_deref() }))
    }

    /// The numbers of the jobs that pass, newest first.
    fn find(&self, db: &Connection, before: i64, limit: i64) -> Result<Vec<i64>, Fault> {
        let mut found = Vec::new();
        for path in self.paths(db)? {
            self.follow(db, &path, before, limit, &mut found)?;
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The index to follow, or one per handler: a module's list is merged from those of its handlers.
    fn paths(&self, db: &Connection) -> Result<Vec<Path>, Fault> {
        if self.tag.is_some() {
            return Ok(vec![Path::Tag]);
        }
        let mut cheapest = (i64::MAX, vec![Path::All]);
        if let Some(state) = self.state {
            let jobs = tallied(db, "SELECT coalesce(sum(jobs), 0) FROM tally WHERE state = ?1", state)?;
            cheapest = (jobs, vec![Path::State(state)]);
        }
        if let Some(queue) = self.queue {
            let jobs = tallied(db, "SELECT coalesce(sum(jobs), 0) FROM tally WHERE queue = ?1", queue)?;
            if jobs < cheapest.0 {
                cheapest = (jobs, vec![Path::Queue(queue)]);
            }
        }
        if let Some(handlers) = &self.handlers {
            let mut jobs = 0;
            for handler in handlers {
                jobs += tallied(db, "SELECT coalesce(sum(jobs), 0) FROM tally WHERE handler = ?1", *handler)?;
            }
            if jobs < cheapest.0 {
                cheapest.1 = handlers.iter().copied().map(Path::Handler).collect();
            }
        }
        Ok(cheapest.1)
    }

    fn follow(&self, db: &Connection, path: &Path, before: i64, limit: i64, found: &mut Vec<i64>) -> Result<(), Fault> {
        let mut values = vec![Value::from(before), Value::from(limit)];
        let mut bind = |value: Value| {
            values.push(value);
            values.len()
        };
        // A `+` keeps a condition from choosing the index.
        let mut conditions = String::new();
        let from = match path {
            Path::All => "jobs WHERE".to_owned(),
            Path::State(n) => format!("jobs INDEXED BY jobs_by_state WHERE state = ?{} AND", bind((*n).into())),
            Path::Queue(n) => format!("jobs INDEXED BY jobs_by_queue WHERE queue = ?{} AND", bind((*n).into())),
            Path::Handler(n) => format!("jobs INDEXED BY jobs_by_handler WHERE handler = ?{} AND", bind((*n).into())),
            Path::Tag => {
                let tag = bind(self.tag.unwrap_or_default().to_owned().into());
                format!("tags CROSS JOIN jobs USING (seq) WHERE tag = ?{tag} AND")
            }
        };
        if let Some(state) = self.state.filter(|_| !matches!(path, Path::State(_))) {
            conditions += &format!(" AND +state = ?{}", bind(state.into()));
        }
        if let Some(queue) = self.queue.filter(|_| !matches!(path, Path::Queue(_))) {
            conditions += &format!(" AND +queue = ?{}", bind(queue.into()));
        }
        if let Some(handlers) = self.handlers.as_ref().filter(|_| !matches!(path, Path::Handler(_))) {
            let list = handlers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            conditions += &format!(" AND +handler IN ({list})");
        }
        let column = if matches!(path, Path::Tag) { "tags.seq" } else { "jobs.seq" };
        let sql = format!("SELECT {column} FROM {from} {column} < ?1{conditions} ORDER BY {column} DESC LIMIT ?2");
        let mut query = db.prepare_cached(&sql)?;
        for seq in query.query_map(params_from_iter(values), |row| row.get(0))? {
            found.push(seq?);
        }
        Ok(())
    }
}

fn tallied(db: &Connection, sql: &str, key: i64) -> Result<i64, Fault> {
    Ok(db.prepare_cached(sql)?.query_row([key], |row| row.get(0))?)
}
