//! How long a job waits on a host that has nothing else to do: from the call that enqueues it to the first instruction of
//! its handler, which reads the clock and gives what it read as its result.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::Serialize;
use windlass_jobs::{
    Client,
    api::{HandlerPath, JobRequest, Json},
};

/// Between two jobs, so that the host has gone back to waiting and nothing is warm from the job before.
const PAUSE: Duration = Duration::from_millis(40);

#[derive(Serialize)]
pub(super) struct Figures {
    pub(super) samples: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

pub(super) async fn measure(client: &Client, samples: usize) -> Result<Figures> {
    let path: HandlerPath = "bench/now".parse()?;
    let mut waits = Vec::with_capacity(samples);
    // The first few load the component and are not counted.
    for number in 0..samples + 10 {
        tokio::time::sleep(PAUSE).await;
        let enqueued = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let job = client.enqueue(JobRequest::new(path.clone(), Json::null())).await?.id;
        let ended = client.wait(job, Duration::from_secs(30)).await?.context("the job is gone")?;
        let result = ended.result.with_context(|| format!("the job ended as {}", ended.job.state))?;
        let started = Duration::from_nanos(serde_json::from_str(result.as_str())?);
        if number >= 10 {
            waits.push(started.saturating_sub(enqueued).as_secs_f64() * 1e3);
        }
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize];
    Ok(Figures { samples, p50_ms: at(0.5), p99_ms: at(0.99) })
}
