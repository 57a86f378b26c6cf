//! A disk that is full, and a file that was damaged: what is refused, what goes on, and what is said.
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    process::Command,
};

use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, setrlimit};
use windlass_jobs::{
    NewJob, Start,
    api::{JobId, Json, Mode, QueueName, RetryPolicy, ServerId, State},
    storage::{
        ClaimRequest, JobStore, NewServer, QueueStore, ServerStore, Storage, StorageError,
        sqlite::{SqliteOptions, SqliteStorage},
    },
};

fn job(payload: &str) -> NewJob {
    NewJob {
        id: JobId(uuid::Uuid::now_v7()),
        module: "m".parse().unwrap(),
        handler: "h".parse().unwrap(),
        mode: Mode::Sync,
        queue: QueueName::default(),
        priority: 5,
        start: Start::Now,
        payload: Json::write(payload).unwrap(),
        headers: BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 9,
        retry: RetryPolicy::default(),
        timeout_ms: None,
    }
}

async fn register(storage: &SqliteStorage) -> ServerId {
    let id = ServerId(uuid::Uuid::new_v4());
    let server = NewServer {
        id,
        host: "here".into(),
        pid: 1,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 1,
        async_slots: 1,
    };
    storage.register(server).await.unwrap();
    id
}

fn integrity(path: &Path) -> String {
    let db = Connection::open(path).unwrap();
    db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

const FULL: &str = "WINDLASS_TEST_FULL";

#[test]
fn a_full_disk_refuses_new_jobs_and_loses_none_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    // A limit on the size of files acts as a full disk does, and needs nobody's leave; its signal would end the process.
    let ended = Command::new("sh")
        .args(["-c", r#"trap '' XFSZ; exec "$0" --exact fill_the_disk --nocapture"#])
        .arg(std::env::current_exe().unwrap())
        .env(FULL, folder.path().join("jobs.db"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(told.contains("went on with room"), "{told}");
    assert_eq!(integrity(&folder.path().join("jobs.db")), "ok");
}

/// Not a test by itself: the process whose disk is full in
/// [`a_full_disk_refuses_new_jobs_and_loses_none_and_goes_on_when_there_is_room`].
#[tokio::test]
async fn fill_the_disk() {
    let Some(path) = std::env::var_os(FULL) else { return };
    let path = Path::new(&path);
    let storage = SqliteStorage::open(path, SqliteOptions::host()).unwrap();
    let server = register(&storage).await;
    let limit = |bytes| setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    limit(Some(2 * 1024 * 1024));
    let mut stored = Vec::new();
    let refused = loop {
        let new = job(&"x".repeat(50_000));
        let id = new.id;
        match storage.enqueue(vec![new], "ann").await {
            Ok(_) => stored.push(id),
            Err(error) => break error,
        }
        assert!(stored.len() < 1_000, "the limit should have been met");
    };
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused:?}");
    assert!(refused.to_string().contains("see whether its disk is full"), "{refused}");
    assert!(stored.len() > 5, "{}", stored.len());
    // It is refused again and again, and what was acknowledged can still be read.
    for _ in 0..3 {
        storage.enqueue(vec![job(&"x".repeat(50_000))], "ann").await.unwrap_err();
    }
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), stored.len() as u64);
    limit(None);
    assert_eq!(integrity(path), "ok");
    storage.enqueue(vec![job("after")], "ann").await.unwrap();
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: 10_000, async_free: 0 };
    let claimed = storage.claim(&request).await.unwrap();
    let claimed = claimed.into_iter().map(|run| run.fence.job).collect::<Vec<_>>();
    assert_eq!(claimed[..stored.len()], stored);
    assert_eq!(claimed.len(), stored.len() + 1, "nothing of what was refused is there");
    println!("went on with room");
    storage.close().await;
}

/// Overwrites the pages of a database in which a text stands; gives how many.
fn damage(path: &Path, text: &str) -> usize {
    const PAGE_BYTES: usize = 4096;
    let mut file = std::fs::read(path).unwrap();
    let mut damaged = 0;
    for page in file.chunks_mut(PAGE_BYTES) {
        if page.windows(text.len()).any(|window| window == text.as_bytes()) {
            page.fill(0xff);
            damaged += 1;
        }
    }
    std::fs::write(path, file).unwrap();
    damaged
}

#[tokio::test]
async fn a_damaged_page_costs_the_jobs_that_stand_on_it_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let mut made = Vec::new();
    for n in 0..60 {
        // Long enough for each to have a page or two of its own.
        let new = job(&format!("number {n}. {}", "x".repeat(6_000)));
        made.push(new.id);
        storage.enqueue(vec![new], "ann").await.unwrap();
    }
    storage.close().await;
    drop(storage);
    assert!(damage(&path, "number 30. ") > 0);
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let server = register(&storage).await;
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: 100, async_free: 0 };
    let claimed = storage.claim(&request).await.unwrap();
    let claimed = claimed.into_iter().map(|run| run.fence.job).collect::<HashSet<_>>();
    assert!(!claimed.contains(&made[30]));
    assert!(claimed.len() > 50, "a page holds few of them: {} were claimed", claimed.len());
    let counts = storage.counts().await.unwrap();
    assert_eq!(counts.of(State::Failed) as usize, 60 - claimed.len());
    match storage.job(made[30]).await {
        Err(StorageError::Damaged(text)) => assert!(text.contains(&made[30].to_string()), "{text}"),
        other => panic!("should be damaged, but is {other:?}"),
    }
    let intact = *claimed.iter().next().unwrap();
    assert_eq!(storage.job(intact).await.unwrap().unwrap().job.state, State::Processing);
    assert!(!storage.enqueue(vec![job("new")], "ann").await.unwrap()[0].existing);
}

#[tokio::test]
async fn a_file_whose_tables_are_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    storage.enqueue(vec![job("one")], "a queue's first job").await.unwrap();
    storage.close().await;
    drop(storage);
    // The name of the queue stands in its table and in the index of names.
    assert!(damage(&path, "default") > 0);
    let storage = match SqliteStorage::open(&path, SqliteOptions::default()) {
        Ok(storage) => storage,
        Err(error) => panic!("the tables that a start looks at are whole: {error}"),
    };
    match storage.queues().await {
        Err(StorageError::Damaged(text)) => assert!(text.contains(&path.display().to_string()), "{text}"),
        other => panic!("should be damaged, but is {other:?}"),
    }
}
