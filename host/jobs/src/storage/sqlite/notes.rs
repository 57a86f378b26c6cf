//! What runs write while they go on: progress, log lines and checkpoints.

use rusqlite::{Connection, OptionalExtension, params};
use windlass_api::{JobId, Json, LogLevel, LogLine, Page, Progress, Timestamp};

use super::{
    fault::Fault,
    payload::stored_json,
    record::Job,
    tx::Tx,
    words::{Word, count, signed, unsigned},
};
use crate::{
    Fence,
    storage::{JobRecord, MAX_CHECKPOINT_BYTES, MAX_CHECKPOINTS, Note, Superseded},
};

/// What a kept line takes beside its text.
const LINE_OVERHEAD_BYTES: usize = 32;

pub(super) fn note(tx: &mut Tx<'_>, notes: &[Note]) -> Result<Vec<Result<(), Superseded>>, Fault> {
    notes
        .iter()
        .map(|note| {
            let Some(job) = Job::fenced(tx, &note.fence)? else { return Ok(Err(Superseded)) };
            if let Some(progress) = &note.progress {
                keep_progress(tx, &job, progress)?;
            }
            keep_lines(tx, &job, &note.lines)?;
            Ok(Ok(()))
        })
        .collect()
}

fn keep_progress(tx: &Tx<'_>, job: &Job, progress: &Progress) -> Result<(), Fault> {
    // SQLite keeps what is not a number as NULL, which the column refuses.
    let percent = if progress.percent.is_nan() { 0.0 } else { progress.percent.clamp(0.0, 100.0) };
    tx.db
        .prepare_cached("INSERT OR REPLACE INTO progress (seq, run, percent, note, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![job.seq, job.run, percent, progress.note, progress.at.0])?;
    Ok(())
}

/// Keeps lines as far as the job's log has room. Where it ends, a line says so, and one more for each later run that
/// still logs.
fn keep_lines(tx: &Tx<'_>, job: &Job, lines: &[LogLine]) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let limit = signed(tx.retention.log_bytes_per_job);
    let had = tx
        .db
        .prepare_cached("SELECT bytes FROM log_sizes WHERE seq = ?1")?
        .query_row([job.seq], |row| row.get::<_, i64>(0))
        .optional()?
        .unwrap_or(0);
    if had >= limit {
        // Nothing comes after a run's word that the log is full, so the last line tells whether this run has said it.
        let last = tx
            .db
            .prepare_cached("SELECT run FROM logs WHERE seq = ?1 ORDER BY n DESC LIMIT 1")?
            .query_row([job.seq], |row| row.get::<_, i64>(0))
            .optional()?;
        if last != Some(i64::from(job.run)) {
            keep_end(tx, job, lines[0].at, limit)?;
        }
        return Ok(());
    }
    let mut bytes = had;
    for line in lines {
        if bytes >= limit {
            break;
        }
        let fields = line.fields.as_ref().map(Json::as_str);
        bytes = bytes.saturating_add(signed(line_bytes(&line.message, fields)));
        if bytes > limit {
            keep_end(tx, job, line.at, limit)?;
        } else {
            keep_line(tx, job, job.run, line.at, line.level, &line.message, fields)?;
        }
    }
    if bytes != had {
        keep_size(tx, job, bytes)?;
    }
    Ok(())
}

/// How much of a log a line takes.
fn line_bytes(message: &str, fields: Option<&str>) -> u64 {
    u64::try_from(LINE_OVERHEAD_BYTES + message.len() + fields.map_or(0, str::len)).unwrap_or(u64::MAX)
}

fn keep_size(tx: &Tx<'_>, job: &Job, bytes: i64) -> Result<(), Fault> {
    tx.db.prepare_cached("INSERT OR REPLACE INTO log_sizes (seq, bytes) VALUES (?1, ?2)")?.execute((job.seq, bytes))?;
    Ok(())
}

fn keep_end(tx: &Tx<'_>, job: &Job, at: Timestamp, limit: i64) -> Result<(), Fault> {
    let message = format!("the log of this job has reached its limit of {limit} bytes: nothing more is kept");
    keep_line(tx, job, job.run, at, LogLevel::Warn, &message, None)
}

fn keep_line(
    tx: &Tx<'_>,
    job: &Job,
    run: u32,
    at: Timestamp,
    level: LogLevel,
    message: &str,
    fields: Option<&str>,
) -> Result<(), Fault> {
    tx.db
        .prepare_cached("INSERT INTO logs (seq, run, at, level, message, fields) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![job.seq, run, at.0, level.number(), message, fields])?;
    Ok(())
}

pub(super) fn logs(db: &Connection, job: JobId, cursor: Option<&str>, limit: usize) -> Result<Page<LogLine>, Fault> {
    let mut after = cursor.map(super::list::numbered).transpose()?.unwrap_or(0);
    let mut items = Vec::new();
    if let Some(job) = Job::by_id(db, job)? {
        let last =
            each_line(db, job.seq, after, super::list::page_size(limit), |line| items.push(line)).map_err(|fault| {
                match fault {
                    Fault::Damaged(why) => Fault::damaged(format_args!("job {}", job.id), why),
                    fault => fault,
                }
            })?;
        after = last.unwrap_or(after);
    }
    Ok(Page::new(items, Some(after.to_string())))
}

/// Visits the lines of a job from after a number; gives the last one's number.
pub(super) fn each_line(
    db: &Connection,
    seq: i64,
    after: i64,
    limit: i64,
    mut visit: impl FnMut(LogLine),
) -> Result<Option<i64>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT n, run, at, level, message, fields FROM logs WHERE seq = ?1 AND n > ?2 ORDER BY n LIMIT ?3",
    )?;
    let mut rows = query.query((seq, after, limit))?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(row.get(0)?);
        let fields = row.get::<_, Option<String>>(5)?.as_deref().map(stored_json).transpose();
        visit(LogLine {
            run: count(row.get(1)?),
            at: Timestamp(row.get(2)?),
            level: LogLevel::from_number(row.get(3)?)?,
            message: row.get(4)?,
            fields: fields.map_err(|error| Fault::damaged("a log line", error))?,
        });
    }
    Ok(last)
}

