//! The life of a job, as the scripts keep it and as it is shown.
//!
//! Three kinds of lines are not kept as such: the first one and the beginning of the run that goes on stand in the job's
//! record, and a run that has ended is one line for its beginning and its end.

use windlass_api::{Failure, HistoryLine, ServerId, State, Timestamp, Usage};

use super::{
    bytes::{NONE, Reader, Why, put_text, state_number, uuid},
    record::Record,
};

/// How many lines are shown beside the first; more may be kept for a while.
const MAX_LINES: usize = 1000;

/// Why a job waits for its handler.
pub(super) const HANDLER_MISSING: &str = "handler-missing";

/// Why it waits for the jobs that it continues, and why it is deleted where one of them cannot end as it should.
pub(super) const PARENTS: &str = "parents";
const PARENT_GONE: &str = "parent-gone";

/// One line as it is kept.
pub(super) struct Kept {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) at: Timestamp,
    /// Empty where a run's own server ended it.
    pub(super) by: String,
    pub(super) reason: Option<String>,
    pub(super) run: Option<Run>,
}

/// A run that has ended.
pub(super) struct Run {
    pub(super) run: u32,
    pub(super) attempt: u32,
    pub(super) started_at: Timestamp,
    pub(super) server: ServerId,
    pub(super) usage: Usage,
    pub(super) failure: Option<Failure>,
}

/// The lines in a job's history, oldest first.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Kept>, Why> {
    let mut reader = Reader(bytes);
    let mut lines = Vec::new();
    while !reader.0.is_empty() {
        let count = reader.u32()?;
        lines.push(read_line(Reader(reader.take(usize::try_from(count).unwrap_or(usize::MAX))?))?);
    }
    Ok(lines)
}

fn read_line(mut reader: Reader<'_>) -> Result<Kept, Why> {
    let is_run = reader.u8()? == 1;
    let (from, to, at) = (reader.state()?, reader.state()?, reader.instant()?);
    let by = reader.long_text()?.to_owned();
    let reason = Some(reader.long_text()?).filter(|reason| !reason.is_empty()).map(str::to_owned);
    let run = is_run.then(|| read_run(reader)).transpose()?;
    Ok(Kept { from, to, at, by, reason, run })
}

fn read_run(mut reader: Reader<'_>) -> Result<Run, Why> {
    let (run, attempt, started_at) = (reader.u32()?, reader.u32()?, reader.i64()?);
    let server = ServerId(uuid(reader.take(16)?)?);
    let usage = Usage {
        fuel: reader.u64()?,
        peak_memory_bytes: reader.u64()?,
        wall_us: reader.u64()?,
        log_bytes: reader.u64()?,
        sent_bytes: reader.u64()?,
        received_bytes: reader.u64()?,
    };
    let failure = reader.rest();
    let failure = (!failure.is_empty()).then(|| serde_json::from_slice(failure)).transpose();
    Ok(Run {
        run,
        attempt,
        started_at: Timestamp(if started_at == NONE { 0 } else { started_at }),
        server,
        usage,
        failure: failure.map_err(|error| error.to_string())?,
    })
}

/// What a run used, as it is kept: 48 bytes.
pub(super) fn usage_bytes(usage: &Usage) -> Vec<u8> {
    let numbers =
        [usage.fuel, usage.peak_memory_bytes, usage.wall_us, usage.log_bytes, usage.sent_bytes, usage.received_bytes];
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

impl Kept {
    /// Writes the line with its length before it.
    pub(super) fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut line = vec![u8::from(self.run.is_some()), state_number(self.from), state_number(self.to)];
        line.extend(self.at.0.to_be_bytes());
        put_text(&mut line, &self.by);
        put_text(&mut line, self.reason.as_deref().unwrap_or_default());
        if let Some(run) = &self.run {
            line.extend(run.run.to_be_bytes());
            line.extend(run.attempt.to_be_bytes());
            line.extend(run.started_at.0.to_be_bytes());
            line.extend(run.server.0.as_bytes());
            line.extend(usage_bytes(&run.usage));
            if let Some(failure) = &run.failure {
                line.extend(serde_json::to_vec(failure)?);
            }
        }
        to.extend(u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes());
        to.extend(line);
        Ok(())
    }

    fn show(self, lines: &mut Vec<HistoryLine>) {
        let Some(run) = self.run else {
            lines.push(HistoryLine { from: Some(self.from), reason: self.reason, ..line(self.to, self.at, self.by) });
            return;
        };
        let server = by_server(Some(run.server));
        let (number, attempt) = (Some(run.run), Some(run.attempt));
        lines.push(HistoryLine {
            from: Some(State::Enqueued),
            run: number,
            attempt,
            ..line(State::Processing, run.started_at, server.clone())
        });
        lines.push(HistoryLine {
            from: Some(self.from),
            reason: self.reason,
            run: number,
            attempt,
            usage: Some(run.usage),
            failure: run.failure,
            ..line(self.to, self.at, if self.by.is_empty() { server } else { self.by })
        });
    }
}

/// The whole life of a job.
pub(super) fn show(record: &Record, made_by: String, kept: Vec<Kept>) -> Vec<HistoryLine> {
    let mut lines = vec![HistoryLine {
        reason: born_reason(record).map(str::to_owned),
        ..line(record.born, record.created_at, made_by)
    }];
    let trimmed = kept.len().saturating_sub(MAX_LINES);
    for one in kept.into_iter().skip(trimmed) {
        one.show(&mut lines);
    }
    if record.state == State::Processing {
        lines.push(HistoryLine {
            run: Some(record.run),
            attempt: Some(record.attempt),
            from: Some(State::Enqueued),
            ..line(State::Processing, record.started_at.unwrap_or(record.at), by_server(record.server))
        });
    }
    lines
}

fn born_reason(record: &Record) -> Option<&'static str> {
    match record.born {
        State::Awaiting if record.more.waited => Some(PARENTS),
        State::Awaiting => Some(HANDLER_MISSING),
        State::Deleted => Some(PARENT_GONE),
        _ => None,
    }
}

fn line(to: State, at: Timestamp, by: String) -> HistoryLine {
    HistoryLine { from: None, to, at, by, reason: None, run: None, attempt: None, usage: None, failure: None }
}

fn by_server(server: Option<ServerId>) -> String {
    server.map_or_else(|| "server".to_owned(), |id| format!("server {id}"))
}
