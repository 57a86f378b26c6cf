//! The client and what it accepts, over a storage in memory.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{sync::Arc, time::Duration};

use windlass_jobs::{
    Client, ClientError, Next, Settlement, Start, TestClock,
    admission::{Admission, AdmissionError},
    api::{
        Digest, HandlerSpec, JobId, JobRequest, Json, Mode, ProblemCode, RetryPolicy, ServerId, State, Timestamp, Usage,
    },
    storage::{
        ClaimRequest, Commanded, JobStore, ModuleStore, NewServer, NewVersion, ServerStore, sqlite::SqliteStorage,
    },
};

fn storage() -> Arc<SqliteStorage> {
    SqliteStorage::in_memory(Arc::new(TestClock::at(Timestamp(1_000)))).unwrap()
}

fn thumbnail() -> HandlerSpec {
    HandlerSpec {
        name: "thumbnail".parse().unwrap(),
        mode: Mode::Async,
        summary: None,
        queue: Some("images".parse().unwrap()),
        priority: Some(200),
        max_attempts: Some(0),
        retry: Some(RetryPolicy::Delays { delays_ms: Vec::new() }),
        timeout_ms: Some(1),
        cancel_grace_ms: None,
        fuel: None,
        memory_bytes: None,
        payload_schema: Some(r#"{"type": "object", "required": ["path"]}"#.parse().unwrap()),
        result_schema: None,
        redact: Vec::new(),
        schedules: Vec::new(),
    }
}

async fn deploy(storage: &SqliteStorage, byte: u8, handlers: Vec<HandlerSpec>) {
    let module = "images".parse().unwrap();
    let digest = Digest([byte; 32]);
    let version =
        NewVersion { module, digest, bytes: vec![byte], version: String::new(), sdk: String::new(), handlers };
    storage.add_version(version).await.unwrap();
    assert!(storage.activate(&"images".parse().unwrap(), digest).await.unwrap());
}

fn request(handler: &str, payload: &str) -> JobRequest {
    JobRequest::new(handler.parse().unwrap(), payload.parse().unwrap())
}

const GOOD: &str = r#"{"path": "a.jpg"}"#;

#[tokio::test]
async fn what_a_request_leaves_open_comes_from_its_handler_within_the_limits() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let admission = Admission::new(storage);
    let job = admission.admit(request("images/thumbnail", GOOD)).await.unwrap();
    assert_eq!((job.mode, job.queue.as_str(), job.start), (Mode::Async, "images", Start::Now));
    assert_eq!((job.priority, job.max_attempts), (9, 1), "a guest's own settings are clamped");
    assert_eq!((job.retry, job.timeout_ms), (RetryPolicy::default(), None));
    let mut own = request("images/thumbnail", GOOD);
    (own.priority, own.max_attempts, own.delay_ms) = (Some(0), Some(7), Some(5));
    let job = admission.admit(own).await.unwrap();
    assert_eq!((job.priority, job.max_attempts, job.start), (0, 7, Start::After(5)));
}

#[tokio::test]
async fn an_unknown_handler_is_refused_with_the_nearest_name() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let client = Client::new(storage);
    let error = client.enqueue(request("images/thumbnial", GOOD)).await.unwrap_err();
    let expected = "no module has the handler `images/thumbnial`; did you mean `images/thumbnail`?";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, ClientError::Admission(refusal) if refusal.code() == ProblemCode::UnknownHandler));
}

#[tokio::test]
async fn a_payload_that_does_not_match_is_refused_and_nothing_of_its_bulk_is_stored() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let client = Client::new(storage);
    let bulk = vec![request("images/thumbnail", GOOD), request("images/thumbnail", "7")];
    let error = client.enqueue_many(bulk).await.unwrap_err().to_string();
    let expected = "job 2 of 2: the payload does not match the schema of `images/thumbnail`: \
                    at (the whole): 7 is not of type \"object\"";
    assert_eq!(error, expected);
    assert!(client.counts().await.unwrap().0.is_empty());
    let long = format!("{{\"path\": \"{}\"}}", "x".repeat(100_000));
    client.enqueue(request("images/thumbnail", &long)).await.unwrap();
}

