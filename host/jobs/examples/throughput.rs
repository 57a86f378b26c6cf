//! Measures the storage verbs alone: how many jobs a second are enqueued in bulk, and claimed and settled in batches,
//! on SQLite in the folder that is given (the temporary one otherwise), or on the Redis or PostgreSQL whose address is given.

use std::{sync::Arc, time::Instant};

#[cfg(feature = "sqlite")]
use windlass_jobs::storage::sqlite::{SqliteOptions, SqliteStorage, Synchronous};
use windlass_jobs::{
    NewJob, Next, Settlement, Start,
    api::{JobId, Json, Mode, QueueName, RetryPolicy, ServerId, Usage},
    storage::{ClaimRequest, NewServer, Storage},
};

const JOBS: usize = 100_000;
const BULK: usize = 1_000;
const BATCH: u32 = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1);
    #[cfg(feature = "redis")]
    if let Some(url) = given.as_ref().and_then(|given| given.to_str()).filter(|given| given.starts_with("redis")) {
        for workers in [1, 2, 4] {
            // A namespace of its own each time: it stays there to be looked at.
            let url = format!("{url}?namespace=bench-{}", uuid::Uuid::new_v4());
            let options = windlass_jobs::storage::redis::RedisOptions::default();
            let storage = windlass_jobs::storage::redis::RedisStorage::connect(&url, options).await?;
            measure("Redis", storage, workers).await?;
        }
        return Ok(());
    }
    #[cfg(feature = "postgres")]
    if let Some(url) = given.as_ref().and_then(|given| given.to_str()).filter(|given| given.starts_with("postgres")) {
        for workers in [1, 2, 4] {
            let url = format!("{url}?namespace=bench_{}", uuid::Uuid::new_v4().simple());
            let options = windlass_jobs::storage::postgres::PostgresOptions::host();
            let storage = windlass_jobs::storage::postgres::PostgresStorage::connect(&url, options).await?;
            measure("PostgreSQL", storage, workers).await?;
        }
        return Ok(());
    }
    on_sqlite(given).await
}

#[cfg(not(feature = "sqlite"))]
async fn on_sqlite(_: Option<std::ffi::OsString>) -> Result<(), Box<dyn std::error::Error>> {
    Err("built without SQLite: give the address of a server".into())
}

#[cfg(feature = "sqlite")]
async fn on_sqlite(given: Option<std::ffi::OsString>) -> Result<(), Box<dyn std::error::Error>> {
    let parent = given.map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    for synchronous in [Synchronous::Full, Synchronous::Normal] {
        for workers in [1, 2, 4] {
            let folder = tempfile::tempdir_in(&parent)?;
            let options = SqliteOptions { synchronous, ..SqliteOptions::host() };
            let storage = SqliteStorage::open(folder.path().join("jobs.db"), options)?;
            measure(&format!("{synchronous:?}"), storage, workers).await?;
        }
    }
    Ok(())
}

async fn measure(what: &str, storage: Arc<dyn Storage>, workers: usize) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    for _ in 0..JOBS / BULK {
        storage.enqueue((0..BULK).map(|_| job()).collect::<Result<_, _>>()?, "bench").await?;
    }
    let enqueued = started.elapsed();
    let server = ServerId(uuid::Uuid::new_v4());
    register(&*storage, server).await?;
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..workers {
        tasks.push(tokio::spawn(drain(Arc::clone(&storage), server)));
    }
    let mut done = 0;
    for task in tasks {
        done += task.await?.map_err(|error| error.to_string())?;
    }
    let drained = started.elapsed();
    let rate = |span: std::time::Duration| JOBS as f64 / span.as_secs_f64();
    println!(
        "{what}, {workers} claiming: enqueue {:.0}/s, claim and settle {:.0}/s, whole lives {:.0}/s ({done} jobs)",
        rate(enqueued),
        rate(drained),
        rate(enqueued + drained)
    );
    Ok(())
}

async fn drain(storage: Arc<dyn Storage>, server: ServerId) -> Result<usize, windlass_jobs::storage::StorageError> {
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: BATCH, async_free: 0 };
    let mut done = 0;
    loop {
        let claimed = storage.claim(&request).await?;
        if claimed.is_empty() {
            return Ok(done);
        }
        done += claimed.len();
        let settlement = |run: &windlass_jobs::Claimed| Settlement {
            fence: run.fence,
            next: Next::Succeeded { result: Some(Json::null()) },
            usage: Usage::default(),
            follow_ups: Vec::new(),
        };
        storage.settle(claimed.iter().map(settlement).collect()).await?;
    }
}

async fn register(storage: &dyn Storage, id: ServerId) -> Result<(), windlass_jobs::storage::StorageError> {
    let server = NewServer {
        id,
        host: String::new(),
        pid: 0,
        version: String::new(),
        queues: Vec::new(),
        sync_slots: 400,
        async_slots: 0,
    };
    storage.register(server).await
}

fn job() -> Result<NewJob, Box<dyn std::error::Error>> {
    Ok(NewJob {
        id: JobId(uuid::Uuid::now_v7()),
        module: "bench".parse()?,
        handler: "nothing".parse()?,
        mode: Mode::Sync,
        queue: QueueName::default(),
        priority: 5,
        start: Start::Now,
        payload: r#"{"n":1}"#.parse()?,
        headers: std::collections::BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 3,
        retry: RetryPolicy::default(),
        timeout_ms: None,
    })
}
