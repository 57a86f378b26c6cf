//! `windlass jobs show`

use anyhow::Context as _;
use windlass_api::{HistoryLine, JobDetail, JobId, Relations, Relative, Timestamp};

use super::super::{Exit, Global, format, retry, table};

/// More of a payload or a result than this is for `--json`.
const LONGEST_JSON: usize = 2_000;

/// More children than these are for the API.
const MOST_CHILDREN: u32 = 20;

pub(super) async fn run(id: JobId, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let detail = remote.get(id).await.with_context(|| format!("failed to show job {id}"))?;
    if global.json {
        global.output().show(&detail, |_| String::new())?;
        return Ok(Exit::Fine);
    }
    let relations = remote.relations(id, None, MOST_CHILDREN).await;
    let relations = relations.with_context(|| format!("failed to show the parents and children of job {id}"))?;
    global.output().show(&detail, |detail| show(detail, &relations, format::now()))?;
    Ok(Exit::Fine)
}

fn show(detail: &JobDetail, relations: &Relations, now: Timestamp) -> String {
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
        ("waits for", job.held_by.as_ref().map(|limit| format!("room under the limit on {limit}"))),
        ("limit key", detail.limit_key.as_ref().map(ToString::to_string)),
        ("continues", relatives(&relations.parents, false)),
        ("continued by", relatives(&relations.children.items, relations.children.next.is_some())),
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

/// A line for each.
fn relatives(of: &[Relative], has_more: bool) -> Option<String> {
    let line = |relative: &Relative| {
        let state = relative.state.map_or("removed", |state| state.as_str());
        let path = relative.module.as_ref().zip(relative.handler.as_ref());
        let path = path.map(|(module, handler)| format!(" {module}/{handler}")).unwrap_or_default();
        let waits = if relative.met { String::new() } else { format!(", on {}", relative.on) };
        format!("{} {state}{path}{waits}", relative.id)
    };
    let more = has_more.then(|| "…".to_owned());
    (!of.is_empty()).then(|| of.iter().map(line).chain(more).collect::<Vec<_>>().join("\n"))
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
