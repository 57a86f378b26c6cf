//! Jobs in every state, and all else that a storage keeps.

use serde_json::{from_value, json};
use uuid::Uuid;
use windlass_jobs::{
    Claimed, NewJob, Next, Settlement,
    api::{Digest, JobFilter, JobId, Json, Mode, RecurringName, ServerId, State, Timestamp, Usage},
    storage::{ClaimRequest, Commanded, NewServer, NewVersion, Note, RecurringEntry, Storage, Vitals},
};

/// The bytes of a component, as far as a storage cares, and their digest.
const COMPONENT: &[u8] = b"component";
const DIGEST: &str = "6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa";

fn digest() -> Digest {
    DIGEST.parse().unwrap()
}

fn job(handler: &str, start: &str) -> NewJob {
    from_value(json!({
        "id": JobId(Uuid::now_v7()), "module": "shop", "handler": handler, "mode": Mode::Sync, "queue": "default",
        "priority": 4, "start": serde_json::from_str::<serde_json::Value>(start).unwrap(),
        "payload": { "order": 9_007_199_254_740_993_u64, "note": "frühstück" },
        "headers": { "traceparent": "00-1-2-01" }, "tags": ["eu", "order-7"], "max_attempts": 5,
        "retry": { "kind": "exponential", "base_ms": 15_000, "max_ms": 3_600_000 }, "timeout_ms": 30_000,
    }))
    .unwrap()
}

async fn register(storage: &dyn Storage) -> ServerId {
    let id = ServerId(Uuid::new_v4());
    let server = NewServer {
        id,
        host: "frozen".into(),
        pid: 7,
        version: "0.1.0".into(),
        queues: Vec::new(),
        sync_slots: 4,
        async_slots: 4,
    };
    storage.register(server).await.unwrap();
    id
}

async fn claim(storage: &dyn Storage, server: ServerId, sync_free: u32) -> Vec<Claimed> {
    let request = ClaimRequest { server, queues: Vec::new(), sync_free, async_free: 0 };
    storage.claim(&request).await.unwrap()
}

async fn settle(storage: &dyn Storage, run: &Claimed, next: Next) -> State {
    let usage = Usage { fuel: 1_000, ..Usage::default() };
    let settlement = Settlement { fence: run.fence, next, usage, follow_ups: Vec::new() };
    storage.settle(vec![settlement]).await.unwrap()[0].unwrap()
}

fn recurring() -> RecurringName {
    "nightly".parse().unwrap()
}

