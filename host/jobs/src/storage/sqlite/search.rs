//! Looking for the jobs that pass a filter, newest first.

use std::{
    collections::BinaryHeap,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};
use windlass_api::{Failure, HandlerName, JobFilter, ModuleName};

use super::{
    fault::Fault,
    number,
    words::{Word, signed, unsigned},
};

/// How many jobs are looked at between two looks at the clock, where that is cheap.
const JOBS_PER_LOOK: u32 = 64;

/// A filter in numbers.
pub(super) struct Wanted<'a> {
    state: Option<i64>,
    reason: Option<&'a str>,
    queue: Option<i64>,
    /// The handlers that pass, where it matters.
    handlers: Option<Vec<i64>>,
    tag: Option<&'a str>,
    /// The first number that may pass, and the first one that is too high.
    span: (i64, i64),
    text: Option<&'a str>,
}

/// Where a search was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The last job that was looked at.
    pub(super) last: i64,
}

/// What a search follows.
#[derive(Clone, Copy)]
enum Path {
    All,
    State(i64),
    Queue(i64),
    Handler(i64),
    Tag,
}

/// A statement that gives the jobs along a path.
struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl<'a> Wanted<'a> {
    /// Nothing where no job can pass.
    pub(super) fn of(db: &Connection, filter: &'a JobFilter) -> Result<Option<Self>, Fault> {
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
        let span = (
            filter.created_from.map_or(i64::MIN, number::first_of),
            filter.created_before.map_or(i64::MAX, number::first_of),
        );
        Ok(Some(Self {
            state: filter.state.map(Word::number),
            reason: filter.reason.as_deref(),
            queue,
            handlers,
            tag: filter.tag.as_deref(),
            span,
            text: filter.text.as_deref().filter(|text| !text.is_empty()),
        }))
    }

    /// How many jobs pass, where the tallies know.
    pub(super) fn tallied(&self, db: &Connection) -> Result<Option<u64>, Fault> {
        if self.reason.is_some() || self.tag.is_some() || self.text.is_some() || self.span != (i64::MIN, i64::MAX) {
            return Ok(None);
        }
        let mut query = db.prepare_cached(
            "SELECT coalesce(sum(jobs), 0) FROM tally
             WHERE state = coalesce(?1, state) AND queue = coalesce(?2, queue) AND handler = coalesce(?3, handler)",
        )?;
        let mut jobs = 0;
        let each = self.handlers.as_ref().map_or_else(|| vec![None], |known| known.iter().copied().map(Some).collect());
        for handler in each {
            jobs += query.query_row((self.state, self.queue, handler), |row| row.get::<_, i64>(0))?;
        }
        Ok(Some(unsigned(jobs)))
    }

    /// How many jobs pass, no more than `limit` of them, where indexes alone answer.
    pub(super) fn count_by_index(&self, db: &Connection, limit: u64) -> Result<Option<u64>, Fault> {
        let paths = self.paths(db)?;
        if self.text.is_some() || paths.iter().any(|path| self.checks(*path)) {
            return Ok(None);
        }
        let mut jobs = 0;
        for path in paths {
            let left = limit.saturating_sub(jobs);
            if left == 0 {
                break;
            }
            let Statement { sql, mut values } = self.statement(path, i64::MAX);
            values.push(signed(left).into());
            let sql = format!("SELECT count(*) FROM ({sql} LIMIT ?{})", values.len());
            jobs += db.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0)).map(unsigned)?;
        }
        Ok(Some(jobs))
    }

    /// Visits the numbers of the jobs that pass, newest first and below `before`, until there are no more, the visitor has
    /// enough, or the time is over; that is the case only where more is looked at than an index gives. At least one job is
    /// looked at.
    pub(super) fn scan(
        &self,
        db: &Connection,
        before: i64,
        budget: Duration,
        mut visit: impl FnMut(i64) -> ControlFlow<()>,
    ) -> Result<Option<Cut>, Fault> {
        let began = Instant::now();
        let paths = self.paths(db)?;
        let is_bounded = self.text.is_some() || paths.iter().any(|path| self.checks(*path));
        let per_look = if self.text.is_some() { 1 } else { JOBS_PER_LOOK };
        // A module's list is merged from those of its handlers.
        let mut prepared = Vec::with_capacity(paths.len());
        for path in paths {
            let Statement { sql, values } = self.statement(path, before);
            prepared.push((db.prepare_cached(&sql)?, values));
        }
        let mut lists = Vec::with_capacity(prepared.len());
        for (query, values) in &mut prepared {
            lists.push(query.query(params_from_iter(std::mem::take(values)))?);
        }
        let mut heads = BinaryHeap::new();
        for (at, list) in lists.iter_mut().enumerate() {
            if let Some(row) = list.next()? {
                heads.push((row.get::<_, i64>(0)?, self.passes(row)?, at));
            }
        }
        let mut looked = 0_u32;
        while let Some((seq, passes, at)) = heads.pop() {
            if passes && visit(seq).is_break() {
                return Ok(None);
            }
            looked += 1;
            if is_bounded && looked.is_multiple_of(per_look) && began.elapsed() >= budget {
                return Ok(Some(Cut { last: seq }));
            }
            if let Some(row) = lists[at].next()? {
                heads.push((row.get(0)?, self.passes(row)?, at));
            }
        }
        Ok(None)
    }

    /// Whether a job passes whatever its index does not answer.
    fn passes(&self, row: &Row<'_>) -> Result<bool, Fault> {
        if !row.get::<_, bool>(1)? {
            return Ok(false);
        }
        let Some(text) = self.text else { return Ok(true) };
        // What is damaged is no text that somebody looks for.
        let contains = |at: usize| Ok::<_, Fault>(row.get_ref(at)?.as_str().is_ok_and(|column| column.contains(text)));
        if contains(2)? {
            return Ok(true);
        }
        let failure = row.get_ref(3)?.as_str().ok().and_then(|json| serde_json::from_str::<Failure>(json).ok());
        Ok(failure.is_some_and(|failure| failure.message.contains(text)))
    }

    /// The index to follow, or one for each handler.
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

    /// Whether anything but the text is left to be checked job by job along a path.
    fn checks(&self, path: Path) -> bool {
        self.reason.is_some()
            || self.state.is_some_and(|_| !matches!(path, Path::State(_)))
            || self.queue.is_some_and(|_| !matches!(path, Path::Queue(_)))
            || self.handlers.as_ref().is_some_and(|_| !matches!(path, Path::Handler(_)))
    }

    /// The jobs along a path, newest first: the number of each, whether it passes, and the texts to look at if it does.
    fn statement(&self, path: Path, before: i64) -> Statement {
        let mut values = vec![Value::from(before.min(self.span.1)), Value::from(self.span.0)];
        let mut bind = |value: Value| {
            values.push(value);
            values.len()
        };
        let from = match path {
            Path::All => "jobs".to_owned(),
            Path::State(_) => "jobs INDEXED BY jobs_by_state".to_owned(),
            Path::Queue(_) => "jobs INDEXED BY jobs_by_queue".to_owned(),
            Path::Handler(_) => "jobs INDEXED BY jobs_by_handler".to_owned(),
            Path::Tag => "tags CROSS JOIN jobs USING (seq)".to_owned(),
        };
        let along = match path {
            Path::All => String::new(),
            Path::State(n) => format!("state = ?{} AND", bind(n.into())),
            Path::Queue(n) => format!("queue = ?{} AND", bind(n.into())),
            Path::Handler(n) => format!("handler = ?{} AND", bind(n.into())),
            Path::Tag => format!("tag = ?{} AND", bind(self.tag.unwrap_or_default().to_owned().into())),
        };
        let mut checks = Vec::new();
        if let Some(state) = self.state.filter(|_| !matches!(path, Path::State(_))) {
            checks.push(format!("jobs.state = ?{}", bind(state.into())));
        }
        if let Some(reason) = self.reason {
            // A job without any is one with another.
            checks.push(format!("jobs.reason IS ?{}", bind(reason.to_owned().into())));
        }
        if let Some(queue) = self.queue.filter(|_| !matches!(path, Path::Queue(_))) {
            checks.push(format!("jobs.queue = ?{}", bind(queue.into())));
        }
        if let Some(handlers) = self.handlers.as_ref().filter(|_| !matches!(path, Path::Handler(_))) {
            let list = format!("[{}]", handlers.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
            checks.push(format!("jobs.handler IN (SELECT value FROM json_each(?{}))", bind(list.into())));
        }
        let passes = if checks.is_empty() { "1".to_owned() } else { checks.join(" AND ") };
        let (texts, beside) = if self.text.is_some() {
            (
                format!(", iif({passes}, payloads.payload, NULL), iif({passes}, history.failure, NULL)"),
                "LEFT JOIN payloads ON payloads.seq = jobs.seq
                 LEFT JOIN history ON history.seq = jobs.seq AND history.n = jobs.ended_line",
            )
        } else {
            (String::new(), "")
        };
        let seq = if matches!(path, Path::Tag) { "tags.seq" } else { "jobs.seq" };
        let sql = format!(
            "SELECT {seq}, {passes}{texts} FROM {from} {beside} WHERE {along} {seq} < ?1 AND {seq} >= ?2
             ORDER BY {seq} DESC"
        );
        Statement { sql, values }
    }
}

fn tallied(db: &Connection, sql: &str, key: i64) -> Result<i64, Fault> {
    Ok(db.prepare_cached(sql)?.query_row([key], |row| row.get(0))?)
}
