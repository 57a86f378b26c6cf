//! `windlass storage migrate`

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use windlass_jobs::storage::{self, Migration};

use super::super::{Exit, Global, settings::StorageArguments};

/// Bring the storage to this version, or make it.
///
/// `windlass serve` does so by itself when it starts. This does it beforehand, for instance as another database user. A
/// storage of a newer version is refused and left as it is.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass storage migrate --storage postgres://owner:secret@localhost/jobs
  windlass storage migrate --config /etc/windlass.toml")]
pub(in super::super) struct Migrate {
    #[command(flatten)]
    storage: StorageArguments,
}

#[derive(Serialize)]
struct Migrated {
    storage: String,
    /// Absent where there was no storage before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u32>,
    to: u32,
}

pub(super) async fn run(command: Migrate, global: &Global) -> anyhow::Result<Exit> {
    let settings = command.storage.load()?;
    let url = &settings.storage;
    let Migration { from, to } =
        storage::migrate(url).await.with_context(|| format!("failed to migrate the storage {url}"))?;
    global.output().show(&Migrated { storage: url.to_string(), from, to }, text)?;
    Ok(Exit::Fine)
}

fn text(migrated: &Migrated) -> String {
    let Migrated { storage, from, to } = migrated;
    match from {
        None => format!("{storage} is made, at version {to}"),
        Some(from) if from == to => format!("{storage} is at version {to} already: nothing to do"),
        Some(from) => format!("{storage} is brought from version {from} to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said() {
        let said = |from| text(&Migrated { storage: "s".to_owned(), from, to: 3 });
        assert_eq!(said(None), "s is made, at version 3");
        assert_eq!(said(Some(3)), "s is at version 3 already: nothing to do");
        assert_eq!(said(Some(1)), "s is brought from version 1 to 3");
    }
}
