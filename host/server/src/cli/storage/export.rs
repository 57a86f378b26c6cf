//! `windlass storage export`

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use windlass_api::{ServerView, Timestamp};
use windlass_jobs::storage::{Storage, StorageError};

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
/// that all of it belongs to one moment. A damaged record fails the export and is named (exit code 1); with --skip-damaged
/// each one is named and left out, and the exit code is 3 where there were any. `windlass storage import` reads the file into
/// a storage of any kind.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass storage export -o backup.jsonl
  windlass storage export -o rest.jsonl --skip-damaged
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
    /// Leave out what is damaged, name each of it on standard error, and end with 3.
    #[arg(long)]
    skip_damaged: bool,
}

#[derive(Serialize)]
struct Exported<'a> {
    storage: String,
    file: &'a Path,
    #[serde(flatten)]
    totals: Totals,
    #[serde(flatten)]
    left_out: LeftOut,
}

/// What is missing from an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct LeftOut {
    /// How many times something was named that could not be read.
    skipped: u64,
    /// How many more jobs the storage counts than were found, named or not; absent where hosts may have changed that.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_jobs: Option<u64>,
}

impl LeftOut {
    const fn is_nothing(self) -> bool {
        self.skipped == 0 && matches!(self.missing_jobs, None | Some(0))
    }

    fn text(self) -> String {
        let mut said = Vec::new();
        if let Some(jobs) = self.missing_jobs.filter(|jobs| *jobs > 0) {
            let (count, are) =
                (format::count(jobs), if jobs == 1 { "job that is counted is" } else { "jobs that are counted are" });
            said.push(format!("{count} {are} not in it"));
        }
        if self.skipped > 0 {
            said.push(format!("{} named above could not be read", format::count(self.skipped)));
        }
        format!("the export is not complete: {}", said.join(", "))
    }
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
    let (totals, left_out) = tokio::select! {
        written = write(&*storage, &settings, target, &command) => {
            written.with_context(|| format!("failed to export {url}"))?
        }
        name = signals.next() => bail!("{name} received: nothing is left of the export"),
    };
    storage.close().await;
    let elapsed = format::span(u64::try_from(begun_at.elapsed().as_millis()).unwrap_or(u64::MAX));
    if command.output == Path::new("-") {
        say(&format!("exported {} in {elapsed}", totals.text()));
    } else {
        let exported = Exported { storage: url.to_string(), file: &command.output, totals, left_out };
        global.output().show(&exported, |exported| {
            format!("exported {} to {} in {elapsed}", exported.totals.text(), exported.file.display())
        })?;
    }
    if !left_out.is_nothing() {
        say(&left_out.text());
        return Ok(Exit::Partly);
    }
    Ok(Exit::Fine)
}

/// Gives what was written, and what could not be.
async fn write(
    storage: &dyn Storage,
    settings: &Settings,
    mut target: Target,
    command: &Export,
) -> anyhow::Result<(Totals, LeftOut)> {
    let counted = match storage.counts().await {
        Ok(counts) => Some(counts.0.values().sum::<u64>()),
        Err(error @ StorageError::Damaged(_)) if command.skip_damaged => {
            say(&format!("warning: nobody can tell how many jobs there should be: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let (bar, mut totals, mut cursor) = (progress::bar(counted), Totals::default(), None::<String>);
    let mut left_out = LeftOut::default();
    Header::new(settings.storage.kind().name(), format::now()).write(target.writer())?;
    loop {
        let part = storage.export_readable(cursor.as_deref(), PAGE).await?;
        for record in &part.items {
            lines::write(record, target.writer())?;
            totals.add(record);
        }
        if let (false, Some(first)) = (command.skip_damaged, part.skipped.first()) {
            bail!("{first}; restore the storage from a backup, or add --skip-damaged to export all that can be read");
        }
        for unread in &part.skipped {
            left_out.skipped += 1;
            bar.suspend(|| say(&format!("warning: not exported: {unread}")));
        }
        bar.set_position(counted.map_or(totals.jobs, |counted| totals.jobs.min(counted)));
        bar.set_message(format!("{} jobs", format::count(totals.jobs)));
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    // With hosts that run, jobs are made and removed meanwhile.
    left_out.missing_jobs =
        counted.filter(|_| !command.while_running).map(|counted| counted.saturating_sub(totals.jobs));
    if let (false, Some(missing @ 1..)) = (command.skip_damaged, left_out.missing_jobs) {
        bail!(
            "{} of the jobs that the storage counts are not to be found in it: restore it from a backup, or add \
             --skip-damaged to export the others",
            format::count(missing)
        );
    }
    lines::write_end(totals.sum(), !left_out.is_nothing(), target.writer())?;
    target.finish()?;
    bar.finish_and_clear();
    Ok((totals, left_out))
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
    let youngest = alive.iter().map(|server| now.ms_since(server.heartbeat_at)).min().unwrap_or(0);
    let wait_s = (2 * settings.lost_after.as_millis()).saturating_sub(u128::from(youngest)).div_ceil(1_000);
    bail!(
        "failed to export {}: hosts run on it, or did until a moment ago ({}); stop those that run. One that was killed counts \
         as gone {} after it was heard of last: try again in {wait_s} s, or add --while-running where it does not matter \
         that jobs change meanwhile",
        settings.storage,
        named.collect::<Vec<_>>().join("; "),
        format::span(u64::try_from(2 * settings.lost_after.as_millis()).unwrap_or(u64::MAX)),
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
    fn what_is_left_out_is_counted_in_words_and_for_programs() {
        let left_out = LeftOut { skipped: 1, missing_jobs: Some(26_640) };
        assert_eq!(
            left_out.text(),
            "the export is not complete: 26,640 jobs that are counted are not in it, 1 named above could not be read"
        );
        assert_eq!(serde_json::to_string(&left_out).unwrap(), r#"{"skipped":1,"missing_jobs":26640}"#);
        assert!(LeftOut { skipped: 0, missing_jobs: Some(0) }.is_nothing());
    }

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
            memory_bytes: None,
            started_at: Timestamp(0),
            heartbeat_at: Timestamp(heartbeat_at),
        };
        let lost_after = Duration::from_secs(20);
        assert!(is_alive(&server(60_001), Timestamp(100_000), lost_after));
        assert!(is_alive(&server(200_000), Timestamp(100_000), lost_after), "its clock is ahead");
        assert!(!is_alive(&server(60_000), Timestamp(100_000), lost_after));
    }
}
