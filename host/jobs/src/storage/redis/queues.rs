//! Queues as a whole, counts, and counters.

use std::collections::BTreeMap;

use redis::cmd;
use windlass_api::{CounterQuery, CounterRow, Counts, Grain, HandlerPath, QueueName, QueueView, State, Timestamp};

use super::{
    RedisStorage,
    answer::{self, List},
    fault::damaged,
    script,
};
use crate::storage::{MAX_COUNTER_ROWS, MAX_SPANS, Signal, StorageError, too_many_rows};

/// How many spans are read by one step.
const STEP: u64 = 500;

/// How many queues' lines are looked at by one step, so that others get their turn in between.
const QUEUES: usize = 500;

/// How many jobs there are of a queue, a handler and a state.
pub(super) struct Tally {
    pub(super) queue: QueueName,
    pub(super) path: HandlerPath,
    pub(super) state: State,
    pub(super) jobs: u64,
}

fn tallies(mut fields: List) -> Result<Vec<Tally>, StorageError> {
    let mut tallies = Vec::new();
    while !fields.is_empty() {
        let (field, jobs) = (fields.text()?, fields.number::<i64>()?);
        tallies.push(tally(&field, jobs).ok_or_else(|| damaged("a count of jobs", format_args!("`{field}`")))?);
    }
    Ok(tallies)
}

fn tally(field: &str, jobs: i64) -> Option<Tally> {
    let mut words = field.split(' ');
    let (queue, path) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let state = State::ALL.get(words.next()?.parse::<usize>().ok()?).copied()?;
    Some(Tally { queue, path, state, jobs: u64::try_from(jobs).unwrap_or(0) })
}

impl RedisStorage {
    /// How many jobs there are, by queue, handler and state.
    pub(super) async fn tally(&self) -> Result<Vec<Tally>, StorageError> {
        let mut command = cmd("HGETALL");
        command.arg(format!("{}tally", self.prefix));
        tallies(List::of(self.link.ask(&command).await?)?)
    }

    pub(super) async fn all_counts(&self) -> Result<Counts, StorageError> {
        let mut counts = Counts::default();
        for tally in self.tally().await? {
            *counts.0.entry(tally.state).or_default() += tally.jobs;
        }
        counts.0.retain(|_, jobs| *jobs > 0);
        Ok(counts)
    }

    pub(super) async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), StorageError> {
        let mut call = self.call(&script::PAUSE);
        call.arg(queue.as_str()).arg(u8::from(paused));
        self.run(call).await?;
        if !paused {
            self.hub.tell(Signal::Work);
        }
        Ok(())
    }

    pub(super) async fn all_queues(&self) -> Result<Vec<QueueView>, StorageError> {
        let mut answer = List::of(self.run(self.call(&script::QUEUES)).await?)?;
        let mut queues = BTreeMap::<QueueName, QueueView>::new();
        let mut paused = List::of(answer.next()?)?;
        while !paused.is_empty() {
            let name = paused.text()?.parse().map_err(|error| damaged("a queue", error))?;
            view(&mut queues, name).paused = true;
        }
        for tally in tallies(List::of(answer.next()?)?)? {
            let view = view(&mut queues, tally.queue);
            match tally.state {
                State::Enqueued => view.enqueued += tally.jobs,
                State::Processing => view.processing += tally.jobs,
                _ => {}
            }
        }
        let mut waiting = queues.values_mut().filter(|view| view.enqueued > 0).collect::<Vec<_>>();
        for some in waiting.chunks_mut(QUEUES) {
            let mut call = self.call(&script::QUEUES);
            for view in some.iter() {
                call.arg(view.name.as_str());
            }
            let mut answer = List::of(self.run(call).await?)?;
            for view in some {
                view.oldest_at = answer::optional_number(answer.next()?)?.map(Timestamp);
            }
        }
        Ok(queues.into_values().collect())
    }

    /// The names of the queues that are paused, in their order; they may be none that can be given to one.
    pub(super) async fn paused_names(&self) -> Result<Vec<String>, StorageError> {
        let mut command = cmd("SMEMBERS");
        command.arg(format!("{}paused", self.prefix));
        let mut answer = List::of(self.link.ask(&command).await?)?;
        let mut names = Vec::new();
        while !answer.is_empty() {
            names.push(String::from_utf8_lossy(&answer.bytes()?).into_owned());
        }
        names.sort();
        Ok(names)
    }

    pub(super) async fn happened(&self, query: &CounterQuery) -> Result<Vec<CounterRow>, StorageError> {
        let mut last = query.before.0.saturating_sub(1);
        let newest = query.grain.start_of(Timestamp(last)).0;
        let spans_back = query.grain.span_ms().saturating_mul(MAX_SPANS - 1);
        let first = query.grain.start_of(query.from).0.max(newest.saturating_sub_unsigned(spans_back));
        let wanted = |row: &CounterRow| {
            query.module.as_ref().is_none_or(|module| row.module == *module)
                && query.handler.as_ref().is_none_or(|handler| row.handler == *handler)
        };
        let mut rows = Vec::new();
        while last >= first {
            let mut call = self.call(&script::COUNTERS);
            call.arg(grain_letter(query.grain)).arg(first).arg(last).arg(STEP);
            let mut answer = List::of(self.run(call).await?)?;
            let mut some = Vec::new();
            let (mut spans, mut oldest) = (0, last);
            while !answer.is_empty() {
                let at = Timestamp(answer.number()?);
                oldest = oldest.min(at.0);
                spans += 1;
                let span = Span::read(at, List::of(answer.next()?)?)?;
                if let Some(field) = span.damaged.first() {
                    return Err(damaged("a counter", field));
                }
                some.extend(span.rows.into_iter().filter(wanted));
                if some.len() + rows.len() > MAX_COUNTER_ROWS {
                    return Err(StorageError::TooLarge(too_many_rows(MAX_COUNTER_ROWS)));
                }
            }
            some.append(&mut rows);
            rows = some;
            if spans < STEP {
                break;
            }
            last = oldest.saturating_sub(1);
        }
        Ok(rows)
    }

    /// What happened in one span, as far as it can be read.
    pub(super) async fn span(&self, grain: Grain, at: i64) -> Result<Span, StorageError> {
        let mut command = cmd("HGETALL");
        command.arg(format!("{}n:{}:{at}", self.prefix, grain_letter(grain)));
        Span::read(Timestamp(at), List::of(self.link.ask(&command).await?)?)
    }

    /// What time it is in this storage.
    pub(super) async fn now(&self) -> Result<Timestamp, StorageError> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now());
        }
        let mut time = List::of(self.link.ask(&cmd("TIME")).await?)?;
        let (seconds, micros) = (time.number::<i64>()?, time.number::<i64>()?);
        Ok(Timestamp(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
    }
}

