//! Jobs as they are shown.

use std::collections::HashMap;

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{
    HandlerPath, HistoryLine, JobDetail, JobId, JobSummary, Json, Progress, QueueName, ServerId, State, Timestamp,
    Usage,
};

use super::{
    conditions,
    enqueue::HANDLER_MISSING,
    fault::Fault,
    flow::PARENTS,
    record::traits,
    tx::Tx,
    words::{self, Word, count, unsigned},
};
use crate::{Start, storage::StorageError};

/// Jobs by their numbers, with what stands beside them.
const SUMMARIES: &str = "
SELECT j.id, j.seq, j.handler, j.queue, coalesce(l.mode, e.mode), j.priority, coalesce(l.state, e.state),
    coalesce(l.reason, e.reason), coalesce(l.attempt, e.attempt), j.max_attempts, coalesce(l.run, e.run), j.tags,
    j.created_at, coalesce(l.at, e.at), coalesce(l.started_at, e.started_at), s.id, v.digest, coalesce(l.ask, e.ask),
    p.percent, p.note, p.at, h.failure, h.n, h.fuel, h.peak_memory, h.wall_us, h.log_bytes, h.sent_bytes,
    h.received_bytes, coalesce(l.ended_line, e.ended_line), coalesce(l.losses, e.losses),
    (SELECT module || '/' || name FROM @handlers WHERE n = j.handler), (SELECT name FROM @queues WHERE n = j.queue),
    l.expires_at, CASE WHEN l.held IS NOT NULL THEN (SELECT thing FROM @limited WHERE n = l.held) END,
    coalesce(l.traits, e.traits)
FROM unnest($1::bigint[]) AS wanted (seq)
CROSS JOIN LATERAL (SELECT * FROM @jobs WHERE seq = wanted.seq LIMIT 1) j
LEFT JOIN LATERAL (SELECT * FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = wanted.seq LIMIT 1) l ON true
LEFT JOIN LATERAL (SELECT * FROM @ended WHERE state IN (4, 5, 6) AND seq = wanted.seq LIMIT 1) e ON true
LEFT JOIN LATERAL (SELECT id FROM @servers WHERE n = l.server LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT digest FROM @versions WHERE n = coalesce(l.version, e.version) LIMIT 1) v ON true
LEFT JOIN LATERAL (
    SELECT percent, note, at FROM @progress WHERE seq = wanted.seq AND run = coalesce(l.run, e.run) LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT n, failure, fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes FROM @history
    WHERE seq = wanted.seq AND n = coalesce(l.ended_line, e.ended_line) LIMIT 1) h ON true";

/// A job as lists show it, and what of it they do not.
struct Shown {
    seq: i64,
    losses: u32,
    expires_at: Option<Timestamp>,
    has_conditions: bool,
    summary: JobSummary,
}

