//! PostgreSQL with records that make no sense, and with pages of its own that are damaged.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{collections::HashSet, sync::Arc};

use postgres_room::{Namespace, in_the_end, job};
use windlass_jobs::{
    NewJob,
    api::{Digest, HandlerSpec, JobId, Json},
    storage::{
        JobStore, ModuleStore, NewVersion, QueueStore, Record, RecurringEntry, RecurringStore, StorageError, Transfer,
        postgres::{PostgresOptions, PostgresStorage},
    },
};
use windlass_test_services::Postgres;

/// All that is exported by parts of this many, and what is left out.
async fn exported(storage: &PostgresStorage, limit: usize) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut skipped, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let part = storage.export_readable(cursor.as_deref(), limit).await.unwrap();
        assert!(part.items.len() <= limit);
        records.extend(part.items);
        skipped.extend(part.skipped);
        assert!(part.next.is_none() || part.next != cursor, "it must come on");
        cursor = part.next;
        if cursor.is_none() {
            return (records, skipped);
        }
    }
}

fn entry(name: &str) -> RecurringEntry {
    RecurringEntry {
        name: name.parse().unwrap(),
        definition: Json::null(),
        paused: false,
        next_at: Some(windlass_jobs::api::Timestamp(1)),
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    }
}

#[tokio::test]
async fn an_export_names_each_record_that_is_damaged_and_holds_the_others() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..40).map(|_| job()).collect::<Vec<_>>();
    let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    storage.enqueue(jobs, "ann").await.unwrap();
    let handler = serde_json::from_str::<HandlerSpec>(r#"{"name": "bill", "mode": "sync"}"#).unwrap();
    for name in ["a", "b", "c"] {
        storage.put_recurring(entry(name), None, Vec::new()).await.unwrap();
        let version = NewVersion {
            module: name.parse().unwrap(),
            digest: Digest([name.as_bytes()[0]; 32]),
            bytes: vec![1; 9],
            version: String::new(),
            sdk: String::new(),
            handlers: vec![handler.clone()],
        };
        storage.add_version(version).await.unwrap();
        storage.set_paused(&name.parse().unwrap(), true).await.unwrap();
    }
    let (whole, none) = exported(&storage, 1_000).await;
    assert!(none.is_empty(), "{none:#?}");
    let bad = [ids[7], ids[8], ids[39], ids[20]];
    namespace
        .run(&format!(
            "UPDATE @jobs SET payload = 'nonsense' WHERE id = '{}'; UPDATE @jobs SET tags = 'nonsense' WHERE id = '{}';
             DELETE FROM @live WHERE id = '{}'; DELETE FROM @jobs WHERE id = '{}'; UPDATE @recurring SET definition = 'nonsense' WHERE name = 'a';
             UPDATE @versions SET handlers = 'nonsense' WHERE module = 'c'; UPDATE @queues SET name = 'no name' WHERE name = 'b';
             UPDATE @counters SET handler = 99 WHERE grain = 1",
            bad[0].0, bad[1].0, bad[2].0, bad[3].0
        ))
        .await;
    for id in bad {
        match storage.job(id).await {
            Err(StorageError::Damaged(text)) => assert!(text.contains(&id.to_string()), "{text}"),
            other => panic!("it is damaged and not unknown, but is {other:?}"),
        }
    }
    assert_eq!(storage.job(JobId(uuid::Uuid::nil())).await.unwrap(), None);
    let queue = namespace.number("SELECT n::bigint FROM @queues WHERE name = 'no name'").await;
    let mut beginnings = bad.map(|id| format!("job {id}: ")).to_vec();
    beginnings.extend([
        "the counter of handler number 99 for the hour of ".to_owned(),
        "the recurring job a: ".to_owned(),
        format!("version {}: ", Digest([b'c'; 32])),
        format!("queue number {queue}: "),
    ]);
    beginnings.sort();
    for limit in [1, 3, 10, 1_000] {
        let (records, mut skipped) = exported(&storage, limit).await;
        skipped.sort();
        assert_eq!(skipped.len(), beginnings.len(), "by {limit}: {skipped:#?}");
        for (text, beginning) in skipped.iter().zip(&beginnings) {
            assert!(text.starts_with(beginning), "by {limit}: {text}");
        }
        let expected = whole.iter().filter(|record| match record {
            Record::Job(job) => !bad.contains(&job.detail.job.id),
            Record::Recurring(entry) => entry.name.as_str() != "a",
            Record::Version(version) => version.module.as_str() != "c",
            Record::Queue(queue) => queue.name.as_str() != "b",
            Record::Counter(counter) => counter.grain != windlass_jobs::api::Grain::Hour,
            Record::Limit(_) | Record::Audit(_) => true,
        });
        assert_eq!(records, expected.cloned().collect::<Vec<_>>(), "by {limit}");
    }
    assert!(matches!(storage.export(None, 1_000).await, Err(StorageError::Damaged(_))));
    let due = storage.due_recurring(2).await.unwrap();
    let names = due.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names, due.next_in_ms), (vec!["b", "c"], None), "a damaged entry keeps no other from being fired");
}

/// Fills a page of a table with nonsense, while PostgreSQL is not there.
async fn damage(own: &mut Postgres, relation: &str, page: u64) {
    const PAGE_BYTES: u64 = 8192;
    own.ask("CHECKPOINT").unwrap();
    let path = format!("SELECT current_setting('data_directory') || '/' || pg_relation_filepath({relation})");
    let path = own.ask(&path).unwrap()[0][0].clone().unwrap();
    own.kill().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = usize::try_from(page * PAGE_BYTES).unwrap();
    bytes[at..at + usize::try_from(PAGE_BYTES).unwrap()].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    own.restart().unwrap();
}

#[tokio::test]
async fn an_export_goes_on_past_a_damaged_page_and_names_what_stands_on_it() {
    let mut own = Postgres::options().set("fsync", "off").start().unwrap();
    let storage: Arc<PostgresStorage> = PostgresStorage::connect(&own.url(), PostgresOptions::host()).await.unwrap();
    let jobs = (0..300).map(|_| NewJob { payload: format!("\"{}\"", "x".repeat(200)).parse().unwrap(), ..job() });
    let jobs = jobs.collect::<Vec<_>>();
    let ids = jobs.iter().map(|job| job.id).collect::<HashSet<JobId>>();
    storage.enqueue(jobs, "ann").await.unwrap();
    damage(&mut own, "'windlass.jobs'::regclass", 3).await;
    in_the_end(|| storage.counts()).await;
    let (records, mut skipped) = exported(&storage, 1_000).await;
    // Whether jobs lack their own record cannot be told where those records cannot be read.
    skipped.retain(|text| !text.starts_with("jobs whose own record is not there, if there are any: "));
    let read = records.iter().filter_map(|record| match record {
        Record::Job(job) => Some(job.detail.job.id),
        _ => None,
    });
    let read = read.collect::<Vec<_>>();
    assert_eq!(read.iter().collect::<HashSet<_>>().len(), read.len(), "each comes once");
    assert_eq!(read.len() + skipped.len(), 300, "{skipped:#?}");
    assert!((1..100).contains(&skipped.len()), "{skipped:#?}");
    for text in &skipped {
        let name = text.strip_prefix("job ").and_then(|text| text.split_once(": "));
        let id = name.and_then(|(id, _)| id.parse::<uuid::Uuid>().ok()).map(JobId);
        assert!(id.is_some_and(|id| ids.contains(&id) && !read.contains(&id)), "{text}");
    }
    assert!(matches!(storage.export(None, 1_000).await, Err(StorageError::Damaged(_))));
}
