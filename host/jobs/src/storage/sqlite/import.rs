//! Taking records that come from another storage.

use std::borrow::Cow;

use rusqlite::params;
use windlass_api::{DeleteReason, HandlerPath, HistoryLine, Json, RetryPolicy, ServerId, State, Timestamp, Usage};

use super::{
    audit,
    conditions::Kept,
    counters,
    enqueue::{HANDLER_MISSING, Texts, insert_payload},
    fault::Fault,
    flow::{self, Judgement, Parents},
    limits, modules, notes,
    record::{Job, RunEnd, ties},
    recurring,
    settle::{delete_reason, keep_result},
    tx::Tx,
    unique,
    words::{Ask, Word, signed},
};
use crate::storage::{
    JobRecord, NewVersion, QueueRecord, Record, VersionRecord,
    past::{self, Past},
};

/// Who changes jobs on their way in.
const IMPORT: &str = "import";

/// Why a job that was processing is enqueued again.
const IMPORTED: &str = "imported";

/// Takes records; gives how many were new.
pub(super) fn import(tx: &mut Tx<'_>, records: &[Record]) -> Result<usize, Fault> {
    let mut new = 0;
    for record in records {
        let is_new = match record {
            Record::Version(version) => import_version(tx, version)?,
            Record::Queue(queue) => import_queue(tx, queue)?,
            Record::Limit(limit) => limits::import(tx, limit)?,
            Record::Recurring(entry) => recurring::import(tx, entry)?,
            Record::Counter(counter) => {
                let path = HandlerPath { module: counter.row.module.clone(), handler: counter.row.handler.clone() };
                let handler = tx.handler(&path)?;
                counters::import(tx.db, counter.grain, handler, &counter.row)?
            }
            Record::Audit(entry) => audit::import(tx, entry)?,
            Record::Job(job) => import_job(tx, job)?,
        };
        new += usize::from(is_new);
    }
    Ok(new)
}

fn import_version(tx: &mut Tx<'_>, record: &VersionRecord) -> Result<bool, Fault> {
    let version = NewVersion {
        module: record.module.clone(),
        digest: record.digest,
        bytes: record.component.clone(),
        version: record.version.clone(),
        sdk: record.sdk.clone(),
        handlers: record.handlers.clone(),
    };
    let known = modules::add_version(tx, &version)?;
    if !known {
        tx.db.prepare_cached("UPDATE versions SET deployed_at = ?3 WHERE module = ?1 AND digest = ?2")?.execute((
            record.module.as_str(),
            record.digest.0,
            record.deployed_at.0,
        ))?;
    }
    // What this storage has activated itself stays active.
    if record.active && modules::active(tx, &record.module)?.is_none() {
        modules::switch(tx, &record.module, record.digest)?;
    }
    if let Some(percent) = record.canary_percent
        && !known
        && modules::canary(tx.db, &record.module)?.is_none()
    {
        modules::set_canary(tx, &record.module, record.digest, percent)?;
    }
    Ok(!known)
}

fn import_queue(tx: &mut Tx<'_>, record: &QueueRecord) -> Result<bool, Fault> {
    if !record.paused {
        return Ok(false);
    }
    let queue = tx.queue(&record.name)?;
    let paused = tx.db.prepare_cached("UPDATE queues SET paused = 1 WHERE n = ?1 AND NOT paused")?.execute([queue])?;
    Ok(paused > 0)
}

