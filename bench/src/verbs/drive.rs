//! Windlass' own verbs, as a host would call them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use uuid::Uuid;
use windlass_jobs::{
    Claimed, Conditions, NewJob, Next, Settlement, Start,
    api::{JobId, Json, Mode, QueueName, RetryPolicy, ServerId, Usage},
    storage::{ClaimRequest, NewServer, Storage},
};

use super::Took;

/// How many jobs are enqueued in one call.
const BULK: usize = 1_000;

/// No call may enqueue more.
pub(crate) const MOST_IN_BULK: usize = 10_000;

/// How many jobs are claimed and settled in one call.
pub(super) const BATCH: u32 = 100;

/// Where a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Enqueue,
    Work,
    End,
}

/// Whole lives of this many jobs by one worker.
pub(super) async fn all(storage: &dyn Storage, jobs: usize, mut phase: impl FnMut(Phase)) -> Result<Took> {
    let server = register(storage).await?;
    phase(Phase::Enqueue);
    let enqueue = enqueue(storage, jobs, BULK).await?;
    phase(Phase::Work);
    let begun = Instant::now();
    let done = work(storage, server).await?;
    let work = begun.elapsed();
    phase(Phase::End);
    ensure!(done == jobs, "{done} of {jobs} jobs were claimed");
    Ok(Took { enqueue, work })
}

/// How long several workers take over the claims and settlements of this many jobs.
pub(super) async fn side_by_side(storage: Arc<dyn Storage>, jobs: usize, workers: usize) -> Result<Duration> {
    let server = register(&*storage).await?;
    enqueue(&*storage, jobs, BULK).await?;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let storage = Arc::clone(&storage);
        tasks.spawn(async move { work(&*storage, server).await });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    ensure!(done == jobs, "{done} of {jobs} jobs were claimed");
    Ok(begun.elapsed())
}

/// How long it takes to enqueue this many jobs.
pub(super) async fn enqueue(storage: &dyn Storage, jobs: usize, at_once: usize) -> Result<Duration> {
    enqueue_into(storage, jobs, at_once, &QueueName::default()).await
}

pub(super) async fn enqueue_into(
    storage: &dyn Storage,
    jobs: usize,
    at_once: usize,
    queue: &QueueName,
) -> Result<Duration> {
    let mut took = Duration::ZERO;
    let mut left = jobs;
    while left > 0 {
        let now = left.min(at_once);
        let batch = (0..now).map(|_| job(queue)).collect::<Result<Vec<_>>>()?;
        let begun = Instant::now();
        storage.enqueue(batch, "bench").await?;
        took += begun.elapsed();
        left -= now;
    }
    Ok(took)
}

async fn work(storage: &dyn Storage, server: ServerId) -> Result<usize> {
    let queues = [QueueName::default()];
    let mut done = 0;
    loop {
        let claimed = claim(storage, server, &queues, BATCH).await?;
        if claimed.is_empty() {
            return Ok(done);
        }
        done += claimed.len();
        let settlement = |run: &Claimed| Settlement {
            fence: run.fence,
            next: Next::Succeeded { result: Some(Json::null()) },
            usage: Usage::default(),
            follow_ups: Vec::new(),
        };
        storage.settle(claimed.iter().map(settlement).collect()).await?;
    }
}

pub(crate) async fn claim(
    storage: &dyn Storage,
    server: ServerId,
    queues: &[QueueName],
    batch: u32,
) -> Result<Vec<Claimed>> {
    let request = ClaimRequest { server, queues: queues.to_vec(), sync_free: batch, async_free: 0 };
    Ok(storage.claim(&request).await?)
}

pub(crate) async fn register(storage: &dyn Storage) -> Result<ServerId> {
    let id = ServerId(Uuid::new_v4());
    let server = NewServer {
        id,
        host: "bench".to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queues: Vec::new(),
        sync_slots: BATCH,
        async_slots: 0,
    };
    storage.register(server).await?;
    Ok(id)
}

/// A job that is ready at once.
pub(crate) fn job(queue: &QueueName) -> Result<NewJob> {
    Ok(NewJob {
        id: JobId(Uuid::now_v7()),
        module: "bench".parse()?,
        handler: "nothing".parse()?,
        mode: Mode::Sync,
        queue: queue.clone(),
        priority: 5,
        start: Start::Now,
        payload: r#"{"n":1}"#.parse()?,
        headers: BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 3,
        retry: RetryPolicy::default(),
        timeout_ms: None,
        conditions: Conditions::default(),
    })
}
