//! `windlass storage import`

use std::{
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use windlass_jobs::storage::{Record, Storage, StorageUrl};

use super::{
    super::{Exit, Global, files, format, output::say, progress, settings::StorageArguments},
    lines::{Line, Lines},
    totals::Totals,
};
use crate::storage;

/// Records that are stored at once, all or none.
const BATCH: usize = 500;

/// What a batch holds at most, as text, unless a single record is longer.
const BATCH_BYTES: usize = 8 << 20;

/// Read an export into the storage.
///
/// What the storage knows already, by its name or id, is left as it is, so that an import that broke off can be repeated
/// with --merge. Do not repeat one that is older than `[retention]` keeps ended jobs: the storage has forgotten them, and
/// those that were waiting in the export would run again. Jobs that were running when they were exported come back to their queues. A wrong line is named with its
/// number and field, and nothing of its batch is stored.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass storage import backup.jsonl --storage postgres://windlass:secret@localhost/jobs
  windlass storage export | windlass storage import - --storage redis://localhost:6379")]
pub(in super::super) struct Import {
    /// The export; standard input for `-`.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    storage: StorageArguments,
    /// Do it although the storage holds jobs.
    #[arg(long)]
    merge: bool,
}

#[derive(Serialize)]
struct Imported {
    storage: String,
    /// How many of the records the storage did not know before.
    new: u64,
    #[serde(flatten)]
    totals: Totals,
}

pub(super) async fn run(command: Import, global: &Global) -> anyhow::Result<Exit> {
    let (settings, begun_at) = (command.storage.load()?, Instant::now());
    let url = &settings.storage;
    let (name, reader, bar) = open(&command.file)?;
    let (lines, _) = Lines::open(&name, reader)?;
    let storage = storage::open_beside(&settings, true).await?;
    if !command.merge {
        holds_no_jobs(&*storage, url).await?;
    }
    let mut reading = Reading { name, lines, held_back: None };
    let (mut new, mut totals) = (0, Totals::default());
    loop {
        let batch = reading.batch().map_err(|error| stopped(error, &totals))?;
        let Some((first, last)) = batch.first().map(|line| line.number).zip(batch.last().map(|line| line.number))
        else {
            break;
        };
        let mut added = totals;
        let records: Vec<Record> =
            batch.into_iter().map(|line| line.record).inspect(|record| added.add(record)).collect();
        let stored = storage.import(records).await;
        let stored = stored.with_context(|| format!("failed to import lines {first} to {last} of {}", reading.name));
        new += stored.map_err(|error| stopped(error, &totals))? as u64;
        totals = added;
        bar.set_position(reading.lines.read_bytes);
        bar.set_message(format!("{} jobs", format::count(totals.jobs)));
    }
    bar.finish_and_clear();
    storage.close().await;
    reading.lines.check_end().map_err(|error| stopped(error, &totals))?;
    if reading.lines.is_incomplete {
        say("the export was made with --skip-damaged: what was damaged there is not in it, and so not here");
    }
    let elapsed = format::span(u64::try_from(begun_at.elapsed().as_millis()).unwrap_or(u64::MAX));
    global.output().show(&Imported { storage: url.to_string(), new, totals }, |imported| text(imported, &elapsed))?;
    Ok(Exit::Fine)
}

fn text(imported: &Imported, elapsed: &str) -> String {
    let Imported { storage, new, totals } = imported;
    let known = totals.sum().saturating_sub(*new);
    let known = if known == 0 {
        String::new()
    } else {
        format!("; {} of these records were there before and are left as they were", format::count(known))
    };
    format!("imported {} into {storage} in {elapsed}{known}", totals.text())
}

fn open(file: &Path) -> anyhow::Result<(String, Box<dyn BufRead>, ProgressBar)> {
    if file == Path::new("-") {
        return Ok(("standard input".to_owned(), Box::new(BufReader::new(io::stdin())), progress::bar(None)));
    }
    let name = file.display().to_string();
    let opened = files::open(file, "the export", "make it with `windlass storage export`")?;
    let length = opened.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((name, Box::new(BufReader::with_capacity(1 << 20, opened)), progress::bar(length)))
}

async fn holds_no_jobs(storage: &dyn Storage, url: &StorageUrl) -> anyhow::Result<()> {
    let jobs: u64 = storage.counts().await?.0.values().sum();
    if jobs > 0 {
        bail!(
            "failed to import into {url}: it holds {} jobs already; add --merge to repeat an import that broke off, or to \
             put the jobs of both together",
            format::count(jobs)
        );
    }
    Ok(())
}

/// Says with an error what was done before it, since that stays.
fn stopped(error: anyhow::Error, totals: &Totals) -> anyhow::Error {
    if totals.sum() > 0 {
        say(&format!("imported {} before it stopped; repeat it with --merge when it is mended", totals.text()));
    }
    error
}

/// Lines in batches.
struct Reading<R> {
    name: String,
    lines: Lines<R>,
    /// A record that had no room in the batch before.
    held_back: Option<Line>,
}

impl<R: BufRead> Reading<R> {
    /// The next batch; empty at the end.
    fn batch(&mut self) -> anyhow::Result<Vec<Line>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH {
            let next = match self.held_back.take() {
                Some(line) => Some(line),
                None => self.lines.next()?,
            };
            let Some(line) = next else { break };
            if !batch.is_empty() && bytes + line.bytes > BATCH_BYTES {
                self.held_back = Some(line);
                break;
            }
            bytes += line.bytes;
            batch.push(line);
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_is_said() {
        let totals = Totals { jobs: 3, queues: 1, ..Totals::default() };
        let said = |new| text(&Imported { storage: "s".to_owned(), new, totals }, "1 s");
        assert_eq!(said(4), "imported 3 jobs, 1 queue into s in 1 s");
        assert_eq!(
            said(1),
            "imported 3 jobs, 1 queue into s in 1 s; 3 of these records were there before and are left as they were"
        );
    }
}
