//! Taking records that come from another storage.

use std::collections::BTreeSet;

use sqlx::Row;
use windlass_api::{
    After, DeleteReason, Digest, HandlerPath, HistoryLine, JobId, Json, RetryPolicy, ServerId, State, Usage,
};

use super::{
    audit,
    conditions::{self, Kept},
    enqueue::HANDLER_MISSING,
    fault::Fault,
    flow::{self, Edge, PARENTS, Verdict, judge},
    limits, looks, modules,
    notes::{self, Lines},
    number::next_number,
    record::{self, Change, Job, Line, traits},
    schedule,
    settle::delete_reason,
    tx::Tx,
    unique,
    words::{Ask, Word, plain, signed},
};
use crate::{
    Conditions, Start,
    storage::{
        CounterRecord, JobRecord, NewVersion, QueueRecord, Record, VersionRecord,
        past::{self, Past, Step},
    },
};

/// Who changes jobs on their way in.
const IMPORT: &str = "import";

/// Why a job that was processing is enqueued again.
const IMPORTED: &str = "imported";

/// Takes records; gives how many were new.
pub(super) async fn import(tx: &mut Tx<'_>, records: &[Record]) -> Result<usize, Fault> {
    hold(tx, records).await?;
    let mut new = 0;
    for record in records {
        let is_new = match record {
            Record::Version(version) => import_version(tx, version).await?,
            Record::Queue(queue) => import_queue(tx, queue).await?,
            Record::Limit(limit) => limits::import(tx, &limit.target, limit.rule).await?,
            Record::Audit(entry) => audit::import(tx, entry).await?,
            Record::Recurring(entry) => {
                let is_new = schedule::write(tx, entry).await?;
                tx.told.work |= is_new;
                is_new
            }
            Record::Counter(counter) => import_counter(tx, counter).await?,
            Record::Job(job) => import_job(tx, job).await?,
        };
        new += usize::from(is_new);
    }
    let keys = keys_of(records);
    unique::let_go(tx, &keys).await?;
    Ok(new)
}

fn jobs_of(records: &[Record]) -> impl Iterator<Item = &JobRecord> {
    records.iter().filter_map(|record| if let Record::Job(job) = record { Some(&**job) } else { None })
}

fn keys_of(records: &[Record]) -> BTreeSet<Digest> {
    let held = jobs_of(records).filter(|job| job.holds_key);
    held.filter_map(|job| job.detail.unique.as_ref()).map(|rule| rule.key).collect()
}

fn parents_of(records: &[Record]) -> BTreeSet<JobId> {
    let after = jobs_of(records).filter_map(|job| job.detail.after.as_ref());
    after.flat_map(|after| after.jobs.iter().copied()).collect()
}

/// Holds what the jobs depend on that is here already, in the order that every step keeps to.
async fn hold(tx: &mut Tx<'_>, records: &[Record]) -> Result<(), Fault> {
    if records.iter().any(|record| matches!(record, Record::Limit(_))) {
        limits::stop_claims(tx).await?;
    }
    let keys = keys_of(records);
    unique::hold(tx, &keys).await?;
    let parents = parents_of(records);
    Job::held_all(tx, &parents).await?;
    Ok(())
}

async fn import_version(tx: &mut Tx<'_>, record: &VersionRecord) -> Result<bool, Fault> {
    let version = NewVersion {
        module: record.module.clone(),
        digest: record.digest,
        bytes: record.component.clone(),
        version: record.version.clone(),
        sdk: record.sdk.clone(),
        handlers: record.handlers.clone(),
    };
    modules::hold_versions(tx, &record.module).await?;
    let known = modules::add_version(tx, &version).await?;
    if !known {
        let query = tx.query("UPDATE @versions SET deployed_at = $3 WHERE module = $1 AND digest = $2");
        let query = query.bind(record.module.as_str()).bind(record.digest.0.to_vec()).bind(record.deployed_at.0);
        tx.run(query).await?;
    }
    // What this storage has activated itself stays active.
    if record.active && modules::active(tx, &record.module).await?.is_none() {
        // Jobs that wait for its handlers already are moved by the next promotion.
        modules::switch(tx, &record.module, record.digest).await?;
    }
    if let Some(percent) = record.canary_percent
        && !known
        && !modules::has_canary(tx, &record.module).await?
    {
        modules::set_canary(tx, &record.module, record.digest, percent).await?;
    }
    Ok(!known)
}

