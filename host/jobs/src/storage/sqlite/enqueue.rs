//! New jobs.

use rusqlite::params;
use windlass_api::{Enqueued, HandlerPath, Json, Mode, RetryPolicy, State, Timestamp};

use super::{
    fault::Fault,
    modules,
    record::Job,
    tx::Tx,
    words::{Word, signed},
};
use crate::{NewJob, Start};

/// Why a job waits for its handler.
pub(super) const HANDLER_MISSING: &str = "handler-missing";

/// Stores jobs, and gives for each whether it was there already.
pub(super) fn enqueue(tx: &mut Tx<'_>, jobs: &[NewJob], by: &str) -> Result<Vec<Enqueued>, Fault> {
    jobs.iter().map(|job| Ok(Enqueued { id: job.id, existing: !store(tx, job, by)?, replaced: false })).collect()
}

/// Where a new job stands at first.
#[derive(Clone, Copy)]
struct Birth {
    state: State,
    at: Timestamp,
    mode: Mode,
    reason: Option<&'static str>,
}

fn birth(tx: &Tx<'_>, job: &NewJob, path: &HandlerPath) -> Result<Birth, Fault> {
    let ready = Birth { state: State::Enqueued, at: tx.now, mode: job.mode, reason: None };
    let due = |at| if at > tx.now { Birth { state: State::Scheduled, at, ..ready } } else { ready };
    Ok(match job.start {
        Start::Now => ready,
        Start::After(delay_ms) => due(tx.now.plus_ms(delay_ms)),
        Start::At(at) => due(at),
        // The handler may have come between the asking and the storing, and nothing would wake the job then.
        Start::WithHandler => match modules::active_mode(tx, path)? {
            Some(mode) => Birth { mode, ..ready },
            None => Birth { state: State::Awaiting, reason: Some(HANDLER_MISSING), ..ready },
        },
    })
}

/// Stores a job; gives whether it is new.
fn store(tx: &mut Tx<'_>, new: &NewJob, by: &str) -> Result<bool, Fault> {
    let path = HandlerPath { module: new.module.clone(), handler: new.handler.clone() };
    let Birth { state, at, mode, reason } = birth(tx, new, &path)?;
    let (queue, handler) = (tx.queue(&new.queue)?, tx.handler(&path)?);
    let seq = tx.next_number(tx.now)?;
    let inserted = tx
        .db
        .prepare_cached(
            "INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses,
             lines, created_at, at, ready_at, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, 0, 0, ?9, ?10, ?9, ?11) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            seq,
            new.id.0.as_bytes(),
            handler,
            queue,
            mode.number(),
            new.priority,
            state.number(),
            new.max_attempts.max(1),
            tx.now.0,
            at.0,
            reason,
        ])?;
    if inserted == 0 {
        return Ok(false);
    }
    store_payload(tx, seq, new, state, by)?;
    let job = Job {
        seq,
        id: new.id,
        handler,
        queue,
        mode,
        priority: new.priority.into(),
        state,
        attempt: 0,
        max_attempts: new.max_attempts,
        run: 0,
        losses: 0,
        lines: 0,
        created_at: tx.now,
        at,
        ready_at: tx.now,
        started_at: None,
        server: None,
        version: None,
        ended_line: None,
        ask: None,
        asked_by: None,
        reason: None,
    };
    job.stand(tx)?;
    tx.happened(handler).made += 1;
    Ok(true)
}

fn store_payload(tx: &Tx<'_>, seq: i64, new: &NewJob, born: State, by: &str) -> Result<(), Fault> {
    let text =
        |json: serde_json::Result<Json>| json.map_err(|error| Fault::damaged(format_args!("job {}", new.id), error));
    let tags = (!new.tags.is_empty()).then(|| text(Json::write(&new.tags))).transpose()?;
    let headers = (!new.headers.is_empty()).then(|| text(Json::write(&new.headers))).transpose()?;
    let retry = (new.retry != RetryPolicy::default()).then(|| text(Json::write(&new.retry))).transpose()?;
    let texts = Texts {
        born,
        made_by: by,
        timeout_ms: new.timeout_ms,
        tags: tags.as_ref(),
        retry: retry.as_ref(),
        headers: headers.as_ref(),
        payload: &new.payload,
    };
    insert_payload(tx, seq, &texts, &new.tags)
}

/// The wide part of a job, as it is kept.
pub(super) struct Texts<'a> {
    pub(super) born: State,
    pub(super) made_by: &'a str,
    pub(super) timeout_ms: Option<u64>,
    pub(super) tags: Option<&'a Json>,
    pub(super) retry: Option<&'a Json>,
    pub(super) headers: Option<&'a Json>,
    pub(super) payload: &'a Json,
}

pub(super) fn insert_payload(tx: &Tx<'_>, seq: i64, texts: &Texts<'_>, tags: &[String]) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            seq,
            texts.born.number(),
            texts.made_by,
            texts.timeout_ms.map(signed),
            texts.tags.map(Json::as_str),
            texts.retry.map(Json::as_str),
            texts.headers.map(Json::as_str),
            texts.payload.as_str(),
        ])?;
    for tag in tags {
        tx.db
            .prepare_cached("INSERT INTO tags (tag, seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute((tag, seq))?;
    }
    Ok(())
}