fn import_job(tx: &mut Tx<'_>, record: &JobRecord) -> Result<bool, Fault> {
    let shown = &record.detail.job;
    if tx.db.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([shown.id.0.as_bytes()])? {
        return Ok(false);
    }
    let past = Past::of(&record.detail);
    let path = HandlerPath { module: shown.module.clone(), handler: shown.handler.clone() };
    let (queue, handler) = (tx.queue(&shown.queue)?, tx.handler(&path)?);
    let mut job = Job {
        seq: tx.next_number(shown.created_at)?,
        id: shown.id,
        handler,
        queue,
        mode: shown.mode,
        priority: shown.priority.into(),
        state: shown.state,
        attempt: shown.attempt,
        max_attempts: shown.max_attempts,
        run: shown.run,
        losses: record.losses,
        lines: 0,
        created_at: shown.created_at,
        at: shown.run_at.or(shown.finished_at).unwrap_or(past.since),
        ready_at: past.ready_at,
        started_at: shown.started_at,
        server: None,
        version: shown
            .version
            .and_then(|digest| modules::number(tx.db, &shown.module, digest).transpose())
            .transpose()?,
        ended_line: None,
        ask: None,
        asked_by: None,
        reason: shown.reason.clone().map(Cow::Owned),
        ties: ties_of(tx, record)?,
        expires_at: record.detail.expires_at.filter(|_| shown.run == 0 && !shown.state.is_final()),
        limit_key: record.detail.limit_key.as_ref().map(ToString::to_string),
        held: None,
    };
    if shown.cancel_requested {
        let deleted = shown.reason.as_deref() == Some(DeleteReason::Deleted.as_str());
        job.ask = Some(if deleted { Ask::Delete } else { Ask::Cancel });
    }
    insert(tx, &job)?;
    insert_wide(tx, &job, record, &past)?;
    insert_past(tx, &mut job, &past, shown.usage.is_some())?;
    notes::import(tx, &job, record)?;
    let parents = import_conditions(tx, &job, record)?;
    settle_in(tx, &mut job, &path, &past, parents.as_ref())?;
    job.stand(tx)?;
    job.write(tx)?;
    Ok(true)
}

