//! `windlass documentation`: the pages of the reference that the program knows best, its man pages, and whether settings
//! that the documentation shows are settings. `cargo xtask docs` and the tests of the documentation call it.

mod commands;
mod configuration;
mod errors;
mod http;
mod markdown;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Subcommand};

use super::{Exit, arguments::Cli};
use crate::config::{self, Overrides};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the generated pages of the reference into a folder.
    Pages {
        /// The folder.
        folder: PathBuf,
    },
    /// Write the man pages into a folder.
    Man {
        /// The folder.
        folder: PathBuf,
    },
    /// Read files of settings, and do nothing with them.
    Settings {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Pages { folder } => pages(&folder)?,
        Command::Man { folder } => man(&folder)?,
        Command::Settings { files } => {
            for file in files {
                config::load(Some(&file), Overrides::default())?;
            }
        }
    }
    Ok(Exit::Fine)
}

fn pages(folder: &Path) -> anyhow::Result<()> {
    make(folder)?;
    for (name, text) in [
        ("commands.md", commands::page()),
        ("configuration.md", configuration::page()),
        ("errors.md", errors::page()),
        ("http.md", http::page()),
    ] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
    }
    Ok(())
}

fn man(folder: &Path) -> anyhow::Result<()> {
    make(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("failed to write man pages into {}", folder.display()))
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make the folder {}", folder.display()))
}
