//! `windlass check`: what is wrong with a configuration and a storage, and how to mend it. Nothing is changed by it.

mod folders;
mod host;
mod outside;
mod report;
mod storage;

use clap::Args;

use self::report::Report;
use super::{Exit, Global, settings::StorageArguments};
use crate::config;

/// Say what is wrong with the configuration and the storage, and how to mend it.
///
/// It reads the settings as `windlass serve` would, looks at everything that they name, and opens the storage without
/// taking jobs: a host may run meanwhile. Nothing is made or changed. The exit code is 1 where something would keep a host
/// from working.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass check
  windlass check --config /etc/windlass.toml --strict
  windlass check --storage redis://localhost:6379 --json")]
pub(super) struct Check {
    #[command(flatten)]
    storage: StorageArguments,
    /// Let warnings count as errors.
    #[arg(long)]
    strict: bool,
}

pub(super) async fn run(command: Check, global: &Global) -> anyhow::Result<Exit> {
    let report = look(&command.storage).await;
    global.output().show(&report, Report::text)?;
    let failed = report.errors > 0 || (command.strict && report.warnings > 0);
    Ok(if failed { Exit::Failed } else { Exit::Fine })
}

async fn look(arguments: &StorageArguments) -> Report {
    let mut report = Report::default();
    for warning in config::unknown_variables() {
        report.warning("environment", warning, "");
    }
    let settings = match arguments.load() {
        Ok(settings) => settings,
        Err(error) => {
            report.error("settings", error.to_string(), "");
            return report;
        }
    };
    report.ok("settings", "they can be read and go together");
    host::look(&settings, &mut report);
    folders::look(&settings, &mut report);
    outside::look(&settings, &mut report);
    storage::look(&settings, &mut report).await;
    report
}
