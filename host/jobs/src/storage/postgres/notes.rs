//! What runs write while they go on: progress, log lines and checkpoints.

use std::collections::HashMap;

use sqlx::Row;
use windlass_api::{JobId, Json, LogLevel, LogLine, Page, Progress, Timestamp};

use super::{
    fault::Fault,
    record::Job,
    search::page_size,
    tx::Tx,
    words::{Word, amount, count, plain, signed, unsigned},
};
use crate::{
    Fence,
    storage::{MAX_CHECKPOINT_BYTES, MAX_CHECKPOINTS, Note, Superseded},
};

/// What a kept line takes beside its text.
const LINE_OVERHEAD_BYTES: usize = 32;

pub(super) async fn note(tx: &mut Tx<'_>, notes: &[Note]) -> Result<Vec<Result<(), Superseded>>, Fault> {
    let fences = notes.iter().map(|note| note.fence).collect::<Vec<_>>();
    let held = Job::fenced(tx, &fences).await?.into_iter().collect::<HashMap<_, _>>();
    let mut progress = HashMap::new();
    let mut lines = HashMap::<Fence, Vec<&LogLine>>::new();
    for note in notes.iter().filter(|note| held.contains_key(&note.fence)) {
        if let Some(of) = &note.progress {
            progress.insert(note.fence, of);
        }
        lines.entry(note.fence).or_default().extend(&note.lines);
    }
    keep_progress(tx, &held, &progress).await?;
    keep_lines(tx, &held, lines).await?;
    Ok(notes.iter().map(|note| if held.contains_key(&note.fence) { Ok(()) } else { Err(Superseded) }).collect())
}

async fn keep_progress(
    tx: &mut Tx<'_>,
    held: &HashMap<Fence, Job>,
    progress: &HashMap<Fence, &Progress>,
) -> Result<(), Fault> {
    if progress.is_empty() {
        return Ok(());
    }
    let both = progress.iter().filter_map(|(fence, progress)| Some((held.get(fence)?, progress))).collect::<Vec<_>>();
    let percent = |given: f32| if given.is_nan() { 0.0 } else { given.clamp(0.0, 100.0) };
    let query = tx
        .query(
            "INSERT INTO @progress (seq, run, percent, note, at)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::real[], $4::text[], $5::bigint[])
             ON CONFLICT (seq) DO UPDATE SET run = excluded.run, percent = excluded.percent, note = excluded.note,
             at = excluded.at",
        )
        .bind(both.iter().map(|(job, _)| job.seq).collect::<Vec<_>>())
        .bind(both.iter().map(|(job, _)| i64::from(job.run)).collect::<Vec<_>>())
        .bind(both.iter().map(|(_, progress)| percent(progress.percent)).collect::<Vec<_>>())
        .bind(both.iter().map(|(_, progress)| progress.note.as_deref().map(plain)).collect::<Vec<_>>())
        .bind(both.iter().map(|(_, progress)| progress.at.0).collect::<Vec<_>>());
    tx.run(query).await?;
    Ok(())
}

/// Lines on their way into the database.
#[derive(Default)]
pub(super) struct Lines {
    seqs: Vec<i64>,
    runs: Vec<i64>,
    ats: Vec<i64>,
    levels: Vec<i16>,
    messages: Vec<String>,
    fields: Vec<Option<String>>,
}

impl Lines {
    pub(super) fn add(&mut self, seq: i64, line: &LogLine) {
        let fields = line.fields.as_ref().map(|fields| fields.as_str().to_owned());
        self.add_parts(seq, line.run, line.at, line.level, plain(&line.message), fields);
    }

    fn add_parts(
        &mut self,
        seq: i64,
        run: u32,
        at: Timestamp,
        level: LogLevel,
        message: String,
        fields: Option<String>,
    ) {
        self.seqs.push(seq);
        self.runs.push(i64::from(run));
        self.ats.push(at.0);
        self.levels.push(level.number());
        self.messages.push(message);
        self.fields.push(fields);
    }

