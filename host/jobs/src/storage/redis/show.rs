//! Jobs as they are shown.

use redis::{Value, cmd};
use windlass_api::{HandlerPath, JobDetail, JobId, JobSummary, Json, State, Usage};

use super::{
    RedisStorage,
    answer::{self, List},
    bytes::Reader,
    conditions::Edges,
    fault::damaged,
    history::{self, Kept},
    notes::decode_progress,
    record::{Record, Wide, read_tags},
};
use crate::storage::StorageError;

/// A job as lists show it, from what the scripts keep of it.
pub(super) fn summary(
    id: JobId,
    record: &Record,
    tags: Vec<String>,
    history: &[Kept],
    progress: &[u8],
) -> Result<JobSummary, StorageError> {
    // Lines are counted from 1, and the oldest ones may have been cut away.
    let after = usize::try_from(record.lines.saturating_sub(record.ended)).unwrap_or(usize::MAX);
    let ended = (record.ended > 0).then(|| history.iter().rev().nth(after).and_then(|line| line.run.as_ref()));
    let HandlerPath { module, handler } = record.path.clone();
    Ok(JobSummary {
        id,
        module,
        handler,
        mode: record.mode,
        queue: record.queue.clone(),
        priority: record.priority,
        state: record.state,
        reason: record.reason.clone(),
        attempt: record.attempt,
        max_attempts: record.max_attempts,
        run: record.run,
        tags,
        created_at: record.created_at,
        run_at: (record.state == State::Scheduled).then_some(record.at),
        started_at: record.started_at,
        finished_at: record.state.is_final().then_some(record.at),
        server: record.server,
        version: record.version,
        cancel_requested: record.ask != 0,
        held_by: record.held_by(),
        progress: decode_progress(progress, record.run)
            .map_err(|why| damaged(format_args!("job {id}"), format_args!("its progress: {why}")))?,
        usage: ended.map(|run| run.map_or_else(Usage::default, |run| run.usage)),
        failure: ended.flatten().and_then(|run| run.failure.clone()),
    })
}

/// The lines of a job's history.
pub(super) fn read_history(id: JobId, bytes: &[u8]) -> Result<Vec<Kept>, StorageError> {
    history::read(bytes).map_err(|why| damaged(format_args!("job {id}"), format_args!("its history: {why}")))
}

/// A job of a list's answer: id, record, tags, history, progress.
pub(super) fn read_listed(id: JobId, fields: &mut List) -> Result<(Record, JobSummary), StorageError> {
    let (record, wide) = (fields.bytes()?, fields.bytes()?);
    let (history, progress) = (fields.bytes()?, fields.bytes()?);
    let record = Record::read(id, &record)?;
    let tags = read_tags(&mut Reader(&wide))
        .map_err(|why| damaged(format_args!("job {id}"), format_args!("its tags: {why}")))?;
    let summary = summary(id, &record, tags, &read_history(id, &history)?, &progress)?;
    Ok((record, summary))
}

/// A job with its record.
pub(super) struct Whole {
    pub(super) record: Record,
    pub(super) detail: JobDetail,
    pub(super) edges: Option<Edges>,
}

impl RedisStorage {
    pub(super) async fn whole(&self, id: JobId) -> Result<Option<Whole>, StorageError> {
        let mut command = cmd("MGET");
        for kind in ['j', 'p', 'h', 'r', 'w', 'a'] {
            command.arg(self.key(kind, id));
        }
        let mut parts = List::of(self.link.ask(&command).await?)?;
        let record = parts.next()?;
        if record == Value::Nil {
            // A key of another type looks like none to MGET.
            let mut command = cmd("EXISTS");
            command.arg(self.key('j', id));
            return match answer::number::<i64>(self.link.ask(&command).await?)? {
                // One that was removed stands in no list either.
                0 if self.number_of(id).await?.is_some() => Err(damaged(
                    format_args!("job {id}"),
                    "its record is not there, although it is listed: Redis lost it",
                )),
                0 => Ok(None),
                _ => Err(damaged(format_args!("job {id}"), "its key holds another kind of value than a record")),
            };
        }
        let record = Record::read(id, &answer::bytes(record)?)?;
        let wide = parts.next()?;
        if wide == Value::Nil {
            return Err(damaged(format_args!("job {id}"), "its payload is not there"));
        }
        let wide = Wide::read(id, &answer::bytes(wide)?)?;
        let kept = read_history(id, &parts.bytes()?)?;
        let result = answer::optional(parts.next()?)?.map(|result| stored_json(id, &result)).transpose()?;
        let job = summary(id, &record, wide.tags, &kept, &parts.bytes()?)?;
        let edges = parts.bytes()?;
        let edges = record.more.parents.then(|| Edges::read(&edges)).transpose();
        let edges = edges.map_err(|why| damaged(format_args!("job {id}"), format_args!("what it continues: {why}")))?;
        let detail = JobDetail {
            result,
            after: edges.as_ref().map(Edges::after),
            unique: record.more.unique.clone(),
            expires_at: record.more.expires_at,
            limit_key: record.more.limit_key.clone(),
            removed_at: self.retention.expires_at(record.state, record.at),
            job,
            payload: wide.payload,
            headers: wide.about.headers,
            retry: wide.about.retry.unwrap_or_default(),
            timeout_ms: wide.about.timeout_ms,
            history: history::show(&record, wide.about.by, kept),
        };
        Ok(Some(Whole { record, detail, edges }))
    }
}

fn stored_json(id: JobId, text: &[u8]) -> Result<Json, StorageError> {
    serde_json::from_slice(text).map_err(|error| damaged(format_args!("the result of job {id}"), error))
}
