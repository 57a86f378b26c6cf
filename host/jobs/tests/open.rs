//! Storages opened by their URLs, as hosts and applications open them.
#![cfg(all(feature = "postgres", feature = "redis", feature = "sqlite"))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod postgres_room;

use postgres_room::{Namespace, job};
use windlass_api::{
    Cause, Digest, Failure, HandlerSpec, LogLevel, LogLine, Progress, ServerId, State, Timestamp, Usage,
};
use windlass_jobs::{
    NewJob, Next, Settlement, Start,
    storage::{
        ClaimRequest, NewServer, NewVersion, Note, OpenOptions, RecurringEntry, Storage, StorageError, StorageKind,
        StorageUrl, migrate, open,
    },
};
use windlass_test_services::Redis;

/// All that a storage holds, in an order that is the same for all.
async fn records(storage: &dyn Storage) -> Vec<String> {
    let page = storage.export(None, 500).await.unwrap();
    assert_eq!(page.next, None);
    let mut records =
        page.items.iter().map(|record| serde_json::to_value(record).unwrap().to_string()).collect::<Vec<_>>();
    records.sort();
    records
}

/// Fills a storage with one of everything, but with nothing that a server holds.
async fn fill(storage: &dyn Storage) {
    let spec = |name: &str| serde_json::from_str(&format!(r#"{{"name": "{name}", "mode": "sync"}}"#));
    let handlers = ["bill", "ship"].map(|name| spec(name).unwrap()) as [HandlerSpec; 2];
    for number in 1..=2 {
        let version = NewVersion {
            module: "shop".parse().unwrap(),
            digest: Digest([number; 32]),
            bytes: vec![number; 100],
            version: format!("{number}.0"),
            sdk: "rust".into(),
            handlers: handlers.to_vec(),
        };
        storage.add_version(version).await.unwrap();
    }
    assert!(storage.activate(&"shop".parse().unwrap(), Digest([1; 32])).await.unwrap());
    let jobs = (0..8).map(|number| NewJob {
        tags: vec![format!("t{}", number % 3), "ünï".into()],
        headers: [("traceparent".to_owned(), format!("00-{number}"))].into(),
        priority: number % 10,
        timeout_ms: Some(77),
        ..job()
    });
    storage.enqueue(jobs.collect(), "ann").await.unwrap();
    let server = NewServer {
        id: ServerId(uuid::Uuid::new_v4()),
        host: "here".into(),
        pid: 7,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 9,
        async_slots: 9,
    };
    let id = server.id;
    storage.register(server).await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 5, async_free: 0 };
    let runs = storage.claim(&request).await.unwrap();
    let failure = Failure {
        cause: Cause::Handler,
        code: Some("no".into()),
        message: "oh".into(),
        details: None,
        backtrace: None,
    };
    let ends = [
        Next::Succeeded { result: Some(r#"{"sum": 12345678901234567890}"#.parse().unwrap()) },
        Next::Retry { delay_ms: 3_600_000, failure: failure.clone() },
        Next::Snooze { delay_ms: 3_600_000 },
        Next::Failed { failure },
        Next::Cancelled,
    ];
    for (run, next) in runs.iter().zip(ends) {
        let at = Timestamp(1_700_000_000_000);
        let line = LogLine {
            run: run.fence.run,
            at,
            level: LogLevel::Warn,
            message: "half of it".into(),
            fields: Some("[1]".parse().unwrap()),
        };
        let progress = Some(Progress { percent: 12.5, note: Some("on it".into()), at });
        storage.note(vec![Note { fence: run.fence, progress, lines: vec![line] }]).await.unwrap()[0].unwrap();
        storage.put_checkpoint(run.fence, "page", &"[3]".parse().unwrap()).await.unwrap().unwrap();
        let usage = Usage { fuel: 5, wall_us: 7, ..Usage::default() };
        let settlement = Settlement { fence: run.fence, next, usage, follow_ups: Vec::new() };
        storage.settle(vec![settlement]).await.unwrap()[0].unwrap();
    }
    storage.leave(id).await.unwrap();
    let lacking = NewJob { handler: "lacking".parse().unwrap(), start: Start::WithHandler, ..job() };
    storage.enqueue(vec![lacking, NewJob { start: Start::After(3_600_000), ..job() }], "bob").await.unwrap();
    storage.set_paused(&"mail".parse().unwrap(), true).await.unwrap();
    for name in ["nightly", "weekly"] {
        let entry = RecurringEntry {
            name: name.parse().unwrap(),
            definition: r#"{"cron": "0 3 * * *"}"#.parse().unwrap(),
            paused: name == "weekly",
            next_at: Some(Timestamp(4_102_444_800_000)),
            last_at: Some(Timestamp(1_700_000_000_000)),
            last_job: Some(runs[0].fence.job),
            left_out: false,
            revision: 0,
        };
        storage.put_recurring(entry, None, Vec::new()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn everything_moves_between_all_storages_and_is_the_same_after_a_whole_circle() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().unwrap());
    let (first, second) = (Namespace::new(), Namespace::new());
    let file = |name: &str| StorageUrl::sqlite(folder.path().join(name));
    let on_redis = |name: &str| format!("{}?namespace={name}", redis.url()).parse::<StorageUrl>().unwrap();
    // Each way between two kinds is gone once.
    let ways = [
        first.url().parse().unwrap(),
        on_redis("one"),
        file("b.db"),
        on_redis("two"),
        second.url().parse().unwrap(),
        file("c.db"),
    ];
    let mut storage = open(&file("a.db"), OpenOptions::host()).await.unwrap();
    fill(&*storage).await;
    let before = records(&*storage).await;
    let counts = storage.counts().await.unwrap();
    let kinds = |kind: &str| before.iter().filter(|record| record.contains(&format!("\"kind\":\"{kind}\""))).count();
    let found = ["version", "queue", "recurring", "job"].map(kinds);
    assert_eq!(found, [2, 1, 2, 10], "{before:#?}");
    assert!(kinds("counter") > 1 && counts.0.len() == 6, "{counts:?}");
    for url in &ways {
        let next = open(url, OpenOptions::default()).await.unwrap();
        let exported = storage.export(None, 500).await.unwrap().items;
        assert_eq!(next.import(exported.clone()).await.unwrap(), before.len(), "{url}");
        assert_eq!(next.import(exported).await.unwrap(), 0, "{url}");
        assert_eq!(records(&*next).await, before, "{url}");
        assert_eq!(next.counts().await.unwrap(), counts, "{url}");
        storage = next;
    }
}

#[tokio::test]
async fn a_storage_is_made_by_whoever_may_and_told_of_once() {
    let (folder, redis, namespace) = (tempfile::tempdir().unwrap(), Redis::start().unwrap(), Namespace::new());
    let file = StorageUrl::sqlite(folder.path().join("a.db"));
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    for url in [file, redis.url().parse().unwrap(), namespace.url().parse::<StorageUrl>().unwrap()] {
        let looking = || OpenOptions { prepare: false, ..OpenOptions::default() };
        for _ in 0..2 {
            match open(&url, looking()).await {
                Err(StorageError::Absent { what, findings }) => {
                    assert!(what.contains(" yet: "), "{what}");
                    let evicts = findings.iter().any(|finding| finding.what.contains("allkeys-lru"));
                    assert_eq!(evicts, url.kind() == StorageKind::Redis, "{url}: {findings:?}");
                }
                Err(error) => panic!("{url}: {error:?}"),
                Ok(_) => panic!("{url} was opened"),
            }
        }
        let made = migrate(&url).await.unwrap();
        assert_eq!(made.from, None, "{url}");
        let again = migrate(&url).await.unwrap();
        assert_eq!((again.from, again.to), (Some(made.to), made.to), "{url}");
        let storage = open(&url, looking()).await.unwrap();
        storage.enqueue(vec![job()], "ann").await.unwrap();
        assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 1, "{url}");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_may_come_back_and_a_wrong_password_stays_wrong() {
    let redis = Redis::options().password("hunter2").start().unwrap();
    let right: StorageUrl = redis.url().parse().unwrap();
    let wrong: StorageUrl = redis.url().replace("hunter2", "hunter3").parse().unwrap();
    assert!(!format!("{right} {right:?}").contains("hunter2"));
    match open(&wrong, OpenOptions::host()).await {
        Err(StorageError::Unusable(text)) => assert!(!text.contains("hunter"), "{text}"),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
    open(&right, OpenOptions::host()).await.unwrap();
    drop(redis);
    assert!(matches!(open(&right, OpenOptions::host()).await, Err(StorageError::Unavailable(_))));
}
