//! SQLite keeps to the conformance suite, in a file and in memory.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{path::PathBuf, rc::Rc, sync::Arc};

use async_trait::async_trait;
use tempfile::TempDir;
use windlass_jobs::{
    NewJob, TestClock,
    conformance::{Ground, Opened},
    storage::{
        Storage,
        sqlite::{SqliteOptions, SqliteStorage},
    },
};

/// A file in a folder of its own.
struct File(TempDir);

impl File {
    fn path(&self) -> PathBuf {
        self.0.path().join("jobs.db")
    }

    fn open(&self, options: SqliteOptions) -> Arc<dyn Storage> {
        SqliteStorage::open(self.path(), options).unwrap()
    }
}

#[async_trait(?Send)]
impl Ground for File {
    async fn beside(&self, clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        Some(self.open(SqliteOptions { clock, ..SqliteOptions::default() }))
    }

    async fn again(&self, clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        Some(self.open(SqliteOptions { clock, ..SqliteOptions::host() }))
    }

    async fn refuse(&self, job: &NewJob) -> bool {
        let raw = rusqlite::Connection::open(self.path()).unwrap();
        let sql = format!(
            "CREATE TRIGGER refused BEFORE INSERT ON jobs WHEN NEW.id = x'{}'
             BEGIN SELECT RAISE(ABORT, 'refused on purpose'); END",
            job.id.0.simple()
        );
        raw.execute_batch(&sql).unwrap();
        true
    }
}

async fn in_a_file(clock: Arc<TestClock>) -> Opened {
    let file = File(tempfile::tempdir().unwrap());
    Opened { storage: file.open(SqliteOptions { clock, ..SqliteOptions::host() }), ground: Rc::new(file) }
}

async fn in_memory(clock: Arc<TestClock>) -> Opened {
    Opened { storage: SqliteStorage::in_memory(clock).unwrap(), ground: Rc::new(()) }
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
    windlass_jobs::conformance_suite!(in_a_file, faulty);
}
