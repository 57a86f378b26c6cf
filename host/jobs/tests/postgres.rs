//! PostgreSQL keeps to the conformance suite, each behaviour in a namespace of its own on the shared server.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::sync::Arc;

use postgres_room::Namespace;
use windlass_jobs::{
    TestClock,
    conformance::Opened,
    storage::postgres::{PostgresOptions, PostgresStorage},
};

async fn direct(clock: Arc<TestClock>) -> Opened {
    open(clock, "").await
}

async fn pooled(clock: Arc<TestClock>) -> Opened {
    open(clock, "&pooled=true").await
}

async fn open(clock: Arc<TestClock>, parameters: &str) -> Opened {
    let namespace = Namespace::new();
    let options = PostgresOptions { clock: Some(clock), ..PostgresOptions::host() };
    let storage = PostgresStorage::connect(&format!("{}{parameters}", namespace.url()), options).await.unwrap();
    Opened { storage, keep: Box::new(namespace) }
}

mod itself {
    use super::*;
    windlass_jobs::conformance_suite!(direct);
}

/// The suite again, with each call failing before it is answered.
mod faulty {
    use super::*;
    windlass_jobs::conformance_suite!(direct, faulty);
}

/// As behind a pooler in transaction mode: no statement is kept prepared, and every step is a transaction.
mod as_behind_a_pooler {
    use super::*;
    windlass_jobs::conformance_suite!(pooled);
}

#[cfg(feature = "sqlite")]
mod beside_sqlite {
    use windlass_jobs::{conformance::differences, storage::sqlite::SqliteStorage};

    use super::*;

    async fn sqlite(clock: Arc<TestClock>) -> Opened {
        Opened { storage: SqliteStorage::in_memory(clock).unwrap(), keep: Box::new(()) }
    }

    #[test]
    fn the_same_commands_give_the_same_histories() {
        for seed in [1, 2, 3] {
            differences(direct, sqlite, seed, 300);
        }
    }

    #[test]
    fn the_same_commands_give_the_same_histories_behind_a_pooler() {
        differences(pooled, sqlite, 4, 300);
    }
}
