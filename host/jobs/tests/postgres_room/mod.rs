//! A namespace of its own for each test, removed when the test is over, and short words for what is done in it.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::{sleep, timeout};
use uuid::Uuid;
use windlass_jobs::{
    Claimed, Conditions, NewJob, Next, Settlement, Start,
    api::{JobId, Json, Mode, QueueName, RetryPolicy, ServerId, Usage},
    storage::{
        ClaimRequest, JobStore as _, NewServer, ServerStore as _, Storage as _, StorageError,
        postgres::{PostgresOptions, PostgresStorage},
    },
};

/// A namespace of the shared server's.
pub(crate) struct Namespace {
    base: String,
    name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let base = windlass_test_services::shared::postgres_url().unwrap();
        Self::on(&base)
    }

    pub(crate) fn on(base: &str) -> Self {
        Self { base: base.to_owned(), name: format!("t{}", Uuid::new_v4().simple()) }
    }

    pub(crate) fn url(&self) -> String {
        let separator = if self.base.contains('?') { '&' } else { '?' };
        format!("{}{separator}namespace={}", self.base, self.name)
    }

    /// The URL without the namespace, as an application would use it.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn open(&self) -> Arc<PostgresStorage> {
        PostgresStorage::connect(&self.url(), PostgresOptions::host()).await.unwrap()
    }

    /// Carries out a statement, in which `@` stands for the namespace.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.base).await.unwrap();
        let sql = sql.replace('@', &format!("\"{}\".", self.name));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    /// The number that a statement gives, in which `@` stands for the namespace.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.base).await.unwrap();
        let sql = sql.replace('@', &format!("\"{}\".", self.name));
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let (base, name) = (self.base.clone(), self.name.clone());
        // The test may run on a runtime that must not be blocked in.
        let removed = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // A server that the test has ended takes everything with it.
                let Ok(mut connection) = PgConnection::connect(&base).await else { return };
                // A task of the test's may rest in the middle of a step: nobody carries it on any more.
                let sql = format!(
                    "SET client_min_messages = error;
                     SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                         JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE n.nspname = '{name}' AND l.pid <> pg_backend_pid();
                     DROP SCHEMA IF EXISTS \"{name}\" CASCADE"
                );
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            });
        });
        if !thread::panicking() {
            removed.join().unwrap();
        }
    }
}

pub(crate) fn job() -> NewJob {
    NewJob {
        id: JobId(Uuid::now_v7()),
        module: "shop".parse().unwrap(),
        handler: "bill".parse().unwrap(),
        mode: Mode::Sync,
        queue: QueueName::default(),
        priority: 5,
        start: Start::Now,
        payload: r#"{"n":1}"#.parse().unwrap(),
        headers: BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 3,
        retry: RetryPolicy::default(),
        timeout_ms: None,
        conditions: Conditions::default(),
    }
}

pub(crate) async fn server(storage: &PostgresStorage) -> ServerId {
    let id = ServerId(Uuid::new_v4());
    let server = NewServer {
        id,
        host: "here".into(),
        pid: 7,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 4,
        async_slots: 4,
    };
    storage.register(server).await.unwrap();
    id
}

pub(crate) async fn claim(storage: &PostgresStorage, server: ServerId, free: u32) -> Vec<Claimed> {
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: free, async_free: 0 };
    storage.claim(&request).await.unwrap()
}

pub(crate) fn success(run: &Claimed) -> Settlement {
    let next = Next::Succeeded { result: Some(Json::null()) };
    Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() }
}

/// Tries until it works: for what comes back by itself.
pub(crate) async fn in_the_end<T, F: Future<Output = Result<T, StorageError>>>(mut work: impl FnMut() -> F) -> T {
    let tried = async {
        loop {
            match work().await {
                Ok(done) => return done,
                Err(StorageError::Unavailable(_)) => sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(60), tried).await.unwrap()
}

/// Waits until notifications come through.
pub(crate) async fn listens(storage: &PostgresStorage) {
    let listening = async {
        while !storage.findings().await.unwrap().iter().all(|finding| !finding.what.contains("notifications have not"))
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), listening).await.unwrap();
}
