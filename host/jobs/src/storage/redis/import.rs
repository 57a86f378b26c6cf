//! Taking records that come from another storage.

use redis::Cmd;
use windlass_api::{After, ContinueOn, HandlerPath, HistoryLine, Json, ServerId, State, Timestamp, Usage};

use super::{
    RedisStorage,
    answer::List,
    audit,
    bytes::{cut, mode_number},
    conditions::Edges,
    fault::damaged,
    history::{Kept, PARENTS, Run},
    limits::rule_numbers,
    modules::handlers_json,
    notes::{encode_line, encode_progress, line_bytes},
    queues::{grain_letter, numbers},
    record::{More, Record, encode_wide},
    recurring, script,
};
use crate::{
    Start,
    storage::{AuditRecord, CounterRecord, JobRecord, MAX_LIMITS, Record as Exported, Signal, StorageError},
};

impl RedisStorage {
    pub(super) async fn import_records(&self, records: &[Exported]) -> Result<usize, StorageError> {
        let now = self.now().await?;
        for record in records {
            if let Exported::Version(version) = record {
                self.put_component(version.digest, &version.component).await?;
            }
        }
        let mut call = self.call(&script::IMPORT);
        call.arg(records.len());
        for record in records {
            put_record(&mut call.command, record, now)?;
        }
        let mut answer = List::of(self.run(call).await?)?;
        let (new, activation) = (answer.number::<i64>()?, answer.text()?);
        self.hub.tell(Signal::Work);
        // Jobs that are here may have waited for what a version brings.
        self.rehome_all(&activation, answer).await?;
        if records.iter().any(|record| matches!(record, Exported::Version(_))) {
            self.hub.tell(Signal::Modules);
        }
        Ok(usize::try_from(new).unwrap_or(0))
    }
}

/// Appends a record to a command, as `import.lua` says.
fn put_record(command: &mut Cmd, record: &Exported, now: Timestamp) -> Result<(), StorageError> {
    match record {
        Exported::Version(version) => {
            command
                .arg("V")
                .arg(version.module.as_str())
                .arg(&version.digest.0)
                .arg(version.component.len())
                .arg(&version.version)
                .arg(&version.sdk)
                .arg(handlers_json(&version.handlers)?)
                .arg(version.deployed_at.0)
                .arg(u8::from(version.active))
                .arg(version.canary_percent.unwrap_or_default())
                .arg(version.handlers.len());
            for spec in &version.handlers {
                command.arg(format!("{}/{}", version.module, spec.name)).arg(mode_number(spec.mode));
            }
        }
        Exported::Queue(queue) => {
            command.arg("Q").arg(queue.name.as_str()).arg(u8::from(queue.paused));
        }
        Exported::Recurring(entry) => {
            let (kept, due) = recurring::encode(entry)?;
            command.arg("R").arg(entry.name.as_str()).arg(format!("{} {kept}", entry.revision)).arg(due);
        }
        Exported::Counter(CounterRecord { grain, row }) => {
            let path = HandlerPath { module: row.module.clone(), handler: row.handler.clone() };
            let counted = numbers(row).into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
            command.arg("N").arg(grain_letter(*grain)).arg(row.at.0).arg(path.to_string()).arg(counted.len());
            for (what, count) in counted {
                command.arg(what).arg(count.min(1 << 62));
            }
        }
        Exported::Limit(limit) => {
            command.arg("L").arg(limit.target.to_string());
            for number in rule_numbers(&limit.rule) {
                command.arg(number);
            }
            command.arg(MAX_LIMITS);
        }
        Exported::Audit(AuditRecord { number, entry }) => {
            command.arg("A").arg(entry.at.0).arg(audit::encode(entry)?).arg(*number);
        }
        Exported::Job(job) => put_job_record(command, job, now)?,
    }
    Ok(())
}

