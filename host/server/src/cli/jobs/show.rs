//! `windlass jobs show`

use anyhow::Context as _;
use windlass_api::{HistoryLine, JobDetail, JobId, Timestamp};

use super::super::{Exit, Global, format, retry, table};

/// More of a payload or a result than this is for `--json`.
const LONGEST_JSON: usize = 2_000;

pub(super) async fn run(id: JobId, global: &Global) -> anyhow::Result<Exit> {
    let detail = global.remote()?.job(id).await.with_context(|| format!("failed to show job {id}"))?;
    global.output().show(&detail, |detail| show(detail, format::now()))?;
    Ok(Exit::Fine)
}

fn show(detail: &JobDetail, now: Timestamp) -> String {
    let job = &detail.job;
    let instant = |at: Timestamp| format!("{} ({at})", format::relative(at, now));
    let reason = job.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let cancelled = if job.cancel_requested && !job.state.is_final() { ", being cancelled" } else { "" };
    let headers: Vec<_> = detail.headers.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let progress = job.progress.as_ref().map(|progress| {
        format!("{:.0} % {}", progress.percent, progress.note.as_deref().unwrap_or_default()).trim_end().to_owned()
    });
    let json = |text: &str| format::one_line(text, LONGEST_JSON);
    let some_lines = |lines: &[String]| (!lines.is_empty()).then(|| format::harmless(&lines.join(", ")));
    let fields = table::fields(&[
        ("job", Some(job.id.to_string())),
        ("handler", Some(format!("{}/{} ({})", job.module, job.handler, job.mode))),
        ("state", Some(format!("{}{reason}{cancelled}", job.state))),
        ("queue", Some(format!("{}, priority {}", job.queue, job.priority))),
        ("attempt", Some(format!("{} of {}, run {}", job.attempt, job.max_attempts, job.run))),
        ("retry", Some(retry::shown(&detail.retry))),
        ("timeout", detail.timeout_ms.map(format::span)),
        ("version", job.version.map(|version| version.short())),
        ("server", job.server.map(|server| server.to_string())),
        ("made", Some(instant(job.created_at))),
        ("due", job.run_at.map(instant)),
        ("started", job.started_at.map(instant)),
        ("ended", job.finished_at.map(instant)),
        ("expires", detail.expires_at.map(instant)),
        ("removed", detail.removed_at.map(instant)),
        ("tags", some_lines(&job.tags)),
        ("headers", some_lines(&headers)),
        ("progress", progress.as_deref().map(format::harmless)),
        ("usage", job.usage.as_ref().map(format::usage)),
        ("payload", Some(json(detail.payload.as_str()))),
        ("result", detail.result.as_ref().map(|result| json(result.as_str()))),
        ("failure", job.failure.as_ref().map(format::failure)),
    ]);
    format!("{fields}\n{}", history(&detail.history))
}

fn history(lines: &[HistoryLine]) -> String {
    let rows = lines.iter().map(|line| {
        let failure = line.failure.as_ref().map(|failure| format!("{}: {}", failure.cause, failure.message));
        let why = line.reason.clone().into_iter().chain(failure).collect::<Vec<_>>().join(", ");
        vec![
            line.at.to_string(),
            line.to.to_string(),
            line.run.map_or_else(String::new, |run| run.to_string()),
            line.usage.as_ref().map_or_else(String::new, |usage| format::micros(usage.wall_us)),
            format::one_line(&line.by, 60),
            format::one_line(&why, 80),
        ]
    });
    table::table(&["AT", "STATE", "RUN", "TOOK", "BY", "WHY"], &[0], &[2, 3], rows)
}
