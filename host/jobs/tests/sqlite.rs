//! SQLite keeps to the conformance suite, in a file and in memory.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::Arc;

use windlass_jobs::{
    TestClock,
    conformance::Opened,
    storage::sqlite::{SqliteOptions, SqliteStorage},
};

async fn in_a_file(clock: Arc<TestClock>) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { clock, ..SqliteOptions::host() };
    let storage = SqliteStorage::open(folder.path().join("jobs.db"), options).unwrap();
    Opened { storage, keep: Box::new(folder) }
}

async fn in_memory(clock: Arc<TestClock>) -> Opened {
    Opened { storage: SqliteStorage::in_memory(clock).unwrap(), keep: Box::new(()) }
}

mod file {
    use super::*;
    windlass_jobs::conformance_suite!(in_a_file);
}

mod memory {
    use super::*;
    windlass_jobs::conformance_suite!(in_memory);
}

/// The suite again, with each call failing before it is answered.
mod faulty {
    use super::*;
    windlass_jobs::conformance_suite!(in_memory, faulty);
}