fn put_job_record(command: &mut Cmd, exported: &JobRecord, now: Timestamp) -> Result<(), StorageError> {
    let detail = &exported.detail;
    let job = &detail.job;
    let first = detail.history.first();
    let by = first.map_or("import", |line| line.by.as_str());
    let parents = detail.after.as_ref().map_or(&[][..], |after| &after.jobs);
    let about = (cut(by), &detail.headers, &detail.retry, detail.timeout_ms);
    let wide = encode_wide(&job.tags, &detail.payload, about, parents)?;
    let edges = edges(exported);
    let mut kept = kept_lines(&detail.history);
    let mut record = Record {
        state: job.state,
        mode: job.mode,
        priority: job.priority.min(9),
        // What was asked of a job that ended by it stands in its reason.
        ask: match (job.cancel_requested, job.reason.as_deref()) {
            (false, _) => 0,
            (true, Some("deleted")) => 2,
            (true, _) => 1,
        },
        born: first.map_or(job.state, |line| line.to),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        run: job.run,
        losses: exported.losses,
        lines: 0,
        ended: 0,
        log_bytes: 0,
        seq: 0,
        created_at: job.created_at,
        at: job.run_at.or(job.finished_at).or(detail.history.last().map(|line| line.at)).unwrap_or(job.created_at),
        ready_at: ready_at(&detail.history).unwrap_or(job.created_at),
        started_at: job.started_at,
        server: None,
        version: job.version,
        queue: job.queue.clone(),
        path: HandlerPath { module: job.module.clone(), handler: job.handler.clone() },
        reason: job.reason.clone(),
        asked_by: String::new(),
        more: More {
            parents: edges.is_some(),
            waited: first.is_some_and(|line| line.reason.as_deref() == Some(PARENTS)),
            expires_at: detail.expires_at,
            limit_key: detail.limit_key.clone(),
            unique: detail.unique.clone(),
            ..More::default()
        },
    };
    if job.state == State::Processing {
        kept.push(come_back(&mut record, job.server, now));
    }
    record.lines = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    if job.usage.is_some() || job.state == State::Processing {
        let last_run = kept.iter().rposition(|line| line.run.is_some());
        record.ended = last_run.and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0);
    }
    let log_bytes = exported.logs.iter().map(line_bytes).sum::<usize>();
    record.log_bytes = u32::try_from(log_bytes).unwrap_or(u32::MAX);
    let mut history = Vec::new();
    for line in &kept {
        line.write(&mut history).map_err(|error| damaged(format_args!("job {}", job.id), error))?;
    }
    let progress =
        job.progress.as_ref().map(|progress| [job.run.to_be_bytes().as_slice(), &encode_progress(progress)].concat());
    command
        .arg("J")
        .arg(job.id.0.as_bytes())
        .arg(record.encode())
        .arg(wide)
        .arg(history)
        .arg(u8::from(detail.result.is_some()))
        .arg(detail.result.as_ref().map_or("", Json::as_str))
        .arg(progress.unwrap_or_default())
        .arg(edges.map(|edges| edges.encode()).unwrap_or_default())
        .arg(u8::from(exported.holds_key))
        .arg(exported.checkpoints.len());
    for (key, value) in &exported.checkpoints {
        command.arg(key).arg(value.as_str());
    }
    command.arg(exported.logs.len());
    for line in &exported.logs {
        command.arg(encode_line(line));
    }
    Ok(())
}

/// What a job continues. One that says that it waits for parents and names none waits for nothing.
fn edges(exported: &JobRecord) -> Option<Edges> {
    let job = &exported.detail.job;
    let waits = job.state == State::Awaiting && job.reason.as_deref() == Some(PARENTS);
    let none = After { jobs: Vec::new(), on: ContinueOn::default() };
    let after = exported.detail.after.as_ref().or_else(|| waits.then_some(&none))?;
    let parents = after.jobs.iter().map(|parent| (*parent, !exported.waits_for.contains(parent))).collect();
    Some(Edges { on: after.on, start: exported.start.unwrap_or(Start::Now), parents })
}

/// Brings a job back to its line whose server is not here; where its cancel was asked for, it is deleted.
fn come_back(record: &mut Record, server: Option<ServerId>, now: Timestamp) -> Kept {
    let run = Run {
        run: record.run,
        attempt: record.attempt,
        started_at: record.started_at.unwrap_or(record.at),
        server: server.unwrap_or(ServerId(uuid::Uuid::nil())),
        usage: Usage::default(),
        failure: None,
    };
    record.attempt = record.attempt.saturating_sub(1);
    let (state, reason) = if record.ask == 0 { (State::Enqueued, "imported") } else { (State::Deleted, "cancelled") };
    (record.state, record.at, record.reason) = (state, now, Some(reason.to_owned()));
    let by = "import".to_owned();
    Kept { from: State::Processing, to: state, at: now, by, reason: record.reason.clone(), run: Some(run) }
}

/// When a job came to the end of its line last: by being made, being due, being asked for anew.
fn ready_at(history: &[HistoryLine]) -> Option<Timestamp> {
    let to_the_end = |line: &&HistoryLine| line.to == State::Enqueued && line.from != Some(State::Processing);
    history.iter().rev().find(to_the_end).map(|line| line.at)
}

/// The lines of a history as they are kept: without the first one, and each run as one.
fn kept_lines(history: &[HistoryLine]) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut begun = None::<&HistoryLine>;
    for line in history.iter().skip(1) {
        if line.to == State::Processing {
            begun = Some(line);
            continue;
        }
        let run = line.run.map(|run| {
            let begun = begun.take().filter(|begun| begun.run == line.run);
            let server = begun.and_then(|begun| begun.by.strip_prefix("server ")?.parse::<ServerId>().ok());
            Run {
                run,
                attempt: line.attempt.unwrap_or(0),
                started_at: begun.map_or(line.at, |begun| begun.at),
                server: server.unwrap_or(ServerId(uuid::Uuid::nil())),
                usage: line.usage.unwrap_or_default(),
                failure: line.failure.clone(),
            }
        });
        let own = run.as_ref().is_some_and(|run| line.by == format!("server {}", run.server));
        kept.push(Kept {
            from: line.from.unwrap_or(State::Enqueued),
            to: line.to,
            at: line.at,
            by: if own { String::new() } else { line.by.clone() },
            reason: line.reason.clone(),
            run,
        });
    }
    kept
}