/// Jobs by their numbers, as lists show them, in the order of the numbers. Those that are gone are left out.
pub(super) async fn summaries(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<(Vec<JobSummary>, u64), Fault> {
    let (mut summaries, mut damaged) = (HashMap::new(), 0);
    for shown in read(tx, seqs).await? {
        match shown {
            Ok(shown) => {
                summaries.insert(shown.seq, shown.summary);
            }
            // One that cannot be shown hides no other; whoever asks for it is told why.
            Err(fault) if fault.is_of_a_record() => {
                tracing::error!(error = %StorageError::from(fault), "a job is left out of a list");
                damaged += 1;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok((seqs.iter().filter_map(|seq| summaries.remove(seq)).collect(), damaged))
}

async fn shown(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<Vec<Shown>, Fault> {
    read(tx, seqs).await?.into_iter().collect()
}

async fn read(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<Vec<Result<Shown, Fault>>, Fault> {
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let query = tx.query(SUMMARIES).bind(seqs.to_vec());
    let mut shown = Vec::with_capacity(seqs.len());
    for row in tx.all(query).await? {
        let id = JobId(row.try_get::<Uuid, _>(0)?);
        let read = read_summary(&row, id);
        shown.push(read.map_err(|fault| match fault {
            Fault::Damaged(why) => Fault::damaged(format_args!("job {id}"), why),
            Fault::Sql(error @ sqlx::Error::ColumnDecode { .. }) => Fault::damaged(format_args!("job {id}"), error),
            fault => fault,
        }));
    }
    Ok(shown)
}

fn read_summary(row: &PgRow, id: JobId) -> Result<Shown, Fault> {
    let damaged = |why: &dyn std::fmt::Display| Fault::Damaged(why.to_string());
    let path = row.try_get::<Option<&str>, _>(31)?.ok_or_else(|| damaged(&"its handler is not there"))?;
    let path = path.parse::<HandlerPath>().map_err(|error| damaged(&error))?;
    let queue = row.try_get::<Option<&str>, _>(32)?.ok_or_else(|| damaged(&"its queue is not there"))?;
    let queue = queue.parse::<QueueName>().map_err(|error| damaged(&error))?;
    let state = row.try_get::<Option<i16>, _>(6)?;
    let state =
        state.ok_or_else(|| Fault::Damaged("it is neither among those that live nor among those that ended".into()))?;
    let state = State::from_number(state)?;
    let number = |at: usize| row.try_get::<i64, _>(at).map(count);
    let instant = |at: usize| row.try_get::<Option<i64>, _>(at).map(|at| at.map(Timestamp));
    let tags = row.try_get::<Option<&str>, _>(11)?.map(serde_json::from_str).transpose();
    let failure = row.try_get::<Option<&str>, _>(21)?.map(serde_json::from_str).transpose();
    let progress = match row.try_get::<Option<f32>, _>(18)? {
        Some(percent) => Some(Progress { percent, note: row.try_get(19)?, at: instant(20)?.unwrap_or_default() }),
        None => None,
    };
    let at = instant(13)?.unwrap_or_default();
    let summary = JobSummary {
        id,
        module: path.module,
        handler: path.handler,
        mode: Word::from_number(row.try_get(4)?)?,
        queue,
        priority: u8::try_from(row.try_get::<i16, _>(5)?).unwrap_or(u8::MAX),
        state,
        reason: row.try_get(7)?,
        attempt: number(8)?,
        max_attempts: number(9)?,
        run: number(10)?,
        tags: tags.map_err(|error| Fault::damaged("its tags", error))?.unwrap_or_default(),
        created_at: Timestamp(row.try_get(12)?),
        run_at: (state == State::Scheduled).then_some(at),
        started_at: instant(14)?,
        finished_at: state.is_final().then_some(at),
        server: row.try_get::<Option<Uuid>, _>(15)?.map(ServerId),
        version: row.try_get::<Option<&[u8]>, _>(16)?.map(words::digest).transpose()?,
        cancel_requested: row.try_get::<Option<i16>, _>(17)?.is_some(),
        // A line that is lost says nothing; the job goes on with the next promotion.
        held_by: row.try_get::<Option<&str>, _>(34)?.and_then(|thing| thing.parse().ok()),
        progress,
        usage: row.try_get::<Option<i64>, _>(29)?.map(|_| usage(row, 23)).transpose()?,
        failure: failure.map_err(|error| Fault::damaged("its failure", error))?,
    };
    let traits = row.try_get::<Option<i16>, _>(35)?.unwrap_or(0);
    Ok(Shown {
        seq: row.try_get(1)?,
        losses: number(30)?,
        expires_at: instant(33)?,
        has_conditions: traits & traits::CONDITIONS != 0,
        summary,
    })
}

/// Reads a usage from six columns; 0 where a trimmed history has none.
fn usage(row: &PgRow, first: usize) -> Result<Usage, Fault> {
    let number = |at: usize| row.try_get::<Option<i64>, _>(first + at).map(|value| value.map_or(0, unsigned));
    Ok(Usage {
        fuel: number(0)?,
        peak_memory_bytes: number(1)?,
        wall_us: number(2)?,
        log_bytes: number(3)?,
        sent_bytes: number(4)?,
        received_bytes: number(5)?,
    })
}

pub(super) async fn job(tx: &mut Tx<'_>, id: JobId) -> Result<Option<JobDetail>, Fault> {
    let query = tx.query("SELECT seq FROM @jobs WHERE id = $1").bind(id.0);
    let Some(row) = tx.first(query).await? else {
        let query = tx.query("SELECT 1 FROM @live WHERE id = $1").bind(id.0);
        return match tx.first(query).await? {
            Some(_) => Err(Fault::damaged(
                format_args!("job {id}"),
                "its record is not there, although it is known that it was stored",
            )),
            None => Ok(None),
        };
    };
    Ok(details(tx, &[row.try_get(0)?]).await?.pop().map(|whole| whole.detail))
}

/// A job with all that is shown of it, and what else is known.
pub(super) struct Whole {
    pub(super) seq: i64,
    pub(super) losses: u32,
    pub(super) detail: JobDetail,
    /// The parents that it waits for, how it starts once it does not, and whether it is the holder of its key.
    pub(super) waits_for: Vec<JobId>,
    pub(super) start: Option<Start>,
    pub(super) holds_key: bool,
}

/// Jobs by their numbers, with all that is known of them, in the order of the numbers.
pub(super) async fn details(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<Vec<Whole>, Fault> {
    let mut histories = histories(tx, seqs).await?;
    let query = tx
        .query(
            "SELECT j.seq, j.born, j.made_by, j.timeout_ms, j.retry, j.headers, j.payload, e.result
             FROM unnest($1::bigint[]) AS wanted (seq)
             CROSS JOIN LATERAL (SELECT * FROM @jobs WHERE seq = wanted.seq LIMIT 1) j
             LEFT JOIN LATERAL (
                 SELECT result FROM @ended WHERE state IN (4, 5, 6) AND seq = wanted.seq LIMIT 1) e ON true",
        )
        .bind(seqs.to_vec());
    let mut wide = HashMap::new();
    for row in tx.all(query).await? {
        wide.insert(row.try_get::<i64, _>(0)?, row);
    }
    let mut shown = shown(tx, seqs).await?;
    shown.sort_by_key(|shown| shown.seq);
    let conditioned = shown.iter().filter(|shown| shown.has_conditions).map(|shown| shown.seq).collect::<Vec<_>>();
    let mut conditions = conditions::known(tx, &conditioned).await?;
    let mut details = Vec::with_capacity(shown.len());
    for Shown { seq, losses, expires_at, summary, .. } in shown {
        let id = summary.id;
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("job {id}"), why);
        let row = wide.get(&seq).ok_or_else(|| damaged(&"its payload is not there"))?;
        let retry = row.try_get::<Option<&str>, _>(4)?.map(serde_json::from_str).transpose();
        let headers = row.try_get::<Option<&str>, _>(5)?.map(serde_json::from_str).transpose();
        let result = row.try_get::<Option<&str>, _>(7)?.map(serde_json::from_str::<Json>).transpose();
        let at = summary.run_at.or(summary.finished_at).unwrap_or(summary.created_at);
        let lines = histories.remove(&seq).unwrap_or_default();
        let born = State::from_number(row.try_get(1)?)?;
        let known = conditions.remove(&seq).unwrap_or_default();
        let waits = summary.state == State::Awaiting && summary.reason.as_deref() == Some(PARENTS);
        let born_reason = known.born_reason.or_else(|| (born == State::Awaiting).then(|| HANDLER_MISSING.to_owned()));
        let detail = JobDetail {
            payload: serde_json::from_str(row.try_get(6)?).map_err(|error| damaged(&error))?,
            headers: headers.map_err(|error| damaged(&error))?.unwrap_or_default(),
            retry: retry.map_err(|error| damaged(&error))?.unwrap_or_default(),
            timeout_ms: row.try_get::<Option<i64>, _>(3)?.map(unsigned),
            result: result.map_err(|error| damaged(&error))?,
            after: known.after,
            unique: known.unique,
            expires_at,
            limit_key: known.limit_key,
            removed_at: tx.retention.expires_at(summary.state, at),
            history: history(&summary, (born, born_reason), row.try_get(2)?, lines)?,
            job: summary,
        };
        details.push(Whole {
            seq,
            losses,
            detail,
            waits_for: known.waits_for,
            start: known.start.filter(|_| waits),
            holds_key: known.holds_key,
        });
    }
    Ok(details)
}

async fn histories(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<HashMap<i64, Vec<PgRow>>, Fault> {
    let query = tx
        .query(
            "SELECT h.from_state, h.to_state, h.at, h.run, h.attempt, h.started_at, s.id, h.by, h.reason, h.failure,
                 h.fuel, h.peak_memory, h.wall_us, h.log_bytes, h.sent_bytes, h.received_bytes, h.seq
             FROM (SELECT * FROM @history WHERE seq = ANY($1::bigint[]) OFFSET 0) h
             LEFT JOIN LATERAL (SELECT id FROM @servers WHERE n = h.server LIMIT 1) s ON true ORDER BY h.seq, h.n",
        )
        .bind(seqs.to_vec());
    let mut histories = HashMap::<i64, Vec<PgRow>>::new();
    for row in tx.all(query).await? {
        histories.entry(row.try_get(16)?).or_default().push(row);
    }
    Ok(histories)
}

/// The life of a job. Three kinds of lines are not kept as such: the first one and the beginning of the run that goes
/// on stand in the job itself, and a run that has ended is one record for its beginning and its end.
fn history(
    job: &JobSummary,
    (born, reason): (State, Option<String>),
    made_by: String,
    rows: Vec<PgRow>,
) -> Result<Vec<HistoryLine>, Fault> {
    let mut lines = vec![HistoryLine { from: None, reason, ..line(born, job.created_at, made_by) }];
    for row in rows {
        recorded(&row, job.id, &mut lines)?;
    }
    if job.state == State::Processing {
        lines.push(HistoryLine {
            run: Some(job.run),
            attempt: Some(job.attempt),
            from: Some(State::Enqueued),
            ..line(State::Processing, job.started_at.unwrap_or(job.created_at), by_server(job.server))
        });
    }
    Ok(lines)
}

fn recorded(row: &PgRow, job: JobId, lines: &mut Vec<HistoryLine>) -> Result<(), Fault> {
    let (from, to) = (State::from_number(row.try_get(0)?)?, State::from_number(row.try_get(1)?)?);
    let server = row.try_get::<Option<Uuid>, _>(6)?.map(ServerId);
    let run = row.try_get::<Option<i64>, _>(3)?.map(count);
    let attempt = row.try_get::<Option<i64>, _>(4)?.map(count);
    let by = row.try_get::<Option<String>, _>(7)?.unwrap_or_else(|| by_server(server));
    let failure = row.try_get::<Option<&str>, _>(9)?.map(serde_json::from_str).transpose();
    if run.is_some() {
        let started_at = Timestamp(row.try_get::<Option<i64>, _>(5)?.unwrap_or_default());
        let started = line(State::Processing, started_at, by_server(server));
        lines.push(HistoryLine { run, attempt, from: Some(State::Enqueued), ..started });
    }
    lines.push(HistoryLine {
        from: Some(from),
        reason: row.try_get(8)?,
        run,
        attempt,
        usage: run.map(|_| usage(row, 10)).transpose()?,
        failure: failure.map_err(|error| Fault::damaged(format_args!("the history of job {job}"), error))?,
        ..line(to, Timestamp(row.try_get(2)?), by)
    });
    Ok(())
}

fn line(to: State, at: Timestamp, by: String) -> HistoryLine {
    HistoryLine { from: None, to, at, by, reason: None, run: None, attempt: None, usage: None, failure: None }
}

fn by_server(server: Option<ServerId>) -> String {
    server.map_or_else(|| "server".to_owned(), |id| format!("server {id}"))
}