async fn import_queue(tx: &mut Tx<'_>, record: &QueueRecord) -> Result<bool, Fault> {
    if !record.paused {
        return Ok(false);
    }
    let queue = tx.queue(&record.name).await?;
    let query = tx.query("UPDATE @queues SET paused = true WHERE n = $1 AND NOT paused").bind(queue);
    Ok(tx.run(query).await? > 0)
}

/// Keeps a row of counters, unless there is one for the same span and handler.
async fn import_counter(tx: &mut Tx<'_>, record: &CounterRecord) -> Result<bool, Fault> {
    let row = &record.row;
    let handler = tx.handler(&HandlerPath { module: row.module.clone(), handler: row.handler.clone() }).await?;
    let query = tx
        .query(
            "INSERT INTO @counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
             WHERE NOT EXISTS (SELECT 1 FROM @changes WHERE handler = $3 AND at - mod(at, $12) = $2
                 AND n_made + n_succeeded + n_failed + n_retried + n_deleted + runs > 0)
             ON CONFLICT DO NOTHING",
        )
        .bind(record.grain.number())
        .bind(row.at.0)
        .bind(handler)
        .bind(signed(row.made))
        .bind(signed(row.succeeded))
        .bind(signed(row.failed))
        .bind(signed(row.retried))
        .bind(signed(row.deleted))
        .bind(signed(row.runs))
        .bind(signed(row.run_us))
        .bind(signed(row.fuel))
        .bind(signed(record.grain.span_ms()));
    Ok(tx.run(query).await? > 0)
}

async fn import_job(tx: &mut Tx<'_>, record: &JobRecord) -> Result<bool, Fault> {
    let shown = &record.detail.job;
    let past = Past::of(&record.detail);
    let path = HandlerPath { module: shown.module.clone(), handler: shown.handler.clone() };
    let Some(seq) = insert(tx, record, &past, &path).await? else { return Ok(false) };
    let mut version = None;
    if let Some(digest) = shown.version {
        version = modules::number(tx, &shown.module, digest).await?;
    }
    let mut job = Job {
        id: shown.id,
        seq,
        handler: tx.handler(&path).await?,
        queue: tx.queue(&shown.queue).await?,
        mode: shown.mode,
        priority: shown.priority.into(),
        state: shown.state,
        attempt: shown.attempt,
        run: shown.run,
        losses: record.losses,
        lines: 0,
        at: shown.run_at.or(shown.finished_at).unwrap_or(past.since),
        ready_at: past.ready_at,
        started_at: shown.started_at,
        server: None,
        version,
        ended_line: None,
        ask: None,
        asked_by: None,
        reason: shown.reason.as_deref().map(plain),
        lacked: None,
        max_attempts: shown.max_attempts,
        traits: 0,
        // What has been claimed or has ended expires no more.
        expires_at: record.detail.expires_at.filter(|_| shown.run == 0 && !shown.state.is_final()),
        held: None,
        places: Vec::new(),
    };
    if shown.cancel_requested {
        let deleted = shown.reason.as_deref() == Some(DeleteReason::Deleted.as_str());
        job.ask = Some(if deleted { Ask::Delete } else { Ask::Cancel });
    }
    let lines = lines_of(tx, &mut job, &past, shown.usage.is_some()).await?;
    let result = record.detail.result.as_ref().map(|result| result.as_str().to_owned());
    let mut change = job.arrive(lines, result);
    settle_in(tx, &mut change, &path, &past).await?;
    import_conditions(tx, &mut change, record, &past, &path).await?;
    import_notes(tx, &change.job, record).await?;
    record::save(tx, &[change]).await?;
    Ok(true)
}

