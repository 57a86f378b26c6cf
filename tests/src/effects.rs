//! What the handlers of the guest `steps` did, as they wrote it down.

use std::{fs, io, path::PathBuf};

use anyhow::{Context, Result};

use crate::{Job, Site};

/// The folder of what was done.
#[derive(Debug)]
pub struct Effects {
    folder: PathBuf,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The key that the step was given.
    pub key: String,
    /// The run that it was in.
    pub run: u32,
}

impl Effects {
    /// A fresh folder in a site's.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(site: &Site) -> Result<Self> {
        let folder = site.path("effects");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The settings that grant the folder to a module of the guest `steps`.
    #[must_use]
    pub fn grant(&self, module: &str) -> String {
        let folder = self.folder.display();
        format!("[module.{module}]\ndirectories = [{{ host = \"{folder}\", guest = \"/effects\", write = true }}]\n")
    }

    /// What the steps of a job did, in that order; nothing where none has begun.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(&self, job: Job) -> Result<Vec<Effect>> {
        let text = match fs::read_to_string(self.folder.join(job.0.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        let read = |line: &str| {
            let (key, run) = line.split_once(' ')?;
            Some(Effect { key: key.to_owned(), run: run.parse().ok()? })
        };
        text.lines().map(|line| read(line).with_context(|| format!("not an effect: {line}"))).collect()
    }

    /// Holds runs that are in their second step, until they are [released](Self::release).
    ///
    /// # Errors
    /// Where that cannot be said.
    pub fn hold(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("hold"), "")?)
    }

    /// Lets held runs go on.
    ///
    /// # Errors
    /// Where none are held.
    pub fn release(&self) -> Result<()> {
        Ok(fs::remove_file(self.folder.join("hold"))?)
    }
}
