//! PostgreSQL keeps to the conformance suite, each behaviour in a namespace of its own on the shared server.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{rc::Rc, sync::Arc};

use async_trait::async_trait;
use postgres_room::Namespace;
use windlass_jobs::{
    NewJob, TestClock,
    conformance::{Ground, Opened},
    storage::{
        Storage,
        postgres::{PostgresOptions, PostgresStorage},
    },
};

/// A namespace, and how it is come to.
struct Room {
    namespace: Namespace,
    parameters: &'static str,
}

impl Room {
    async fn open(&self, options: PostgresOptions, clock: Arc<TestClock>) -> Arc<dyn Storage> {
        let url = format!("{}{}", self.namespace.url(), self.parameters);
        PostgresStorage::connect(&url, PostgresOptions { clock: Some(clock), ..options }).await.unwrap()
    }
}

#[async_trait(?Send)]
impl Ground for Room {
    async fn beside(&self, clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        Some(self.open(PostgresOptions::default(), clock).await)
    }

    async fn again(&self, clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        Some(self.open(PostgresOptions::host(), clock).await)
    }

    async fn refuse(&self, job: &NewJob) -> bool {
        let sql = format!(
            "CREATE FUNCTION @refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused on purpose'; END $$;
             CREATE TRIGGER refused BEFORE INSERT ON @jobs FOR EACH ROW WHEN (NEW.id = '{}') EXECUTE FUNCTION @refuse()",
            job.id.0
        );
        self.namespace.run(&sql).await;
        true
    }
}

async fn direct(clock: Arc<TestClock>) -> Opened {
    open(clock, "").await
}

async fn pooled(clock: Arc<TestClock>) -> Opened {
    open(clock, "&pooled=true").await
}

async fn open(clock: Arc<TestClock>, parameters: &'static str) -> Opened {
    let room = Room { namespace: Namespace::new(), parameters };
    Opened { storage: room.open(PostgresOptions::host(), clock).await, ground: Rc::new(room) }
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
        Opened { storage: SqliteStorage::in_memory(clock).unwrap(), ground: Rc::new(()) }
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