/// Stores what never changes of a job; gives its number, where there was no job of its id.
async fn insert(
    tx: &mut Tx<'_>,
    record: &JobRecord,
    past: &Past<'_>,
    path: &HandlerPath,
) -> Result<Option<i64>, Fault> {
    let (detail, shown) = (&record.detail, &record.detail.job);
    let text = |json: serde_json::Result<Json>| {
        json.map(|json| json.as_str().to_owned())
            .map_err(|error| Fault::damaged(format_args!("job {}", shown.id), error))
    };
    let (handler, queue) = (tx.handler(path).await?, tx.queue(&shown.queue).await?);
    let query = tx
        .query(concat!(
            "INSERT INTO @jobs (seq, id, handler, queue, mode, priority, born, max_attempts, created_at, start_at,
                 timeout_ms, made_by, tags, retry, headers, payload)
             SELECT ",
            next_number!("$1::bigint"),
            ", $2, $3, $4, $5, $6, $7, $8, $1, $1, $9, $10, $11, $12, $13, $14
             ON CONFLICT (id) DO NOTHING RETURNING seq"
        ))
        .bind(shown.created_at.0)
        .bind(shown.id.0)
        .bind(handler)
        .bind(queue)
        .bind(shown.mode.number())
        .bind(i16::from(shown.priority))
        .bind(past.born.number())
        .bind(i64::from(shown.max_attempts))
        .bind(detail.timeout_ms.map(signed))
        .bind(plain(past.made_by))
        .bind((!shown.tags.is_empty()).then(|| text(Json::write(&shown.tags))).transpose()?)
        .bind((detail.retry != RetryPolicy::default()).then(|| text(Json::write(&detail.retry))).transpose()?)
        .bind((!detail.headers.is_empty()).then(|| text(Json::write(&detail.headers))).transpose()?)
        .bind(detail.payload.as_str().to_owned());
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let seq = row.try_get(0)?;
    if !shown.tags.is_empty() {
        let query = tx
            .query("INSERT INTO @tags (tag, seq) SELECT t, $1 FROM unnest($2::text[]) AS t ON CONFLICT DO NOTHING")
            .bind(seq)
            .bind(shown.tags.iter().map(|tag| plain(tag)).collect::<Vec<_>>());
        tx.run(query).await?;
    }
    Ok(Some(seq))
}

/// The lines after the first, each run as one.
async fn lines_of(tx: &mut Tx<'_>, job: &mut Job, past: &Past<'_>, has_run: bool) -> Result<Vec<Line>, Fault> {
    let mut lines = Vec::new();
    for step in past.steps() {
        job.lines += 1;
        let (start, end) = match step {
            Step::Plain(line) => (None, line),
            Step::Run { start, end } => {
                job.ended_line = has_run.then_some(job.lines);
                (start, end)
            }
        };
        let mut server = None;
        if let Some(id) = start.and_then(past::server_of) {
            server = Some(past_server(tx, id).await?);
        }
        lines.push(line_of(job.lines, start, end, server)?);
    }
    Ok(lines)
}

fn line_of(n: i64, start: Option<&HistoryLine>, line: &HistoryLine, server: Option<i32>) -> Result<Line, Fault> {
    let failure = line.failure.as_ref().map(Json::write).transpose();
    let failure = failure.map_err(|error| Fault::damaged("a failure", error))?;
    Ok(Line {
        n,
        from: line.from.unwrap_or(State::Processing),
        to: line.to,
        at: line.at,
        run: line.run,
        attempt: line.attempt,
        started_at: start.map(|start| start.at),
        server,
        usage: line.run.map(|_| line.usage.unwrap_or_default()),
        by: start.is_none_or(|start| start.by != line.by).then(|| plain(&line.by)),
        reason: line.reason.as_deref().map(plain),
        failure: failure.map(|failure| failure.as_str().to_owned()),
    })
}

/// What cannot stay as it was, because it hung on the storage that the job comes from.
async fn settle_in(tx: &mut Tx<'_>, change: &mut Change, path: &HandlerPath, past: &Past<'_>) -> Result<(), Fault> {
    let now = tx.now();
    match change.job.state {
        State::Processing => {
            if let Some(id) = past.open_server() {
                change.job.server = Some(past_server(tx, id).await?);
            }
            let run = change.job.current_run();
            change.job.give_attempt_back();
            if let Some(ask) = change.job.ask {
                change.job.become_now(now, State::Deleted, Some(delete_reason(ask).as_str()));
            } else {
                change.job.become_now(now, State::Enqueued, Some(IMPORTED));
            }
            change.record_run(now, run, Usage::default(), None, Some(IMPORT))?;
        }
        // It would wait for ever for a handler that is here already.
        State::Awaiting if change.job.reason.as_deref() == Some(HANDLER_MISSING) => {
            if let Some(mode) = modules::active_mode(tx, path).await? {
                change.job.mode = mode;
                change.job.become_ready(now, None);
                change.record_step(now, State::Awaiting, IMPORT);
            }
        }
        _ => {}
    }
    Ok(())
}

