//! Redis keeps to the conformance suite.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::Arc;

use windlass_jobs::{
    TestClock,
    conformance::Opened,
    storage::redis::{RedisOptions, RedisStorage},
};

mod redis_help;

async fn open(clock: Arc<TestClock>) -> Opened {
    let namespace = redis_help::Namespace::new();
    let options = RedisOptions { clock: Some(clock), ..RedisOptions::default() };
    let storage = RedisStorage::connect(&namespace.url(), options).await.unwrap();
    Opened { storage, keep: Box::new(namespace) }
}

windlass_jobs::conformance_suite!(open);

/// The suite again, with each call failing before it is answered.
mod faulty {
    use super::*;
    windlass_jobs::conformance_suite!(open, faulty);
}

#[cfg(feature = "sqlite")]
#[test]
fn the_same_commands_give_the_same_histories_as_on_sqlite() {
    async fn sqlite(clock: Arc<TestClock>) -> Opened {
        Opened { storage: windlass_jobs::storage::sqlite::SqliteStorage::in_memory(clock).unwrap(), keep: Box::new(()) }
    }
    for seed in [1, 2] {
        windlass_jobs::conformance::differences(open, sqlite, seed, 300);
    }
}