fn view(queues: &mut BTreeMap<QueueName, QueueView>, name: QueueName) -> &mut QueueView {
    queues.entry(name.clone()).or_insert(QueueView { name, paused: false, enqueued: 0, processing: 0, oldest_at: None })
}

pub(super) fn grain_letter(grain: Grain) -> &'static str {
    match grain {
        Grain::Minute => "m",
        Grain::Hour => "h",
    }
}

/// The numbers of a row with their names.
pub(super) fn numbers(row: &CounterRow) -> [(&'static str, u64); 8] {
    [
        ("made", row.made),
        ("succeeded", row.succeeded),
        ("failed", row.failed),
        ("retried", row.retried),
        ("deleted", row.deleted),
        ("runs", row.runs),
        ("run_us", row.run_us),
        ("fuel", row.fuel),
    ]
}

/// What happened in a span, by module and handler.
pub(super) struct Span {
    pub(super) rows: Vec<CounterRow>,
    /// The fields that cannot be read.
    pub(super) damaged: Vec<String>,
}

impl Span {
    fn read(at: Timestamp, mut fields: List) -> Result<Self, StorageError> {
        let mut rows = BTreeMap::<HandlerPath, CounterRow>::new();
        let mut damaged = Vec::new();
        while !fields.is_empty() {
            let (field, count) = (fields.bytes()?, fields.bytes()?);
            let (field, count) = (String::from_utf8_lossy(&field), String::from_utf8_lossy(&count));
            let parsed = || {
                let (path, what) = field.split_once(' ')?;
                Some((path.parse::<HandlerPath>().ok()?, what, count.parse::<u64>().ok()?))
            };
            match parsed() {
                Some((path, what, count)) => {
                    let row = rows.entry(path.clone()).or_insert_with(|| nothing(at, path));
                    set(row, what, count);
                }
                None => damaged.push(format!("`{field}` with the value `{count}`")),
            }
        }
        Ok(Self { rows: rows.into_values().collect(), damaged })
    }
}

fn nothing(at: Timestamp, path: HandlerPath) -> CounterRow {
    CounterRow {
        at,
        module: path.module,
        handler: path.handler,
        made: 0,
        succeeded: 0,
        failed: 0,
        retried: 0,
        deleted: 0,
        runs: 0,
        run_us: 0,
        fuel: 0,
    }
}

fn set(row: &mut CounterRow, what: &str, count: u64) {
    match what {
        "made" => row.made = count,
        "succeeded" => row.succeeded = count,
        "failed" => row.failed = count,
        "retried" => row.retried = count,
        "deleted" => row.deleted = count,
        "runs" => row.runs = count,
        "run_us" => row.run_us = count,
        "fuel" => row.fuel = count,
        // A newer Windlass may count more.
        _ => {}
    }
}