/// What the job depends on: its parents are those that are here, and it is as an enqueue would have it.
async fn import_conditions(
    tx: &mut Tx<'_>,
    change: &mut Change,
    record: &JobRecord,
    past: &Past<'_>,
    path: &HandlerPath,
) -> Result<(), Fault> {
    let detail = &record.detail;
    let first = detail.history.first().filter(|line| line.from.is_none()).and_then(|line| line.reason.as_deref());
    let conditions = Conditions {
        after: detail.after.clone(),
        unique: detail.unique.clone(),
        expires_at: None,
        limit_key: detail.limit_key.clone(),
    };
    if conditions.is_empty() {
        return Ok(());
    }
    change.job.traits |= traits::CONDITIONS;
    let seq = change.job.seq;
    if let Some(after) = &detail.after {
        change.job.traits |= traits::PARENTS;
        import_parents(tx, change, record, after, path).await?;
    }
    let waits = is_waiting(&change.job);
    let born_reason = first.filter(|reason| past.born != State::Awaiting || *reason != HANDLER_MISSING);
    let start = waits.then(|| record.start.unwrap_or(Start::Now));
    conditions::keep(tx, &[Kept { seq, born_reason, start, conditions: &conditions }]).await?;
    if let Some(rule) = detail.unique.as_ref().filter(|_| record.holds_key) {
        let entries = unique::hold(tx, &BTreeSet::from([rule.key])).await?;
        if unique::holders(tx, &entries).await?.is_empty() {
            unique::name(tx, &[(rule.key, seq)]).await?;
        }
    }
    Ok(())
}

fn is_waiting(job: &Job) -> bool {
    job.state == State::Awaiting && job.reason.as_deref() == Some(PARENTS)
}

async fn import_parents(
    tx: &mut Tx<'_>,
    change: &mut Change,
    record: &JobRecord,
    after: &After,
    path: &HandlerPath,
) -> Result<(), Fault> {
    let held = Job::held_all(tx, &after.jobs.iter().copied().collect()).await?;
    let (mut edges, mut live, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    let (mut waits, mut is_gone) = (false, false);
    for parent in &after.jobs {
        let here = held.get(parent);
        let verdict = if record.waits_for.contains(parent) {
            judge(after.on, here.map_or(State::Deleted, |parent| parent.state))
        } else {
            Verdict::Met
        };
        waits |= verdict == Verdict::Waits;
        is_gone |= verdict == Verdict::Cannot;
        // One that no longer waits keeps its edges as they were.
        let met = if is_waiting(&change.job) { verdict == Verdict::Met } else { !record.waits_for.contains(parent) };
        edges.push(Edge { parent: here.map_or(0, |parent| parent.seq), parent_id: *parent, met });
        match here {
            Some(parent) if parent.state.is_final() => ended.push(parent.seq),
            Some(parent) => live.push(parent.id.0),
            None => {}
        }
    }
    flow::mark_parents(tx, live, ended).await?;
    let now = tx.now();
    if is_waiting(&change.job) && is_gone {
        looks::delete_now(change, now, IMPORT);
    } else if is_waiting(&change.job) && !waits {
        let active = modules::active_mode(tx, path).await?;
        looks::begin_now(change, record.start.unwrap_or(Start::Now), active, now, IMPORT);
    }
    if change.job.state.is_final() {
        change.job.expires_at = None;
    }
    flow::keep_edges(tx, &[(change.job.seq, change.job.state.is_final(), edges)]).await
}

async fn import_notes(tx: &mut Tx<'_>, job: &Job, record: &JobRecord) -> Result<(), Fault> {
    if let Some(progress) = &record.detail.job.progress {
        let query = tx
            .query("INSERT INTO @progress (seq, run, percent, note, at) VALUES ($1, $2, $3, $4, $5)")
            .bind(job.seq)
            .bind(i64::from(job.run))
            .bind(progress.percent)
            .bind(progress.note.as_deref().map(plain))
            .bind(progress.at.0);
        tx.run(query).await?;
    }
    for (key, value) in &record.checkpoints {
        notes::keep_checkpoint(tx, job.seq, key, value).await?;
    }
    if record.logs.is_empty() {
        return Ok(());
    }
    let mut lines = Lines::default();
    for line in &record.logs {
        lines.add(job.seq, line);
    }
    lines.keep(tx).await?;
    let bytes = record.logs.iter().map(notes::size_of).fold(0, i64::saturating_add);
    notes::keep_sizes(tx, vec![job.seq], vec![bytes]).await
}

/// The number of a server of the other storage: it is kept as one that is gone.
async fn past_server(tx: &mut Tx<'_>, id: ServerId) -> Result<i32, Fault> {
    let query = tx
        .query(
            "INSERT INTO @servers (id, alive, beat, host, pid, version, queues, sync_slots, sync_busy, async_slots,
             async_busy, started_at, heartbeat_at) VALUES ($1, false, 0, '', 0, '', '[]', 0, 0, 0, 0, 0, 0)
             ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING n",
        )
        .bind(id.0);
    Ok(tx.first(query).await?.ok_or(Fault::Again)?.try_get(0)?)
}
