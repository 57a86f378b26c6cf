//! What the handlers of the guest `witness` wrote down.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use windlass_api::JobId;

use crate::Site;

/// The folder of the records.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
}

/// What one run wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// How often it was begun.
    pub starts: u32,
    /// How often it came to its end.
    pub ends: u32,
    /// How often it failed, as its job had asked for.
    pub fails: u32,
    /// When it wrote its first line.
    pub first_ms: i64,
    /// When it wrote its last line.
    pub last_ms: i64,
}

impl Records {
    /// A fresh folder in a site's.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(site: &Site) -> Result<Self> {
        let folder = site.path("records");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The settings that grant the folder to a module of the guest `witness`.
    #[must_use]
    pub fn grant(&self, module: &str) -> String {
        let folder = self.folder.display();
        format!("[module.{module}]\ndirectories = [{{ host = \"{folder}\", guest = \"/records\", write = true }}]\n")
    }

    /// What a run wrote.
    ///
    /// # Errors
    /// Where it wrote nothing, or something else.
    pub fn of(&self, job: JobId, run: u32) -> Result<Record> {
        read(&self.folder.join(format!("{job}.{run}")))
    }

    /// How many of these runs have begun their work.
    #[must_use]
    pub fn begun(&self, runs: &[(JobId, u32)]) -> usize {
        runs.iter().filter(|(job, run)| self.of(*job, *run).is_ok_and(|record| record.starts > 0)).count()
    }

    /// What all runs wrote, by job and run.
    ///
    /// # Errors
    /// Where one wrote something else.
    pub fn all(&self) -> Result<BTreeMap<JobId, BTreeMap<u32, Record>>> {
        let mut all: BTreeMap<JobId, BTreeMap<u32, Record>> = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let (job, run) = name.split_once('.').with_context(|| format!("not a record: {name}"))?;
            // Killed after the file was made and before its first line was written: it never ran.
            if fs::metadata(&path)?.len() > 0 {
                all.entry(job.parse()?).or_default().insert(run.parse()?, read(&path)?);
            }
        }
        Ok(all)
    }
}

fn read(path: &PathBuf) -> Result<Record> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut record = Record { starts: 0, ends: 0, fails: 0, first_ms: i64::MAX, last_ms: i64::MIN };
    for line in text.lines() {
        let (word, at) = line.split_once(' ').with_context(|| format!("{}: {line}", path.display()))?;
        match word {
            "start" => record.starts += 1,
            "end" => record.ends += 1,
            "fail" => record.fails += 1,
            "alive" => {}
            _ => bail!("{}: {line}", path.display()),
        }
        let at: i64 = at.parse().with_context(|| format!("{}: {line}", path.display()))?;
        record.first_ms = record.first_ms.min(at);
        record.last_ms = record.last_ms.max(at);
    }
    Ok(record)
}