/// What cannot stay as it was, because it hung on the storage that the job comes from.
fn settle_in(
    tx: &mut Tx<'_>,
    job: &mut Job,
    path: &HandlerPath,
    past: &Past<'_>,
    parents: Option<&Parents>,
) -> Result<(), Fault> {
    match job.state {
        State::Awaiting if flow::waits_for_parents(job) => {
            match parents.map_or(Judgement::Met, Parents::judgement) {
                Judgement::Waits => return Ok(()),
                Judgement::Gone => job.become_now(tx, State::Deleted, Some(flow::PARENT_GONE.into())),
                Judgement::Met => flow::go_on(tx, job)?,
            }
            job.record_step(tx, State::Awaiting, IMPORT)?;
        }
        State::Processing => {
            job.server = past.open_server().map(|id| past_server(tx, id)).transpose()?;
            let run = job.current_run();
            job.server = None;
            job.give_attempt_back();
            if let Some(ask) = job.ask {
                job.become_now(tx, State::Deleted, Some(delete_reason(ask).as_str().into()));
            } else {
                job.become_now(tx, State::Enqueued, Some(IMPORTED.into()));
            }
            job.record_run(tx, &RunEnd { usage: Usage::default(), failure: None }, &run, Some(IMPORT))?;
        }
        // It would wait for ever for a handler that is here already.
        State::Awaiting if job.reason.as_deref() == Some(HANDLER_MISSING) => {
            if let Some(mode) = modules::active_mode(tx, path)? {
                job.mode = mode;
                job.become_ready(tx, None);
                job.record_step(tx, State::Awaiting, IMPORT)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What binds a job to others: to those of its record, and to jobs that came before it although they continue it.
fn ties_of(tx: &Tx<'_>, record: &JobRecord) -> Result<i64, Fault> {
    let detail = &record.detail;
    let own = detail.after.as_ref().map_or(0, |_| ties::CONTINUES) | detail.unique.as_ref().map_or(0, |_| ties::UNIQUE);
    Ok(if flow::has_children(tx, detail.job.id)? { own | ties::HAS_CHILDREN } else { own })
}

/// Keeps what a job depends on; gives the jobs that it continues, as they are here.
fn import_conditions(tx: &Tx<'_>, job: &Job, record: &JobRecord) -> Result<Option<Parents>, Fault> {
    let detail = &record.detail;
    if !job.is_tied(ties::CONTINUES | ties::UNIQUE) {
        return Ok(None);
    }
    let mut parents = detail.after.as_ref().map(|after| Parents::of(tx, after)).transpose()?;
    let kept = Kept {
        born_reason: detail.history.first().filter(|line| line.from.is_none()).and_then(|line| line.reason.clone()),
        continue_on: parents.as_ref().map(Parents::on),
        start: parents.as_ref().and(record.start),
        unique: detail.unique.clone(),
    };
    kept.insert(tx, job.seq)?;
    if let Some(parents) = &mut parents {
        parents.set_met_but(&record.waits_for);
        parents.tie(tx, job.seq)?;
    }
    if let Some(rule) = detail.unique.as_ref().filter(|_| record.holds_key) {
        unique::hold_where_free(tx, rule.key, job.seq)?;
    }
    Ok(parents)
}

fn insert(tx: &Tx<'_>, job: &Job) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses,
             lines, created_at, at, ready_at, ties, limit_key)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 0, ?7, 0, 0, 0, ?8, 0, 0, ?9, ?10)",
        )?
        .execute(params![
            job.seq,
            job.id.0.as_bytes(),
            job.handler,
            job.queue,
            job.priority,
            job.state.number(),
            job.max_attempts,
            job.created_at.0,
            job.ties,
            job.limit_key,
        ])?;
    Ok(())
}

fn insert_wide(tx: &Tx<'_>, job: &Job, record: &JobRecord, past: &Past<'_>) -> Result<(), Fault> {
    let detail = &record.detail;
    let text =
        |json: serde_json::Result<Json>| json.map_err(|error| Fault::damaged(format_args!("job {}", job.id), error));
    let tags = (!detail.job.tags.is_empty()).then(|| text(Json::write(&detail.job.tags))).transpose()?;
    let headers = (!detail.headers.is_empty()).then(|| text(Json::write(&detail.headers))).transpose()?;
    let retry = (detail.retry != RetryPolicy::default()).then(|| text(Json::write(&detail.retry))).transpose()?;
    insert_payload(
        tx,
        job.seq,
        &Texts {
            born: past.born,
            made_by: past.made_by,
            timeout_ms: detail.timeout_ms,
            tags: tags.as_ref(),
            retry: retry.as_ref(),
            headers: headers.as_ref(),
            payload: &detail.payload,
        },
        &detail.job.tags,
    )?;
    if let Some(result) = &detail.result {
        keep_result(tx, job.seq, Some(result))?;
    }
    Ok(())
}

/// Writes the lines after the first, each run as one.
fn insert_past(tx: &mut Tx<'_>, job: &mut Job, past: &Past<'_>, has_run: bool) -> Result<(), Fault> {
    for step in past.steps() {
        job.lines += 1;
        match step {
            past::Step::Plain(line) => insert_line(tx, job, line, None, None)?,
            past::Step::Run { start, end } => {
                let server = start.and_then(past::server_of).map(|id| past_server(tx, id)).transpose()?;
                insert_line(tx, job, end, start, server)?;
                job.ended_line = has_run.then_some(job.lines);
            }
        }
    }
    Ok(())
}

fn insert_line(
    tx: &Tx<'_>,
    job: &Job,
    line: &HistoryLine,
    start: Option<&HistoryLine>,
    server: Option<i64>,
) -> Result<(), Fault> {
    let failure = line.failure.as_ref().map(Json::write).transpose();
    let failure = failure.map_err(|error| Fault::damaged("a failure", error))?;
    let by = start.is_none_or(|start| start.by != line.by).then_some(line.by.as_str());
    let usage = line.usage.unwrap_or_default();
    let used = |value: u64| line.run.is_some().then_some(signed(value));
    tx.db
        .prepare_cached(
            "INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel,
             peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?
        .execute(params![
            job.seq,
            job.lines,
            line.from.unwrap_or(State::Processing).number(),
            line.to.number(),
            line.at.0,
            line.run,
            line.attempt,
            start.map(|start| start.at.0),
            server,
            used(usage.fuel),
            used(usage.peak_memory_bytes),
            used(usage.wall_us),
            used(usage.log_bytes),
            used(usage.sent_bytes),
            used(usage.received_bytes),
            by,
            line.reason,
            failure.as_ref().map(Json::as_str),
        ])?;
    Ok(())
}

/// The number of a server of the other storage: it is kept as one that is gone.
fn past_server(tx: &mut Tx<'_>, id: ServerId) -> Result<i64, Fault> {
    if let Some(known) = tx.server(id)? {
        return Ok(known);
    }
    tx.db
        .prepare_cached(
            "INSERT INTO servers (id, alive, beat, host, pid, version, queues, sync_slots, sync_busy, async_slots,
             async_busy, started_at, heartbeat_at) VALUES (?1, 0, 0, '', 0, '', '[]', 0, 0, 0, 0, ?2, ?2)",
        )?
        .execute((id.0.as_bytes(), Timestamp(0).0))?;
    Ok(tx.db.last_insert_rowid())
}
