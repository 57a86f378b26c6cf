//! A database, or its lock file, that is removed or replaced while a host uses it.
#![cfg(all(feature = "sqlite", unix))]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use windlass_jobs::{
    Conditions, NewJob, Start,
    api::{JobId, Json, Mode, QueueName, RetryPolicy, ServerId, State},
    storage::{
        Heartbeat, JobStore, NewServer, ServerStore, Storage, StorageError, Vitals,
        sqlite::{SqliteOptions, SqliteStorage},
    },
};

fn job() -> NewJob {
    NewJob {
        id: JobId(uuid::Uuid::now_v7()),
        module: "m".parse().unwrap(),
        handler: "h".parse().unwrap(),
        mode: Mode::Sync,
        queue: QueueName::default(),
        priority: 5,
        start: Start::Now,
        payload: Json::null(),
        headers: BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 9,
        retry: RetryPolicy::default(),
        timeout_ms: None,
        conditions: Conditions::default(),
    }
}

async fn register(storage: &SqliteStorage, host: &str) -> ServerId {
    let id = ServerId(uuid::Uuid::new_v4());
    let server = NewServer {
        id,
        host: host.to_owned(),
        pid: 1,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 1,
        async_slots: 1,
    };
    storage.register(server).await.unwrap();
    id
}

/// A host with a server and a job.
async fn host(path: &Path) -> (Arc<SqliteStorage>, ServerId) {
    let storage = SqliteStorage::open(path, SqliteOptions::host()).unwrap();
    let server = register(&storage, "here").await;
    storage.enqueue(vec![job()], "ann").await.unwrap();
    (storage, server)
}

/// Nothing is acknowledged or shown any more, the server stops, and the reason is told.
async fn stands_no_more(storage: &SqliteStorage, server: ServerId, expected: &str) {
    assert_eq!(storage.heartbeat(server, Vitals::default()).await.unwrap(), Heartbeat::Refused);
    let told = |error: StorageError| match error {
        StorageError::Unavailable(text) => {
            assert!(text.contains(expected) && text.contains("stop this process"), "{text}");
        }
        other => panic!("should be unavailable, but is {other:?}"),
    };
    told(storage.enqueue(vec![job()], "ann").await.unwrap_err());
    told(storage.counts().await.unwrap_err());
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[tokio::test]
async fn a_host_whose_file_was_removed_or_replaced_acknowledges_nothing_more() {
    for (gone, expected) in [("", "the database file"), ("-wal", "the write-ahead log"), ("-shm", "the log's index")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let (storage, server) = host(&path).await;
        fs::remove_file(beside(&path, gone)).unwrap();
        stands_no_more(&storage, server, expected).await;
        stands_no_more(&storage, server, "removed or moved away").await;
        fs::write(beside(&path, gone), "another").unwrap();
        stands_no_more(&storage, server, "replaced by another one").await;
    }
}

#[tokio::test]
async fn an_enqueue_is_refused_as_soon_as_the_file_is_gone_and_not_only_at_the_next_heartbeat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (host, server) = host(&path).await;
    let client = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    client.enqueue(vec![job()], "ann").await.unwrap();
    fs::rename(&path, folder.path().join("away.db")).unwrap();
    for storage in [&host, &client] {
        assert!(matches!(storage.enqueue(vec![job()], "ann").await, Err(StorageError::Unavailable(_))));
    }
    // Where the file comes back, it is the one that they have open.
    fs::rename(folder.path().join("away.db"), &path).unwrap();
    for storage in [&host, &client] {
        let beat = storage.heartbeat(server, Vitals::default()).await.unwrap();
        assert!(matches!(beat, Heartbeat::Alive { .. }), "{beat:?}");
        storage.enqueue(vec![job()], "ann").await.unwrap();
    }
}

#[tokio::test]
async fn a_host_whose_lock_file_was_removed_or_replaced_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (storage, server) = host(&path).await;
    fs::remove_file(beside(&path, ".lock")).unwrap();
    stands_no_more(&storage, server, "the lock file").await;
    fs::write(beside(&path, ".lock"), "1").unwrap();
    stands_no_more(&storage, server, "replaced by another one").await;
}

#[tokio::test]
async fn a_second_host_that_sees_a_heartbeat_move_is_refused_although_the_lock_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    // A client holds no lock, so that this is what a host looks like whose lock file was removed.
    let client = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    let server = register(&client, "elsewhere").await;
    let second = {
        let path = path.clone();
        thread::spawn(move || SqliteStorage::open(path, SqliteOptions::host()).map(drop))
    };
    while !second.is_finished() {
        client.heartbeat(server, Vitals::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    match second.join().unwrap() {
        Err(StorageError::Unusable(text)) => {
            assert!(text.contains("another windlass host (process 1 on elsewhere)"), "{text}");
            assert!(text.contains("its heartbeat goes on"), "{text}");
        }
        other => panic!("should be unusable, but is {other:?}"),
    }
    assert_eq!(client.servers().await.unwrap().len(), 1, "nothing was taken from it");
}

#[tokio::test]
async fn a_database_with_a_second_name_is_refused_under_both() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("jobs.db"), folder.path().join("hard.db"));
    let (storage, _) = host(&path).await;
    storage.close().await;
    drop(storage);
    fs::hard_link(&path, &other).unwrap();
    for (name, options) in
        [(&path, SqliteOptions::host()), (&other, SqliteOptions::host()), (&other, SqliteOptions::default())]
    {
        match SqliteStorage::open(name, options) {
            Err(StorageError::Unusable(text)) => assert!(text.contains("has 2 names (hard links)"), "{text}"),
            refused => panic!("should be unusable, but is {refused:?}"),
        }
    }
    assert!(!beside(&other, "-wal").exists(), "nothing was made under the second name");
    fs::remove_file(other).unwrap();
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 1);
}

/// The files in a folder with what they hold.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())).collect()
}

#[tokio::test]
async fn whoever_only_looks_leaves_every_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (storage, _) = host(&path).await;
    storage.close().await;
    drop(storage);
    let at_rest = files(folder.path());
    let look = || SqliteStorage::open(&path, SqliteOptions { read_only: true, ..SqliteOptions::default() }).unwrap();
    let looking = look();
    assert_eq!(looking.counts().await.unwrap().of(State::Enqueued), 1);
    assert!(matches!(looking.enqueue(vec![job()], "ann").await, Err(StorageError::Unavailable(_))));
    looking.findings().await.unwrap();
    looking.close().await;
    drop(looking);
    assert_eq!(files(folder.path()), at_rest);

    // Beside a host it sees what stands in the log only, and does not fold it.
    let (_running, _) = host(&path).await;
    let before = fs::read(&path).unwrap();
    let looking = look();
    assert_eq!(looking.counts().await.unwrap().of(State::Enqueued), 2);
    looking.close().await;
    drop(looking);
    assert!(fs::metadata(beside(&path, "-wal")).unwrap().len() > 0);
    assert_eq!(fs::read(&path).unwrap(), before);
}
