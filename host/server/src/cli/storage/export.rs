//! `windlass storage export`

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use windlass_api::{ServerView, Timestamp};
use windlass_jobs::storage::Storage;

use super::{
    super::{Exit, Global, format, output::say, progress, settings::StorageArguments},
    file::Target,
    lines::{self, Header},
    totals::Totals,
};
use crate::{config::Settings, signals::StopSignals, storage};

/// Records that are asked for at once.
const PAGE: usize = 500;

/// Write everything that the storage holds as JSON lines.
///
/// Modules with their components, queues, recurring jobs, counters and jobs with their histories and logs, secrets in
/// payloads included: keep the file as safe as the storage. It is complete or not there at all. Stop the hosts first, so
/// that all of it belongs to one moment. What cannot be read because the storage is damaged is named and left out, and the
/// exit code is 1. `windlass storage import` reads it into a storage of any kind.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass storage export -o backup.jsonl
  windlass storage export --storage redis://localhost:6379 | gzip > backup.jsonl.gz")]
pub(in super::super) struct Export {
    #[command(flatten)]
    storage: StorageArguments,
    /// The file; standard output for `-`.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Do it although hosts run: what changes meanwhile may be as it was or as it is.
    #[arg(long)]
    while_running: bool,
}

#[derive(Serialize)]
struct Exported<'a> {
    storage: String,
    file: &'a Path,
    #[serde(flatten)]
    totals: Totals,
    /// How many records could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
}

pub(super) async fn run(command: Export, global: &Global) -> anyhow::Result<Exit> {
    let (settings, begun_at) = (command.storage.load()?, Instant::now());
    let url = &settings.storage;
    let storage = storage::open_beside(&settings, false).await?;
    if !command.while_running {
        nobody_runs(&*storage, &settings).await?;
    }
    // Listening from here on, so that an interrupted export removes what it has written so far.
    let mut signals = StopSignals::listen().context("failed to listen for signals")?;
    let target = Target::create(&command.output)?;
    let (totals, skipped) = tokio::select! {
        written = write(&*storage, &settings, target) => written.with_context(|| format!("failed to export {url}"))?,
        name = signals.next() => bail!("{name} received: nothing is left of the export"),
    };
    storage.close().await;
    let elapsed = format::span(u64::try_from(begun_at.elapsed().as_millis()).unwrap_or(u64::MAX));
    if command.output == Path::new("-") {
        say(&format!("exported {} in {elapsed}", totals.text()));
    } else {
        let exported = Exported {
            storage: url.to_string(),
            file: &command.output,
            totals,
            skipped: (skipped > 0).then_some(skipped),
        };
        global.output().show(&exported, |exported| {
            format!("exported {} to {} in {elapsed}", exported.totals.text(), exported.file.display())
        })?;
    }
    if skipped > 0 {
        let skipped = format::count(skipped);
        say(&format!(
            "the export is not complete: {skipped} of what the storage holds could not be read, as said above"
        ));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Fine)
}

/// Gives what was written, and how much could not be read.
async fn write(storage: &dyn Storage, settings: &Settings, mut target: Target) -> anyhow::Result<(Totals, u64)> {
    let jobs = storage.counts().await?.0.values().sum();
    let (bar, mut totals, mut cursor) = (progress::bar(Some(jobs)), Totals::default(), None::<String>);
    let mut skipped = 0_u64;
    Header::new(settings.storage.kind().name(), format::now()).write(target.writer())?;
    loop {
        let part = storage.export_readable(cursor.as_deref(), PAGE).await?;
        for record in &part.items {
            lines::write(record, target.writer())?;
            totals.add(record);
        }
        for unread in &part.skipped {
            skipped += 1;
            bar.suspend(|| say(&format!("warning: not exported: {unread}")));
        }
        bar.set_position(totals.jobs.min(jobs));
        bar.set_message(format!("{} jobs", format::count(totals.jobs)));
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    lines::write_end(totals.sum(), target.writer())?;
    target.finish()?;
    bar.finish_and_clear();
    Ok((totals, skipped))
}

/// Refuses where a host may still write.
async fn nobody_runs(storage: &dyn Storage, settings: &Settings) -> anyhow::Result<()> {
    let (servers, now) = (storage.servers().await?, format::now());
    let alive: Vec<_> = servers.iter().filter(|server| is_alive(server, now, settings.lost_after)).collect();
    if alive.is_empty() {
        return Ok(());
    }
    let named = alive.iter().take(5).map(|server| {
        let host = format::one_line(&server.host, 40);
        format!("process {} on {host}, heard of {}", server.pid, format::relative(server.heartbeat_at, now))
    });
    bail!(
        "failed to export {}: hosts run on it ({}); stop them first, or add --while-running where it does not matter that \
         jobs change meanwhile",
        settings.storage,
        named.collect::<Vec<_>>().join("; ")
    )
}

/// Whether a server may still live. Twice the time after which it counts as lost makes up for clocks that differ a little.
fn is_alive(server: &ServerView, now: Timestamp, lost_after: Duration) -> bool {
    u128::from(now.ms_since(server.heartbeat_at)) < 2 * lost_after.as_millis()
}

#[cfg(test)]
mod tests {
    use windlass_api::{ServerId, SlotUse};

    use super::*;

    #[test]
    fn a_server_that_has_long_been_silent_keeps_nobody_from_exporting() {
        let server = |heartbeat_at| ServerView {
            id: ServerId(uuid::Uuid::nil()),
            host: "h".to_owned(),
            pid: 1,
            version: String::new(),
            queues: Vec::new(),
            sync_slots: SlotUse::default(),
            async_slots: SlotUse::default(),
            started_at: Timestamp(0),
            heartbeat_at: Timestamp(heartbeat_at),
        };
        let lost_after = Duration::from_secs(20);
        assert!(is_alive(&server(60_001), Timestamp(100_000), lost_after));
        assert!(is_alive(&server(200_000), Timestamp(100_000), lost_after), "its clock is ahead");
        assert!(!is_alive(&server(60_000), Timestamp(100_000), lost_after));
    }
}
