//! How a database is opened.

use std::sync::Arc;

use crate::{Clock, SystemClock, storage::Retention};

/// What this process does with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It runs jobs. Only one process at a time may, held by a lock on a file beside the database.
    Host,
    /// It enqueues and looks. Any number of processes may.
    Client,
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// When it is on the disk: it survives a power cut.
    #[default]
    Full,
    /// When the operating system has it: it survives a killed process, and a power cut may take the last seconds.
    Normal,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// What this process does with it; a client's by default.
    pub role: Role,
    /// Whether to make a database that is not there, and to bring one of an older version to this one; yes by default.
    pub prepare: bool,
    /// Whether nothing is written at all: no log is made or folded, and whatever would write is refused. No by default; a
    /// host always writes.
    pub read_only: bool,
    /// When a write counts as done; on the disk by default.
    pub synchronous: Synchronous,
    /// What time it is; the system's by default.
    pub clock: Arc<dyn Clock>,
    /// How long ended jobs and logs are kept.
    pub retention: Retention,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            role: Role::Client,
            prepare: true,
            read_only: false,
            synchronous: Synchronous::default(),
            clock: Arc::new(SystemClock),
            retention: Retention::default(),
        }
    }
}

impl SqliteOptions {
    /// The options of a host, everything else by default.
    #[must_use]
    pub fn host() -> Self {
        Self { role: Role::Host, ..Self::default() }
    }
}
