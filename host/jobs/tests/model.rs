//! Random commands on two storages: what they show must be the same.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{rc::Rc, sync::Arc};

use windlass_jobs::{
    TestClock,
    conformance::{Kept, Opened, differences},
    storage::sqlite::{SqliteOptions, SqliteStorage},
};

async fn in_a_file(clock: Arc<TestClock>) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { clock, ..SqliteOptions::host() };
    let storage = SqliteStorage::open(folder.path().join("jobs.db"), options).unwrap();
    Opened { storage, ground: Rc::new(Kept(folder)) }
}

async fn in_memory(clock: Arc<TestClock>) -> Opened {
    Opened { storage: SqliteStorage::in_memory(clock).unwrap(), ground: Rc::new(()) }
}

#[test]
fn a_database_in_a_file_and_one_in_memory_show_the_same_after_the_same_commands() {
    for seed in 0..6 {
        differences(in_a_file, in_memory, seed, 120);
    }
}
