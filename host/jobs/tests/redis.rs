//! Redis keeps to the conformance suite.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{rc::Rc, sync::Arc};

use async_trait::async_trait;
use redis_help::Namespace;
use windlass_jobs::{
    NewJob, TestClock,
    conformance::{Ground, Opened},
    storage::{
        Storage,
        redis::{RedisOptions, RedisStorage},
    },
};

mod redis_help;

async fn connect(namespace: &Namespace, clock: Arc<TestClock>) -> Arc<dyn Storage> {
    let options = RedisOptions { clock: Some(clock), ..RedisOptions::default() };
    RedisStorage::connect(&namespace.url(), options).await.unwrap()
}

#[async_trait(?Send)]
impl Ground for Namespace {
    async fn beside(&self, clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        Some(connect(self, clock).await)
    }

    async fn again(&self, clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        Some(connect(self, clock).await)
    }

    /// The index of its tag holds another kind of value.
    async fn refuse(&self, job: &NewJob) -> bool {
        self.set(format!("t:{}", job.tags[0]).as_bytes(), b"no index");
        true
    }
}

async fn open(clock: Arc<TestClock>) -> Opened {
    let namespace = Namespace::new();
    Opened { storage: connect(&namespace, clock).await, ground: Rc::new(namespace) }
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
        let storage = windlass_jobs::storage::sqlite::SqliteStorage::in_memory(clock).unwrap();
        Opened { storage, ground: Rc::new(()) }
    }
    for seed in [1, 2] {
        windlass_jobs::conformance::differences(open, sqlite, seed, 300);
    }
}
