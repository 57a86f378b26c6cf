//! Settings of the SQLite storage.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[sqlite]`: how the SQLite storage keeps its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of SQLite settings")]
pub struct SqliteSettings {
    /// What an acknowledged enqueue survives. Default: `full`.
    pub synchronous: Synchronous,
}

/// What an acknowledged enqueue survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "\"full\" or \"normal\"")]
pub enum Synchronous {
    /// A power failure too: every commit is synced to the disk.
    #[default]
    Full,
    /// The end of the process, but not a power failure, which may take the last commits along. Faster.
    Normal,
}
