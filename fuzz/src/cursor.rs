//! Where to go on with a list, as whoever asks says it: a list goes on, or the cursor is refused, and nothing is damaged by it.

use std::sync::Arc;

use windlass_jobs::{
    Client, SystemClock,
    api::{JobFilter, JobId, JobRequest, Json},
    storage::{
        AuditStore as _, JobStore as _, RecurringStore as _, StorageError, Transfer as _, sqlite::SqliteStorage,
    },
};

/// How much is read at once.
const LIMIT: usize = 2;

pub fn fuzz(bytes: &[u8]) {
    thread_local! {
        static WORLD: (tokio::runtime::Runtime, Arc<SqliteStorage>, JobId) = world();
    }
    let Ok(cursor) = std::str::from_utf8(bytes) else { return };
    WORLD.with(|(runtime, storage, job)| {
        runtime.block_on(async {
            let cursor = Some(cursor);
            told("jobs", storage.jobs(&JobFilter::default(), cursor, LIMIT).await);
            told("logs", storage.logs(*job, cursor, LIMIT).await);
            told("relations", storage.relations(*job, cursor, LIMIT).await);
            told("recurring", storage.recurring_entries(cursor, LIMIT).await);
            told("audit", storage.audit(cursor, LIMIT).await);
            told("export", storage.export(cursor, LIMIT).await);
        });
    });
}

/// A storage with a few jobs.
fn world() -> (tokio::runtime::Runtime, Arc<SqliteStorage>, JobId) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (storage, job) = runtime.block_on(async {
        let storage = SqliteStorage::in_memory(Arc::new(SystemClock)).expect("a storage in memory");
        let client = Client::new(storage.clone());
        let mut request = JobRequest::new("shop/bill".parse().expect("a path"), Json::null());
        request.wait_for_handler = true;
        let mut last = None;
        for _ in 0..5 {
            last = Some(client.enqueue(request.clone()).await.expect("a job").id);
        }
        (storage, last.expect("some job"))
    });
    (runtime, storage, job)
}

fn told<T>(what: &str, answer: Result<T, StorageError>) {
    if let Err(error) = answer {
        assert!(matches!(error, StorageError::InvalidCursor(_)), "{what}: {error}");
    }
}