#[tokio::test]
async fn a_job_may_wait_for_its_handler_and_keeps_its_delay() {
    let admission = Admission::new(storage());
    let mut early = request("images/thumbnail", GOOD);
    early.wait_for_handler = true;
    assert_eq!(admission.admit(early.clone()).await.unwrap().start, Start::WithHandler);
    early.delay_ms = Some(9);
    assert_eq!(admission.admit(early).await.unwrap().start, Start::After(9));
}

#[tokio::test]
async fn a_new_version_is_seen_at_once_when_told_of() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let client = Client::new(Arc::clone(&storage) as _);
    client.enqueue(request("images/thumbnail", GOOD)).await.unwrap();
    deploy(&storage, 2, vec![HandlerSpec { payload_schema: None, mode: Mode::Sync, ..thumbnail() }]).await;
    client.admission().invalidate();
    let handler = client.admission().handler(&"images/thumbnail".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((handler.digest(), handler.spec().mode), (Digest([2; 32]), Mode::Sync));
    client.enqueue(request("images/thumbnail", "7")).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_refuses_the_job_and_says_so() {
    let storage = storage();
    let broken = HandlerSpec { payload_schema: Some(r#"{"type": 7}"#.parse().unwrap()), ..thumbnail() };
    deploy(&storage, 1, vec![broken]).await;
    let refused = Admission::new(storage).admit(request("images/thumbnail", GOOD)).await.unwrap_err();
    assert!(matches!(&refused, AdmissionError::PayloadMismatch { .. }));
    assert!(refused.to_string().contains("the schema itself cannot be used"), "{refused}");
}

#[tokio::test]
async fn the_same_id_twice_makes_one_job() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let client = Client::new(storage);
    let mut own = request("images/thumbnail", GOOD);
    own.id = Some(JobId(uuid::Uuid::now_v7()));
    assert!(!client.enqueue(own.clone()).await.unwrap().existing);
    assert!(client.enqueue(own).await.unwrap().existing);
}

#[tokio::test]
async fn whoever_waits_for_a_job_gets_it_when_it_has_ended_or_the_time_is_over() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let client = Client::new(Arc::clone(&storage) as _);
    let id = client.enqueue(request("images/thumbnail", GOOD)).await.unwrap().id;
    let unfinished = client.wait(id, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(unfinished.job.state, State::Enqueued);
    let nobody = client.wait(JobId(uuid::Uuid::now_v7()), Duration::from_secs(60)).await.unwrap();
    assert_eq!(nobody, None);
    let waiting = client.wait(id, Duration::from_secs(60));
    let working = async {
        let server = ServerId(uuid::Uuid::new_v4());
        let new = NewServer {
            id: server,
            host: String::new(),
            pid: 1,
            version: String::new(),
            queues: Vec::new(),
            sync_slots: 1,
            async_slots: 1,
        };
        storage.register(new).await.unwrap();
        let request = ClaimRequest { server, queues: Vec::new(), sync_free: 1, async_free: 1 };
        let run = storage.claim(&request).await.unwrap().remove(0);
        let next = Next::Succeeded { result: Some(Json::null()) };
        let settlement = Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() };
        storage.settle(vec![settlement]).await.unwrap();
    };
    let (ended, ()) = tokio::join!(waiting, working);
    assert_eq!(ended.unwrap().unwrap().job.state, State::Succeeded);
}

#[tokio::test]
async fn what_a_client_does_stands_in_the_history_under_its_name() {
    let storage = storage();
    deploy(&storage, 1, vec![thumbnail()]).await;
    let client = Client::new(storage).acting_as("ann");
    let id = client.enqueue(request("images/thumbnail", GOOD)).await.unwrap().id;
    assert_eq!(client.cancel(id).await.unwrap(), Commanded::Done(State::Deleted));
    let history = client.get(id).await.unwrap().unwrap().history;
    assert!(history.len() == 2 && history.iter().all(|line| line.by == "ann"), "{history:?}");
}
