//! Recurring jobs beside records that nobody can read: they are fired, shown and put all the same.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;
use windlass_jobs::{
    Client,
    api::{
        Digest, HandlerSpec, JobFilter, JobRequest, Json, Misfire, Mode, RecurringName, RecurringRequest, ScheduleSpec,
    },
    recurring::{self, Scheduler},
    storage::{
        ModuleStore as _, NewVersion, RecurringStore as _, Storage as _,
        sqlite::{SqliteOptions, SqliteStorage},
    },
};

fn name(text: &str) -> RecurringName {
    text.parse().unwrap()
}

/// A request for a job that waits for its handler.
fn report() -> RecurringRequest {
    let mut job = JobRequest::new("shop/report".parse().unwrap(), Json::null());
    job.wait_for_handler = true;
    RecurringRequest::new("every 1h", job)
}

/// A version of a module whose handler declares a schedule.
fn version(module: &str) -> NewVersion {
    let schedule = ScheduleSpec {
        name: "tick".to_owned(),
        expression: "@yearly".to_owned(),
        time_zone: None,
        payload: Json::null(),
        misfire: Misfire::Skip,
    };
    let handler = HandlerSpec {
        name: "handle".parse().unwrap(),
        mode: Mode::Sync,
        summary: None,
        queue: None,
        priority: None,
        max_attempts: None,
        retry: None,
        timeout_ms: None,
        cancel_grace_ms: None,
        fuel: None,
        memory_bytes: None,
        payload_schema: None,
        result_schema: None,
        redact: Vec::new(),
        schedules: vec![schedule],
    };
    NewVersion {
        module: module.parse().unwrap(),
        digest: Digest([7; 32]),
        bytes: vec![7],
        version: "1".to_owned(),
        sdk: "test".to_owned(),
        handlers: vec![handler],
    }
}

fn damage(file: &Path, sql: &str) {
    assert!(Connection::open(file).unwrap().execute(sql, []).unwrap() > 0, "nothing was damaged");
}

#[tokio::test]
async fn records_that_cannot_be_read_hold_up_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&file, SqliteOptions::host()).unwrap();
    let client = Client::new(storage.clone());
    for module in ["billing", "shop"] {
        storage.add_version(version(module)).await.unwrap();
        assert!(storage.activate(&module.parse().unwrap(), Digest([7; 32])).await.unwrap());
    }
    recurring::declare(&*storage, &"billing".parse().unwrap()).await.unwrap();
    for of in ["a", "due", "z"] {
        client.put_recurring(&name(of), report()).await.unwrap();
    }
    // Both are longest due and stand first: one that is not JSON, and one whose name is none.
    damage(&file, "UPDATE recurring SET definition = 'nonsense', next_at = 1 WHERE name IN ('a', 'billing.tick')");
    damage(&file, "UPDATE recurring SET name = '!', next_at = 2 WHERE name = 'z'");
    damage(&file, "UPDATE recurring SET next_at = 3 WHERE name = 'due'");

    let mut known = BTreeMap::new();
    recurring::declare_all(&*storage, &mut known).await.unwrap();
    assert_eq!(known.len(), 2);
    assert!(client.recurring(&name("shop.tick")).await.unwrap().is_some(), "the next module's is put in place");
    assert!(client.recurring(&name("a")).await.unwrap_err().to_string().contains("damaged"));
    let listed = client.recurring_jobs(None, 1).await.unwrap();
    assert_eq!(listed.items[0].name, name("due"));
    let rest = client.recurring_jobs(listed.next.as_deref(), 10).await.unwrap();
    assert_eq!(rest.items.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["shop.tick"]);

    let mut scheduler = Scheduler::new(storage.clone(), client.admission().clone());
    scheduler.step().await.unwrap();
    let jobs = client.list(&JobFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(jobs.len(), 1, "the one that can be read is fired, once for all that it missed");
    assert!(storage.due_recurring(10).await.unwrap().entries.is_empty());
    storage.close().await;
}
