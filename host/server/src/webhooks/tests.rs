//! What is told of what happens.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use windlass_api::{Cause, Json, Mode, RetryPolicy, ServerId, Usage};

use super::*;
use crate::config::{SecretSource, WebhookEvent};

fn settings(folder: &tempfile::TempDir, more: &str) -> WebhookSettings {
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("whsec_{}\n", STANDARD.encode([7; 32]))).unwrap();
    // Nothing listens on port 9 of loopback, or it throws away what it reads.
    let text =
        format!("url = \"http://127.0.0.1:9/hook\"\nsecret = {{ file = {:?} }}\n{more}", secret.display().to_string());
    toml::from_str(&text).unwrap()
}

fn subject(handler: &str) -> Subject {
    Subject {
        module: "shop".parse().unwrap(),
        handler: handler.parse().unwrap(),
        queue: "mail".parse().unwrap(),
        attempt: 3,
        max_attempts: 3,
    }
}

fn fence(number: u128) -> Fence {
    Fence { job: JobId(uuid::Uuid::from_u128(number)), run: 3, server: ServerId(uuid::Uuid::nil()) }
}

fn failure(message: &str) -> Failure {
    Failure {
        cause: Cause::Handler,
        code: Some("no".to_owned()),
        message: message.to_owned(),
        details: None,
        backtrace: None,
    }
}

fn read(event: &Event) -> serde_json::Value {
    serde_json::from_slice(&event.body).unwrap()
}

#[test]
fn an_event_tells_which_job_failed_and_why_at_bounded_length() {
    let event = Event::failed(&subject("bill"), fence(1).job, 3, &failure(&"ä".repeat(5_000)), Timestamp(0));
    let body = read(&event);
    assert_eq!(
        (body["type"].as_str(), body["timestamp"].as_str()),
        (Some("job.failed"), Some("1970-01-01T00:00:00.000Z"))
    );
    let data = &body["data"];
    assert_eq!(
        (data["handler"].as_str(), data["queue"].as_str(), data["run"].as_u64()),
        (Some("shop/bill"), Some("mail"), Some(3))
    );
    assert_eq!((data["cause"].as_str(), data["code"].as_str()), (Some("handler"), Some("no")));
    assert_eq!(data["message"].as_str().unwrap().len(), 1_000);
    assert_eq!(event.id, format!("failed_{}_3", fence(1).job), "so that it is the same whoever tells it");
}

#[tokio::test]
async fn a_handler_recovers_with_its_first_success_after_a_failure_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let webhooks = Webhooks::start(&[settings(&folder, "")], &Arc::default()).unwrap();
    let inner = webhooks.0.as_ref().unwrap();
    let settle = |handler: &str, number, next| {
        let state = match next {
            Next::Failed { .. } => State::Failed,
            Next::Succeeded { .. } => State::Succeeded,
            _ => State::Scheduled,
        };
        let settlement = Settlement { fence: fence(number), next, usage: Usage::default(), follow_ups: Vec::new() };
        webhooks.settled(&subject(handler), &settlement, state);
    };
    let failing =
        || inner.failing.lock().unwrap().values().map(|failing| (failing.first, failing.jobs)).collect::<Vec<_>>();
    settle("bill", 1, Next::Retry { delay_ms: 1, failure: failure("no") });
    assert_eq!(failing(), [], "a job that is tried again has not failed for good");
    settle("bill", 2, Next::Failed { failure: failure("no") });
    settle("bill", 3, Next::Failed { failure: failure("no") });
    settle("other", 4, Next::Succeeded { result: None });
    assert_eq!(failing(), [(fence(2).job, 2)]);
    settle("bill", 5, Next::Succeeded { result: Some(Json::null()) });
    assert_eq!(failing(), []);
}

#[tokio::test]
async fn a_receiver_is_told_only_what_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let failed = Event::failed(&subject("bill"), fence(1).job, 3, &failure("no"), Timestamp(0));
    let nowhere = Event { queue: None, ..failed.clone() };
    let wants =
        |more: &str, event: &Event| Receiver::new(&settings(&folder, more), Arc::default()).unwrap().wants(event);
    assert!(wants("", &failed));
    assert!(wants("modules = [\"shop\"]\nqueues = [\"mail\", \"other\"]", &failed));
    assert!(!wants("events = [\"recovered\", \"missed-recurring\"]", &failed));
    assert!(!wants("modules = [\"other\"]", &failed));
    assert!(!wants("queues = [\"other\"]", &failed));
    assert!(wants("queues = [\"other\"]", &nowhere), "what names no queue could be about any");
    assert_eq!(failed.kind, WebhookEvent::Failed);
}

#[tokio::test]
async fn what_finds_no_place_is_dropped_and_counted_and_so_is_what_waits_when_the_host_stops() {
    let folder = tempfile::tempdir().unwrap();
    let metrics: Arc<Metrics> = Arc::default();
    let receiver = Arc::new(Receiver::new(&settings(&folder, ""), Arc::clone(&metrics)).unwrap());
    let event = Event::failed(&subject("bill"), fence(1).job, 3, &failure("no"), Timestamp(0));
    for _ in 0..1_005 {
        receiver.send(&event);
    }
    assert_eq!(metrics.webhook_count("127.0.0.1:9", "dropped"), 5);
    receiver.close(Duration::ZERO).await;
    drop(receiver);
    let count = |outcome| metrics.webhook_count("127.0.0.1:9", outcome);
    assert_eq!(count("dropped") + count("delivered"), 1_005);
}

#[test]
fn nothing_is_kept_of_a_job_where_nobody_is_to_be_told() {
    let job = Claimed {
        fence: fence(1),
        module: "shop".parse().unwrap(),
        handler: "bill".parse().unwrap(),
        mode: Mode::Sync,
        queue: QueueName::default(),
        version: None,
        payload: Json::null(),
        headers: BTreeMap::new(),
        attempt: 1,
        max_attempts: 1,
        retry: RetryPolicy::default(),
        timeout_ms: None,
        created_at: Timestamp(0),
        parents: Vec::new(),
    };
    assert_eq!(Webhooks::default().subject(&job), None);
}

#[test]
fn a_secret_that_cannot_be_used_is_told_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weak");
    std::fs::write(&file, "whsec_hunter2").unwrap();
    let weak = WebhookSettings { secret: SecretSource::File(file), ..settings(&folder, "") };
    let error = format!("{:#}", check(&weak).unwrap_err());
    assert!(error.contains("the webhook to 127.0.0.1:9") && !error.contains("hunter2"), "{error}");
}
