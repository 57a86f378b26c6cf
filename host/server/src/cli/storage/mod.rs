//! `windlass storage`: the storage as a whole. Its commands open it themselves: no host is needed.

mod export;
mod file;
mod import;
mod lines;
mod migrate;
mod totals;

use clap::Subcommand;

use super::{Exit, Global};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Migrate(migrate::Migrate),
    Export(export::Export),
    Import(import::Import),
}

pub(super) async fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    match command {
        Command::Migrate(command) => migrate::run(command, global).await,
        Command::Export(command) => export::run(command, global).await,
        Command::Import(command) => import::run(command, global).await,
    }
}
