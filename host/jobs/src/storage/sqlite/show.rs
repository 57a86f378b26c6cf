//! Jobs as they are shown.

use rusqlite::{Connection, Row};
use windlass_api::{
    HistoryLine, InvalidLimit, JobDetail, JobId, JobSummary, Json, Progress, ServerId, State, Timestamp, Usage,
};

use super::{
    conditions::{self, Kept},
    fault::Fault,
    payload::{Wide, stored_json},
    record::{COLUMN_COUNT, Job, columns},
    words::{self, Word, count, unsigned},
};
use crate::storage::Retention;

/// A job with what stands beside it. Columns are counted from [`COLUMN_COUNT`] on.
const SUMMARY: &str = concat!(
    "SELECT ",
    columns!(),
    ", handlers.module, handlers.name, queues.name, servers.id, versions.digest, payloads.tags,
      progress.percent, progress.note, progress.at,
      history.failure, history.fuel, history.peak_memory, history.wall_us, history.log_bytes, history.sent_bytes,
      history.received_bytes
     FROM jobs
     JOIN handlers ON handlers.n = jobs.handler
     JOIN queues ON queues.n = jobs.queue
     LEFT JOIN servers ON servers.n = jobs.server
     LEFT JOIN versions ON versions.n = jobs.version
     LEFT JOIN payloads ON payloads.seq = jobs.seq
     LEFT JOIN progress ON progress.seq = jobs.seq AND progress.run = jobs.run
     LEFT JOIN history ON history.seq = jobs.seq AND history.n = jobs.ended_line
     WHERE jobs.seq = ?1"
);

/// A job by its number, as lists show it.
pub(super) fn summary(db: &Connection, seq: i64) -> Result<Option<(Job, JobSummary)>, Fault> {
    let mut query = db.prepare_cached(SUMMARY)?;
    let mut rows = query.query([seq])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let job = Job::read(row)?;
    let summary = read_summary(row, &job).map_err(|fault| match fault {
        Fault::Damaged(why) => Fault::damaged(format_args!("job {}", job.id), why),
        fault => fault,
    })?;
    Ok(Some((job, summary)))
}

fn read_summary(row: &Row<'_>, job: &Job) -> Result<JobSummary, Fault> {
    let text = |at: usize| row.get::<_, Option<String>>(COLUMN_COUNT + at);
    let name = |at: usize, what| text(at).map_err(Fault::from)?.ok_or_else(|| Fault::damaged(what, "it is not there"));
    let blob = |at: usize| row.get::<_, Option<Vec<u8>>>(COLUMN_COUNT + at);
    let tags = text(5)?.map(|tags| serde_json::from_str(&tags)).transpose();
    let failure = text(9)?.map(|failure| serde_json::from_str(&failure)).transpose();
    let progress = row.get::<_, Option<f64>>(COLUMN_COUNT + 6)?;
    #[expect(clippy::cast_possible_truncation, reason = "it was an f32 when it was stored")]
    let progress = match progress {
        Some(percent) => {
            Some(Progress { percent: percent as f32, note: text(7)?, at: Timestamp(row.get(COLUMN_COUNT + 8)?) })
        }
        None => None,
    };
    Ok(JobSummary {
        id: job.id,
        module: name(0, "its module")?.parse().map_err(|error| Fault::damaged("its module", error))?,
        handler: name(1, "its handler")?.parse().map_err(|error| Fault::damaged("its handler", error))?,
        mode: job.mode,
        queue: name(2, "its queue")?.parse().map_err(|error| Fault::damaged("its queue", error))?,
        priority: u8::try_from(job.priority).unwrap_or(u8::MAX),
        state: job.state,
        reason: job.reason.as_ref().map(ToString::to_string),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        run: job.run,
        tags: tags.map_err(|error| Fault::damaged("its tags", error))?.unwrap_or_default(),
        created_at: job.created_at,
        run_at: (job.state == State::Scheduled).then_some(job.at),
        started_at: job.started_at,
        finished_at: job.state.is_final().then_some(job.at),
        server: blob(3)?.map(|id| words::uuid(&id).map(ServerId)).transpose()?,
        version: blob(4)?.map(|digest| words::digest(&digest)).transpose()?,
        cancel_requested: job.ask.is_some(),
        held_by: job
            .held
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: InvalidLimit| Fault::damaged("the limit that it waits for", error))?,
        progress,
        usage: job.ended_line.map(|_| usage(row, COLUMN_COUNT + 10)).transpose()?,
        failure: failure.map_err(|error| Fault::damaged("its failure", error))?,
    })
}

/// Reads a usage from six columns; 0 where a trimmed history has none.
fn usage(row: &Row<'_>, first: usize) -> Result<Usage, Fault> {
    let number = |at: usize| row.get::<_, Option<i64>>(first + at).map(|value| value.map_or(0, unsigned));
    Ok(Usage {
        fuel: number(0)?,
        peak_memory_bytes: number(1)?,
        wall_us: number(2)?,
        log_bytes: number(3)?,
        sent_bytes: number(4)?,
        received_bytes: number(5)?,
    })
}