/// Fills an empty storage.
pub(crate) async fn begin(storage: &dyn Storage) {
    let version = NewVersion {
        module: "shop".parse().unwrap(),
        digest: digest(),
        bytes: COMPONENT.to_vec(),
        version: "1.2.3".into(),
        sdk: "windlass-guest 0.1.0".into(),
        handlers: from_value(json!([{ "name": "bill", "mode": Mode::Sync, "summary": "Sends a bill." }])).unwrap(),
    };
    storage.add_version(version).await.unwrap();
    storage.activate(&"shop".parse().unwrap(), digest()).await.unwrap();
    let server = register(storage).await;

    for _ in 0..5 {
        storage.enqueue(vec![job("bill", r#""Now""#)], "ann").await.unwrap();
    }
    let runs = claim(storage, server, 5).await;
    assert_eq!(runs.len(), 5);
    let failure = || {
        from_value(json!({ "cause": "handler", "code": "card", "message": "no money", "details": { "left": 0 } }))
            .unwrap()
    };
    settle(storage, &runs[0], Next::Succeeded { result: Some(Json::write(&"paid").unwrap()) }).await;
    settle(storage, &runs[1], Next::Failed { failure: failure() }).await;
    settle(storage, &runs[2], Next::Retry { delay_ms: 1, failure: failure() }).await;
    storage.delete(runs[1].fence.job, "bob").await.unwrap();
    // One goes on running, and one of those is asked to stop.
    let line =
        from_value(json!({ "run": 1, "at": Timestamp(1_700_000_000_000), "level": "info", "message": "half of it" }));
    let progress = from_value(json!({ "percent": 50.0, "note": "half", "at": Timestamp(1_700_000_000_000) }));
    let note = Note { fence: runs[3].fence, progress: Some(progress.unwrap()), lines: vec![line.unwrap()] };
    storage.note(vec![note]).await.unwrap()[0].unwrap();
    storage.put_checkpoint(runs[3].fence, "page", &Json::write(&7).unwrap()).await.unwrap().unwrap();
    storage.cancel(runs[4].fence.job, "bob").await.unwrap();

    storage.enqueue(vec![job("bill", r#""Now""#)], "ann").await.unwrap();
    storage.enqueue(vec![job("bill", r#"{ "At": "2100-01-01T00:00:00Z" }"#)], "ann").await.unwrap();
    storage.enqueue(vec![job("refund", r#""WithHandler""#)], "ann").await.unwrap();
    storage.set_paused(&"mail".parse().unwrap(), true).await.unwrap();
    let entry = RecurringEntry {
        name: recurring(),
        definition: Json::write(&json!({ "cron": "0 3 * * *" })).unwrap(),
        paused: false,
        next_at: Some(Timestamp(4_102_444_800_000)),
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    };
    storage.put_recurring(entry, None, Vec::new()).await.unwrap().unwrap();
}

/// The jobs whose server is gone.
pub(crate) async fn running(storage: &dyn Storage) -> Vec<JobId> {
    let running = in_state(storage, State::Processing).await;
    assert_eq!(running.len(), 2);
    running
}

/// Goes on where [`begin`] ended, in another process and perhaps another version.
pub(crate) async fn go_on(storage: &dyn Storage, running: Vec<JobId>) {
    assert_eq!(storage.component(digest()).await.unwrap().unwrap(), COMPONENT);
    assert_eq!(storage.active_version(&"shop".parse().unwrap()).await.unwrap().unwrap().version, "1.2.3");
    assert!(storage.queues().await.unwrap().iter().any(|queue| queue.name.as_str() == "mail" && queue.paused));

    // The server that ran two jobs is gone: one is enqueued anew, the one that was asked to stop is deleted. A file that
    // only one host opens was swept when it was opened.
    for pulse in storage.pulses().await.unwrap() {
        storage.sweep(pulse).await.unwrap().unwrap();
    }
    let mut became = Vec::new();
    for job in running {
        let detail = storage.job(job).await.unwrap().unwrap();
        if detail.job.state == State::Enqueued {
            assert_eq!(storage.checkpoint(job, "page").await.unwrap(), Some(Json::write(&7).unwrap()));
            assert_eq!(storage.logs(job, None, 10).await.unwrap().items[0].message, "half of it");
        }
        became.push(detail.job.state);
    }
    became.sort_unstable();
    assert_eq!(became, [State::Enqueued, State::Deleted]);

    // What waited is run: one job, the one that was lost, and the one whose second try is due.
    storage.promote(100).await.unwrap();
    let server = register(storage).await;
    let runs = claim(storage, server, 10).await;
    assert_eq!(runs.len(), 3);
    for run in &runs {
        assert_eq!(run.version, Some(digest()));
        assert_eq!(run.payload.as_str(), r#"{"note":"frühstück","order":9007199254740993}"#);
        assert_eq!(settle(storage, run, Next::Succeeded { result: None }).await, State::Succeeded);
    }
    let mut attempts: Vec<u32> = runs.iter().map(|run| run.attempt).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2, 2]);
    storage.heartbeat(server, Vitals::default()).await.unwrap();

    // What ended stays as it was, and can be enqueued anew; what waits for its time or its handler goes on waiting.
    let deleted = in_state(storage, State::Deleted).await;
    assert_eq!((deleted.len(), in_state(storage, State::Scheduled).await.len()), (2, 1));
    let awaiting = in_state(storage, State::Awaiting).await;
    assert_eq!(storage.cancel(awaiting[0], "carl").await.unwrap(), Commanded::Done(State::Deleted));
    let requeued = storage.requeue(deleted[0], from_value(json!({})).unwrap(), "carl").await.unwrap();
    assert_eq!(requeued, Commanded::Done(State::Enqueued));
    let counts = storage.counts().await.unwrap();
    assert_eq!([State::Succeeded, State::Enqueued, State::Processing].map(|state| counts.of(state)), [4, 1, 0]);
    let filter = JobFilter { tag: Some("order-7".into()), ..JobFilter::default() };
    assert_eq!(storage.count(&filter).await.unwrap().count, 8);

    let entry = storage.recurring(&recurring()).await.unwrap().unwrap();
    let revision = entry.revision;
    let entry = RecurringEntry { paused: true, ..entry };
    assert!(storage.put_recurring(entry, Some(revision), Vec::new()).await.unwrap().is_some());
}

async fn in_state(storage: &dyn Storage, state: State) -> Vec<JobId> {
    let filter = JobFilter { state: Some(state), ..JobFilter::default() };
    storage.jobs(&filter, None, 100).await.unwrap().items.iter().map(|job| job.id).collect()
}
