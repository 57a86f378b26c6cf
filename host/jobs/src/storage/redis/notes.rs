//! What runs write while they go on: progress, log lines and checkpoints.

use redis::{Value, cmd};
use windlass_api::{JobId, Json, LogLevel, LogLine, Page, Progress};

use super::{
    RedisStorage,
    answer::{self, List},
    bytes::{Reader, Why, position},
    fault::damaged,
    script,
};
use crate::{
    Fence,
    storage::{MAX_CHECKPOINT_BYTES, MAX_CHECKPOINTS, Note, StorageError, Superseded},
};

/// What a kept line takes beside its text.
const LINE_OVERHEAD_BYTES: usize = 32;

/// No page of a log is longer, in lines.
const MAX_PAGE: usize = 1000;

/// A line as it is kept.
pub(super) fn encode_line(line: &LogLine) -> Vec<u8> {
    let fields = line.fields.as_ref().map_or("", Json::as_str);
    let mut to = Vec::with_capacity(line.message.len() + fields.len() + 17);
    to.push(position(LogLevel::ALL, line.level));
    to.extend(line.run.to_be_bytes());
    to.extend(line.at.0.to_be_bytes());
    to.extend(u32::try_from(line.message.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(line.message.as_bytes());
    to.extend(fields.as_bytes());
    to
}

/// What a line counts for in its job's limit.
pub(super) fn line_bytes(line: &LogLine) -> usize {
    LINE_OVERHEAD_BYTES + line.message.len() + line.fields.as_ref().map_or(0, |fields| fields.as_str().len())
}

fn decode_line(bytes: &[u8]) -> Result<LogLine, Why> {
    let mut reader = Reader(bytes);
    let level = reader.u8()?;
    let level = LogLevel::ALL.get(usize::from(level)).copied().ok_or_else(|| format!("there is no level {level}"))?;
    let (run, at) = (reader.u32()?, reader.instant()?);
    let count = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
    let message = reader.text(count)?.to_owned();
    let fields = reader.rest();
    let fields = (!fields.is_empty()).then(|| serde_json::from_slice(fields)).transpose();
    Ok(LogLine { run, at, level, message, fields: fields.map_err(|error| error.to_string())? })
}

/// Progress as it is kept behind its run's number.
pub(super) fn encode_progress(progress: &Progress) -> Vec<u8> {
    let percent = if progress.percent.is_nan() { 0.0 } else { progress.percent.clamp(0.0, 100.0) };
    let mut to = percent.to_be_bytes().to_vec();
    to.extend(progress.at.0.to_be_bytes());
    to.push(u8::from(progress.note.is_some()));
    to.extend(progress.note.as_deref().unwrap_or_default().as_bytes());
    to
}

/// The progress of a run; nothing where it is another's.
pub(super) fn decode_progress(bytes: &[u8], run: u32) -> Result<Option<Progress>, Why> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader(bytes);
    if reader.u32()? != run {
        return Ok(None);
    }
    let (percent, at, has_note) = (reader.f32()?, reader.instant()?, reader.u8()? == 1);
    let note = std::str::from_utf8(reader.rest()).map_err(|error| error.to_string())?;
    Ok(Some(Progress { percent, note: has_note.then(|| note.to_owned()), at }))
}

impl RedisStorage {
    pub(super) async fn keep_notes(&self, notes: &[Note]) -> Result<Vec<Result<(), Superseded>>, StorageError> {
        if notes.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.retention.log_bytes_per_job;
        let mut call = self.call(&script::NOTE);
        call.arg(limit)
            .arg(format!("the log of this job has reached its limit of {limit} bytes: nothing more is kept"));
        for note in notes {
            let fence = &note.fence;
            call.arg(fence.job.0.as_bytes())
                .arg(fence.server.0.as_bytes())
                .arg(fence.run)
                .arg(note.progress.as_ref().map(encode_progress).unwrap_or_default())
                .arg(note.lines.len());
            for line in &note.lines {
                call.arg(line_bytes(line)).arg(encode_line(&LogLine { run: fence.run, ..line.clone() }));
            }
        }
        let letters = answer::bytes(self.run(call).await?)?;
        let outcome = |(note, letter): (&Note, &u8)| match letter {
            b'k' => Ok(Ok(())),
            b'd' => Err(damaged(format_args!("job {}", note.fence.job), "its record cannot be read")),
            _ => Ok(Err(Superseded)),
        };
        notes.iter().zip(&letters).map(outcome).collect()
    }

    pub(super) async fn log_page(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<LogLine>, StorageError> {
        let invalid = |text: &str| StorageError::InvalidCursor(text.chars().take(80).collect());
        let after = cursor.map(|text| text.parse::<u64>().map_err(|_| invalid(text))).transpose()?.unwrap_or(0);
        let mut command = cmd("XRANGE");
        command.arg(self.key('o', job)).arg(format!("({after}-0")).arg("+").arg("COUNT").arg(limit.clamp(1, MAX_PAGE));
        let mut entries = List::of(self.link.ask(&command).await?)?;
        let (mut items, mut last) = (Vec::new(), after);
        while !entries.is_empty() {
            let mut entry = List::of(entries.next()?)?;
            let number = entry.text()?;
            last = number.split_once('-').and_then(|(number, _)| number.parse().ok()).unwrap_or(last);
            let mut fields = List::of(entry.next()?)?;
            fields.next()?;
            let line = decode_line(&fields.bytes()?);
            items.push(line.map_err(|why| damaged(format_args!("a log line of job {job}"), why))?);
        }
        Ok(Page::new(items, Some(last.to_string())))
    }

    /// All that a job's runs logged.
    pub(super) async fn whole_log(&self, job: JobId) -> Result<Vec<LogLine>, StorageError> {
        let mut lines = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let page = self.log_page(job, cursor.as_deref(), MAX_PAGE).await?;
            let is_last = page.items.len() < MAX_PAGE;
            lines.extend(page.items);
            if is_last {
                return Ok(lines);
            }
            cursor = page.next;
        }
    }

    pub(super) async fn read_checkpoint(&self, job: JobId, key: &str) -> Result<Option<Json>, StorageError> {
        let mut command = cmd("HGET");
        command.arg(self.key('c', job)).arg(format!("k{key}"));
        match self.link.ask(&command).await? {
            Value::Nil => Ok(None),
            value => stored_json(&answer::bytes(value)?, job).map(Some),
        }
    }

    /// All checkpoints of a job.
    pub(super) async fn all_checkpoints(&self, job: JobId) -> Result<Vec<(String, Json)>, StorageError> {
        let mut command = cmd("HGETALL");
        command.arg(self.key('c', job));
        let mut fields = List::of(self.link.ask(&command).await?)?;
        let mut all = Vec::new();
        while !fields.is_empty() {
            let (key, value) = (fields.text()?, fields.bytes()?);
            if let Some(key) = key.strip_prefix('k') {
                all.push((key.to_owned(), stored_json(&value, job)?));
            }
        }
        Ok(all)
    }

    pub(super) async fn keep_checkpoint(
        &self,
        fence: Fence,
        key: &str,
        value: &Json,
    ) -> Result<Result<(), Superseded>, StorageError> {
        let mut call = self.call(&script::PUT_CHECKPOINT);
        call.arg(fence.job.0.as_bytes())
            .arg(fence.server.0.as_bytes())
            .arg(fence.run)
            .arg(key)
            .arg(value.as_str())
            .arg(MAX_CHECKPOINTS)
            .arg(MAX_CHECKPOINT_BYTES);
        let mut answer = List::of(self.run_for(fence.job, call).await?)?;
        match answer.text()?.as_str() {
            "kept" => Ok(Ok(())),
            "keys" => Err(StorageError::TooLarge(format!(
                "the job has {} checkpoints: at most {MAX_CHECKPOINTS} are allowed",
                answer.number::<i64>()?
            ))),
            "bytes" => Err(StorageError::TooLarge(format!(
                "the job's checkpoints would take {} bytes: at most {MAX_CHECKPOINT_BYTES} in all are allowed",
                answer.number::<i64>()?
            ))),
            _ => Ok(Err(Superseded)),
        }
    }
}

fn stored_json(bytes: &[u8], job: JobId) -> Result<Json, StorageError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(format_args!("a checkpoint of job {job}"), error))
}
