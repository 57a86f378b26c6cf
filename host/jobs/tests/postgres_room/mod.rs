//! A namespace of its own for each test, removed when the test is over.

use std::{sync::Arc, thread};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use windlass_jobs::storage::postgres::{PostgresOptions, PostgresStorage};

/// A namespace of the shared server's.
pub struct Namespace {
    base: String,
    name: String,
}

impl Namespace {
    pub fn new() -> Self {
        let base = windlass_test_services::shared::postgres_url().unwrap();
        Self::on(&base)
    }

    pub fn on(base: &str) -> Self {
        Self { base: base.to_owned(), name: format!("t{}", uuid::Uuid::new_v4().simple()) }
    }

    pub fn url(&self) -> String {
        let separator = if self.base.contains('?') { '&' } else { '?' };
        format!("{}{separator}namespace={}", self.base, self.name)
    }

    /// The URL without the namespace, as an application would use it.
    #[allow(dead_code, reason = "not every test that has a namespace looks behind it")]
    pub fn base(&self) -> &str {
        &self.base
    }

    #[allow(dead_code, reason = "not every test that has a namespace looks behind it")]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[allow(dead_code, reason = "the conformance suite opens its storages otherwise")]
    pub async fn open(&self) -> Arc<PostgresStorage> {
        PostgresStorage::connect(&self.url(), PostgresOptions::host()).await.unwrap()
    }

    /// Carries out a statement, in which `@` stands for the namespace.
    #[allow(dead_code, reason = "not every test that has a namespace looks behind it")]
    pub async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.base).await.unwrap();
        let sql = sql.replace('@', &format!("\"{}\".", self.name));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
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
                let sql = format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            });
        });
        if !thread::panicking() {
            removed.join().unwrap();
        }
    }
}