pub(super) fn detail(db: &Connection, retention: &Retention, id: JobId) -> Result<Option<JobDetail>, Fault> {
    let Some(seq) = Job::by_id(db, id)?.map(|job| job.seq) else { return Ok(None) };
    let shown = shown(db, retention, seq).map_err(|fault| match fault {
        fault if fault.is_of_the_file() => {
            Fault::damaged(format_args!("job {id}"), "the database file is damaged where a part of it stands")
        }
        fault => fault,
    })?;
    Ok(shown.map(|shown| shown.detail))
}

/// A job as it is kept and as it is shown.
pub(super) struct Shown {
    pub(super) job: Job,
    pub(super) kept: Kept,
    pub(super) detail: JobDetail,
}

/// A job by its number, with all that is known of it.
pub(super) fn shown(db: &Connection, retention: &Retention, seq: i64) -> Result<Option<Shown>, Fault> {
    let Some((job, summary)) = summary(db, seq)? else { return Ok(None) };
    let wide = Wide::read(db, &job)?;
    let kept = Kept::of(db, &job)?;
    let history = history(db, &job, &wide, &kept, summary.server)?;
    let limit_key = job.limit_key.as_deref().map(str::parse).transpose();
    let detail = JobDetail {
        result: result(db, &job)?,
        after: conditions::after(db, &job, &kept)?,
        expires_at: job.expires_at,
        limit_key: limit_key
            .map_err(|error: InvalidLimit| Fault::damaged(format_args!("the limit key of job {}", job.id), error))?,
        removed_at: retention.expires_at(job.state, job.at),
        job: summary,
        payload: wide.payload,
        headers: wide.headers,
        retry: wide.retry,
        timeout_ms: wide.timeout_ms,
        unique: kept.unique.clone(),
        history,
    };
    Ok(Some(Shown { job, kept, detail }))
}

fn result(db: &Connection, job: &Job) -> Result<Option<Json>, Fault> {
    let mut query = db.prepare_cached("SELECT result FROM results WHERE seq = ?1")?;
    let mut rows = query.query([job.seq])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let result = stored_json(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
    result.map(Some).map_err(|error| Fault::damaged(format_args!("the result of job {}", job.id), error))
}

/// The life of a job. Three kinds of lines are not kept as such: the first one and the beginning of the run that goes
/// on stand in the job itself, and a run that has ended is one record for its beginning and its end.
fn history(
    db: &Connection,
    job: &Job,
    wide: &Wide,
    kept: &Kept,
    server: Option<ServerId>,
) -> Result<Vec<HistoryLine>, Fault> {
    let lacked = || (wide.born == State::Awaiting).then(|| super::enqueue::HANDLER_MISSING.to_owned());
    let mut lines = vec![HistoryLine {
        from: None,
        reason: kept.born_reason.clone().or_else(lacked),
        ..line(wide.born, job.created_at, wide.made_by.clone())
    }];
    let mut query = db.prepare_cached(
        "SELECT from_state, to_state, history.at, run, attempt, history.started_at, servers.id, by, reason, failure,
             fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes
         FROM history LEFT JOIN servers ON servers.n = history.server WHERE seq = ?1 ORDER BY history.n",
    )?;
    let mut rows = query.query([job.seq])?;
    while let Some(row) = rows.next()? {
        recorded(row, job, &mut lines)?;
    }
    if job.state == State::Processing {
        let started_at = job.started_at.unwrap_or(job.at);
        lines.push(HistoryLine {
            run: Some(job.run),
            attempt: Some(job.attempt),
            from: Some(State::Enqueued),
            ..line(State::Processing, started_at, by_server(server))
        });
    }
    Ok(lines)
}

fn recorded(row: &Row<'_>, job: &Job, lines: &mut Vec<HistoryLine>) -> Result<(), Fault> {
    let (from, to) = (State::from_number(row.get(0)?)?, State::from_number(row.get(1)?)?);
    let server = row.get::<_, Option<Vec<u8>>>(6)?.map(|id| words::uuid(&id).map(ServerId)).transpose()?;
    let run = row.get::<_, Option<i64>>(3)?.map(count);
    let attempt = row.get::<_, Option<i64>>(4)?.map(count);
    let by = row.get::<_, Option<String>>(7)?.unwrap_or_else(|| by_server(server));
    let failure = row.get::<_, Option<String>>(9)?.map(|text| serde_json::from_str(&text)).transpose();
    if run.is_some() {
        let started_at = Timestamp(row.get::<_, Option<i64>>(5)?.unwrap_or_default());
        let started = line(State::Processing, started_at, by_server(server));
        lines.push(HistoryLine { run, attempt, from: Some(State::Enqueued), ..started });
    }
    lines.push(HistoryLine {
        from: Some(from),
        reason: row.get(8)?,
        run,
        attempt,
        usage: run.map(|_| usage(row, 10)).transpose()?,
        failure: failure.map_err(|error| Fault::damaged(format_args!("the history of job {}", job.id), error))?,
        ..line(to, Timestamp(row.get(2)?), by)
    });
    Ok(())
}

fn line(to: State, at: Timestamp, by: String) -> HistoryLine {
    HistoryLine { from: None, to, at, by, reason: None, run: None, attempt: None, usage: None, failure: None }
}

fn by_server(server: Option<ServerId>) -> String {
    server.map_or_else(|| "server".to_owned(), |id| format!("server {id}"))
}