    /// Says that the log is full.
    fn add_end(&mut self, job: &Job, at: Timestamp, limit: i64) {
        let message = format!("the log of this job has reached its limit of {limit} bytes: nothing more is kept");
        self.add_parts(job.seq, job.run, at, LogLevel::Warn, message, None);
    }

    pub(super) async fn keep(self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        if self.seqs.is_empty() {
            return Ok(());
        }
        let query = tx
            .query(
                "INSERT INTO @logs (seq, run, at, level, message, fields)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[], $6::text[])",
            )
            .bind(self.seqs)
            .bind(self.runs)
            .bind(self.ats)
            .bind(self.levels)
            .bind(self.messages)
            .bind(self.fields);
        tx.run(query).await?;
        Ok(())
    }
}

/// What a line takes of its job's log.
pub(super) fn size_of(line: &LogLine) -> i64 {
    let fields = line.fields.as_ref().map_or(0, |fields| fields.as_str().len());
    amount(LINE_OVERHEAD_BYTES + line.message.len() + fields)
}

/// Keeps lines as far as each job's log has room. Where it ends, a line says so, and one more for each later run that
/// still logs.
async fn keep_lines(
    tx: &mut Tx<'_>,
    held: &HashMap<Fence, Job>,
    lines: HashMap<Fence, Vec<&LogLine>>,
) -> Result<(), Fault> {
    let limit = signed(tx.retention.log_bytes_per_job);
    let logging = lines.into_iter().filter(|(_, lines)| !lines.is_empty()).collect::<Vec<_>>();
    let seqs = logging.iter().filter_map(|(fence, _)| held.get(fence).map(|job| job.seq)).collect::<Vec<_>>();
    if seqs.is_empty() {
        return Ok(());
    }
    let query = tx.query("SELECT seq, bytes FROM @log_sizes WHERE seq = ANY($1::bigint[])").bind(seqs);
    let mut sizes = HashMap::<i64, i64>::new();
    for row in tx.all(query).await? {
        sizes.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut kept = Lines::default();
    let (mut changed, mut changed_bytes) = (Vec::new(), Vec::new());
    for (fence, lines) in &logging {
        let Some(job) = held.get(fence) else { continue };
        let had = sizes.get(&job.seq).copied().unwrap_or(0);
        if had >= limit {
            // Nothing comes after a run's word that the log is full, so the last line tells whether this run has said it.
            let query = tx.query("SELECT run FROM @logs WHERE seq = $1 ORDER BY n DESC LIMIT 1").bind(job.seq);
            let last = tx.first(query).await?.map(|row| row.try_get::<i64, _>(0)).transpose()?;
            if last != Some(i64::from(job.run)) {
                kept.add_end(job, lines[0].at, limit);
            }
            continue;
        }
        let mut bytes = had;
        for line in lines {
            if bytes >= limit {
                break;
            }
            bytes = bytes.saturating_add(size_of(line));
            if bytes > limit {
                kept.add_end(job, line.at, limit);
            } else {
                // The fence's run wrote it, whatever the line says.
                kept.add(job.seq, &LogLine { run: job.run, ..(*line).clone() });
            }
        }
        changed.push(job.seq);
        changed_bytes.push(bytes);
    }
    kept.keep(tx).await?;
    keep_sizes(tx, changed, changed_bytes).await
}

pub(super) async fn keep_sizes(tx: &mut Tx<'_>, seqs: Vec<i64>, bytes: Vec<i64>) -> Result<(), Fault> {
    let query = tx
        .query(
            "INSERT INTO @log_sizes (seq, bytes) SELECT * FROM unnest($1::bigint[], $2::bigint[])
             ON CONFLICT (seq) DO UPDATE SET bytes = excluded.bytes",
        )
        .bind(seqs)
        .bind(bytes);
    tx.run(query).await?;
    Ok(())
}

pub(super) async fn logs(
    tx: &mut Tx<'_>,
    job: JobId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<LogLine>, Fault> {
    let parse = |text: &str| text.parse::<i64>().map_err(|_| Fault::cursor(text));
    let mut after = cursor.map(parse).transpose()?.unwrap_or(0);
    let query = tx
        .query(
            "SELECT g.n, g.run, g.at, g.level, g.message, g.fields
             FROM (SELECT seq FROM @jobs WHERE id = $1) j CROSS JOIN LATERAL (
                 SELECT * FROM @logs WHERE seq = j.seq AND n > $2 ORDER BY n LIMIT $3) g ORDER BY g.n",
        )
        .bind(job.0)
        .bind(after)
        .bind(page_size(limit));
    let mut items = Vec::new();
    for row in tx.all(query).await? {
        after = row.try_get(0)?;
        let fields = row.try_get::<Option<&str>, _>(5)?.map(serde_json::from_str).transpose();
        items.push(LogLine {
            run: count(row.try_get(1)?),
            at: Timestamp(row.try_get(2)?),
            level: LogLevel::from_number(row.try_get(3)?)?,
            message: row.try_get(4)?,
            fields: fields.map_err(|error| Fault::damaged(format_args!("a log line of job {job}"), error))?,
        });
    }
    Ok(Page::new(items, Some(after.to_string())))
}

pub(super) async fn checkpoint(tx: &mut Tx<'_>, job: JobId, key: &str) -> Result<Option<Json>, Fault> {
    let query = tx
        .query(
            "SELECT c.value FROM (SELECT seq FROM @jobs WHERE id = $1) j CROSS JOIN LATERAL (
             SELECT value FROM @checkpoints WHERE seq = j.seq AND key = $2 LIMIT 1) c",
        )
        .bind(job.0)
        .bind(key.as_bytes());
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let value = serde_json::from_str(row.try_get(0)?);
    value.map(Some).map_err(|error| Fault::damaged(format_args!("a checkpoint of job {job}"), error))
}

pub(super) async fn put_checkpoint(
    tx: &mut Tx<'_>,
    fence: &Fence,
    key: &str,
    value: &Json,
) -> Result<Result<(), Superseded>, Fault> {
    let Some((_, job)) = Job::fenced(tx, &[*fence]).await?.pop() else { return Ok(Err(Superseded)) };
    let query = tx
        .query("SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM @checkpoints WHERE seq = $1 AND key <> $2")
        .bind(job.seq)
        .bind(key.as_bytes());
    let row = tx.first(query).await?.ok_or(Fault::Again)?;
    let (keys, bytes) = (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?));
    if keys >= MAX_CHECKPOINTS {
        let message = format!("the job has {keys} checkpoints: at most {MAX_CHECKPOINTS} are allowed");
        return Err(Fault::TooLarge(message));
    }
    let own = amount(key.len() + value.as_str().len());
    let bytes = bytes.saturating_add(unsigned(own));
    if bytes > MAX_CHECKPOINT_BYTES {
        let message = format!(
            "the job's checkpoints would take {bytes} bytes: at most {MAX_CHECKPOINT_BYTES} in all are allowed"
        );
        return Err(Fault::TooLarge(message));
    }
    keep_checkpoint(tx, job.seq, key, value).await?;
    Ok(Ok(()))
}

pub(super) async fn keep_checkpoint(tx: &mut Tx<'_>, seq: i64, key: &str, value: &Json) -> Result<(), Fault> {
    let query = tx
        .query(
            "INSERT INTO @checkpoints (seq, key, value, bytes) VALUES ($1, $2, $3, $4)
             ON CONFLICT (seq, key) DO UPDATE SET value = excluded.value, bytes = excluded.bytes",
        )
        .bind(seq)
        .bind(key.as_bytes())
        .bind(value.as_str())
        .bind(amount(key.len() + value.as_str().len()));
    tx.run(query).await?;
    Ok(())
}
