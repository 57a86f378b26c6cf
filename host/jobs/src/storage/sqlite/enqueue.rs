//! New jobs.

use rusqlite::params;
use windlass_api::{Enqueued, HandlerPath, Json, Mode, RetryPolicy, State, Timestamp};

use super::{
    conditions::Kept,
    fault::Fault,
    flow::{self, Judgement, Parents},
    modules,
    record::{Job, ties},
    tx::Tx,
    unique::{self, Meeting},
    words::{Word, signed},
};
use crate::{Conditions, NewJob, Start, storage::Refusal};

/// Why a job waits for its handler.
pub(super) const HANDLER_MISSING: &str = "handler-missing";

/// What becomes of a job that cannot stand beside what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is refused, and all others of its call with it.
    Refuse,
    /// It is left out, and the one that it must not stand beside given instead. A parent that is not here counts as removed.
    LeaveOut,
}

/// Stores jobs, and gives for each whether it, or one in its place, was there already.
pub(super) fn enqueue(tx: &mut Tx<'_>, jobs: &[NewJob], by: &str, unfit: Unfit) -> Result<Vec<Enqueued>, Fault> {
    let mut enqueued = Vec::with_capacity(jobs.len());
    for (position, job) in jobs.iter().enumerate() {
        let outcome = if job.conditions.is_empty() {
            Ok(Enqueued { id: job.id, existing: !store(tx, job, by, None)?, replaced: false })
        } else {
            store_with_conditions(tx, job, by, unfit)?
        };
        match (outcome, unfit) {
            (Ok(one), _) => enqueued.push(one),
            (Err(Refusal::Conflict { holder }), Unfit::LeaveOut) => {
                enqueued.push(Enqueued { id: holder, existing: true, replaced: false });
            }
            (Err(refusal), _) => return Err(Fault::Refused { position, refusal }),
        }
    }
    Ok(enqueued)
}

fn store_with_conditions(
    tx: &mut Tx<'_>,
    new: &NewJob,
    by: &str,
    unfit: Unfit,
) -> Result<Result<Enqueued, Refusal>, Fault> {
    if tx.db.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([new.id.0.as_bytes()])? {
        return Ok(Ok(Enqueued { id: new.id, existing: true, replaced: false }));
    }
    if let Some(rule) = &new.conditions.unique {
        match unique::meet(tx, new, rule, by)? {
            Meeting::Nobody => {}
            Meeting::Holder(holder) => return Ok(Err(Refusal::Conflict { holder })),
            Meeting::Instead(instead) => return Ok(Ok(instead)),
        }
    }
    let parents = new.conditions.after.as_ref().map(|after| Parents::of(tx, after)).transpose()?;
    if let (Some(parent), Unfit::Refuse) = (parents.as_ref().and_then(Parents::unknown), unfit) {
        return Ok(Err(Refusal::UnknownParent { parent }));
    }
    store(tx, new, by, parents.as_ref())?;
    Ok(Ok(Enqueued { id: new.id, existing: false, replaced: false }))
}

/// Where a job stands at first.
#[derive(Clone, Copy)]
pub(super) struct Birth {
    pub(super) state: State,
    pub(super) at: Timestamp,
    pub(super) mode: Mode,
    pub(super) reason: Option<&'static str>,
}

/// Where a job stands that begins now.
pub(super) fn birth(tx: &Tx<'_>, start: Start, mode: Mode, path: &HandlerPath) -> Result<Birth, Fault> {
    let ready = Birth { state: State::Enqueued, at: tx.now, mode, reason: None };
    let due = |at| if at > tx.now { Birth { state: State::Scheduled, at, ..ready } } else { ready };
    Ok(match start {
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

/// Where a new job stands, its parents being as they are.
fn birth_of(tx: &Tx<'_>, new: &NewJob, parents: Option<&Parents>, path: &HandlerPath) -> Result<Birth, Fault> {
    let now = |state, reason| Birth { state, at: tx.now, mode: new.mode, reason: Some(reason) };
    match parents.map_or(Judgement::Met, Parents::judgement) {
        Judgement::Met => birth(tx, new.start, new.mode, path),
        Judgement::Waits => Ok(now(State::Awaiting, flow::PARENTS)),
        Judgement::Gone => Ok(now(State::Deleted, flow::PARENT_GONE)),
    }
}

/// Stores a job; gives whether it is new.
fn store(tx: &mut Tx<'_>, new: &NewJob, by: &str, parents: Option<&Parents>) -> Result<bool, Fault> {
    let path = HandlerPath { module: new.module.clone(), handler: new.handler.clone() };
    let Birth { state, at, mode, reason } = birth_of(tx, new, parents, &path)?;
    let (queue, handler) = (tx.queue(&new.queue)?, tx.handler(&path)?);
    let seq = tx.next_number(tx.now)?;
    let Conditions { after: _, unique, expires_at, limit_key } = &new.conditions;
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
        reason: reason.map(Into::into),
        ties: parents.map_or(0, |_| ties::CONTINUES) | unique.as_ref().map_or(0, |_| ties::UNIQUE),
        expires_at: expires_at.filter(|_| !state.is_final()),
        limit_key: limit_key.as_ref().map(ToString::to_string),
        held: None,
    };
    let inserted = tx
        .db
        .prepare_cached(
            "INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses,
             lines, created_at, at, ready_at, reason, ties, expires_at, limit_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, 0, 0, ?9, ?10, ?9, ?11, ?12, ?13, ?14)
             ON CONFLICT (id) DO NOTHING",
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
            job.ties,
            job.expires_at.map(|at| at.0),
            job.limit_key,
        ])?;
    if inserted == 0 {
        return Ok(false);
    }
    store_payload(tx, seq, new, state, by)?;
    if job.ties != 0 {
        let kept = Kept {
            born_reason: reason.map(str::to_owned),
            continue_on: parents.map(Parents::on),
            start: parents.map(|_| new.start),
            unique: unique.clone(),
        };
        kept.insert(tx, seq)?;
    }
    if let Some(parents) = parents {
        parents.tie(tx, seq)?;
    }
    if let Some(rule) = unique {
        unique::hold(tx, rule.key, seq)?;
    }
    job.stand(tx)?;
    let happened = tx.happened(handler);
    happened.made += 1;
    happened.deleted += u64::from(state == State::Deleted);
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
