//! What Prometheus reads.

use std::{collections::BTreeMap, sync::Arc};

use windlass_api::{JobId, JobRequest, Json, RetryPolicy, ServerId, SlotUse, Timestamp};
use windlass_jobs::{Client, Fence, SystemClock, storage::sqlite::SqliteStorage};

use super::*;
use crate::events::Events;

fn job(handler: &str, run: u32) -> Claimed {
    Claimed {
        fence: Fence { job: JobId(uuid::Uuid::nil()), run, server: ServerId(uuid::Uuid::nil()) },
        module: "images".parse().unwrap(),
        handler: handler.parse().unwrap(),
        mode: Mode::Sync,
        queue: windlass_api::QueueName::default(),
        version: None,
        payload: Json::null(),
        headers: BTreeMap::new(),
        attempt: 1,
        max_attempts: 1,
        retry: RetryPolicy::default(),
        timeout_ms: None,
        created_at: Timestamp(1_000),
        parents: Vec::new(),
    }
}

fn scrape(metrics: Arc<Metrics>) -> (Scrape, Client) {
    let storage = SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap();
    let storage = Measured::around(storage, Arc::clone(&metrics));
    let client = Client::new(Arc::clone(&storage));
    let slots = Box::new(|| vec![(Mode::Sync, SlotUse { total: 4, busy: 1 })]);
    (Scrape::new(Arc::clone(&storage), metrics, slots, Events::new(storage)), client)
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|other| other == line), "`{line}` is not in:\n{text}");
}

#[tokio::test]
async fn what_happened_and_what_is_there_is_told_by_prometheus_names() {
    let metrics = Arc::new(Metrics::default());
    let (scrape, client) = scrape(Arc::clone(&metrics));
    let mut request = JobRequest::new("images/thumbnail".parse().unwrap(), Json::null());
    request.wait_for_handler = true;
    client.enqueue(request).await.unwrap();
    client.pause(&"mail".parse().unwrap()).await.unwrap();
    let usage = Usage { fuel: 7, wall_us: 2_000_000, peak_memory_bytes: 65_536, ..Usage::default() };
    metrics.run_begins(&job("thumbnail", 1), Timestamp(3_500));
    metrics.run_ended(&job("thumbnail", 1), &Next::Succeeded { result: None }, &usage);
    metrics.run_begins(&job("thumbnail", 2), Timestamp(9_999_999));
    metrics.run_ended(&job("thumbnail", 2), &Next::Cancelled, &Usage::default());
    metrics.server_lost();
    let text = scrape.text().await.unwrap();
    for line in [
        "windlass_build_info{version=\"0.1.0\"} 1",
        "windlass_storage_up 1",
        "windlass_jobs{state=\"awaiting\"} 1",
        "windlass_jobs{state=\"failed\"} 0",
        "windlass_queue_paused{queue=\"mail\"} 1",
        "windlass_queue_oldest_age_seconds{queue=\"mail\"} 0.0",
        "windlass_runs_total{module=\"images\",handler=\"thumbnail\",outcome=\"succeeded\"} 1",
        "windlass_runs_total{module=\"images\",handler=\"thumbnail\",outcome=\"cancelled\"} 1",
        "windlass_run_duration_seconds_count{module=\"images\",handler=\"thumbnail\"} 1",
        "windlass_run_duration_seconds_sum{module=\"images\",handler=\"thumbnail\"} 2.0",
        "windlass_run_fuel_total{module=\"images\",handler=\"thumbnail\"} 7",
        "windlass_job_wait_seconds_sum{mode=\"sync\"} 2.5",
        "windlass_run_peak_memory_bytes_count 1",
        "windlass_slots{mode=\"sync\"} 4",
        "windlass_slots_busy{mode=\"sync\"} 1",
        "windlass_lost_servers_total 1",
        "windlass_storage_duration_seconds_count{verb=\"set_paused\"} 1",
        "windlass_event_readers 0",
        "windlass_servers{} 0",
        "# EOF",
    ] {
        has(&text, line);
    }
}

#[tokio::test]
async fn an_answer_is_good_for_a_moment() {
    let (scrape, client) = scrape(Arc::default());
    let first = scrape.text().await.unwrap();
    client.pause(&"mail".parse().unwrap()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &scrape.text().await.unwrap()));
}

#[test]
fn handlers_beyond_the_bound_are_added_up() {
    let metrics = Metrics::default();
    let module: ModuleName = "m".parse().unwrap();
    for at in 0..MAX_HANDLERS + 5 {
        metrics.of_handler(&module, &format!("h{at}").parse().unwrap());
    }
    assert_eq!(metrics.of_handler(&module, &"h0".parse().unwrap()).handler, "h0");
    assert_eq!(metrics.of_handler(&module, &format!("h{MAX_HANDLERS}").parse().unwrap()).handler, "other");
}