/// Keeps what the runs of a job wrote in another storage.
pub(super) fn import(tx: &Tx<'_>, job: &Job, record: &JobRecord) -> Result<(), Fault> {
    if let Some(progress) = &record.detail.job.progress {
        keep_progress(tx, job, progress)?;
    }
    let mut bytes = 0_u64;
    for line in &record.logs {
        let fields = line.fields.as_ref().map(Json::as_str);
        bytes += line_bytes(&line.message, fields);
        keep_line(tx, job, line.run, line.at, line.level, &line.message, fields)?;
    }
    if bytes > 0 {
        keep_size(tx, job, signed(bytes))?;
    }
    for (key, value) in &record.checkpoints {
        keep_checkpoint(tx, job, key, value)?;
    }
    Ok(())
}

pub(super) fn checkpoint(db: &Connection, job: JobId, key: &str) -> Result<Option<Json>, Fault> {
    let value = db
        .prepare_cached("SELECT value FROM checkpoints JOIN jobs USING (seq) WHERE jobs.id = ?1 AND key = ?2")?
        .query_row((job.0.as_bytes(), key), |row| row.get::<_, String>(0))
        .optional()?;
    value
        .as_deref()
        .map(stored_json)
        .transpose()
        .map_err(|error| Fault::damaged(format_args!("a checkpoint of job {job}"), error))
}

pub(super) fn put_checkpoint(
    tx: &mut Tx<'_>,
    fence: &Fence,
    key: &str,
    value: &Json,
) -> Result<Result<(), Superseded>, Fault> {
    let Some(job) = Job::fenced(tx, fence)? else { return Ok(Err(Superseded)) };
    // The lengths stand at the head of each row, so that the values themselves are not read.
    let (keys, bytes) = tx
        .db
        .prepare_cached(
            "SELECT count(*), coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM checkpoints
             WHERE seq = ?1 AND key <> ?2",
        )?
        .query_row((job.seq, key), |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
    if keys >= MAX_CHECKPOINTS {
        let message = format!("the job has {keys} checkpoints: at most {MAX_CHECKPOINTS} are allowed");
        return Err(Fault::TooLarge(message));
    }
    let bytes = bytes.saturating_add(u64::try_from(key.len() + value.as_str().len()).unwrap_or(u64::MAX));
    if bytes > MAX_CHECKPOINT_BYTES {
        let message = format!(
            "the job's checkpoints would take {bytes} bytes: at most {MAX_CHECKPOINT_BYTES} in all are allowed"
        );
        return Err(Fault::TooLarge(message));
    }
    keep_checkpoint(tx, &job, key, value)?;
    Ok(Ok(()))
}

fn keep_checkpoint(tx: &Tx<'_>, job: &Job, key: &str, value: &Json) -> Result<(), Fault> {
    tx.db.prepare_cached("INSERT OR REPLACE INTO checkpoints (seq, key, value) VALUES (?1, ?2, ?3)")?.execute((
        job.seq,
        key,
        value.as_str(),
    ))?;
    Ok(())
}
