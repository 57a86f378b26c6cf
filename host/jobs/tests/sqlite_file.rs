//! What only a storage in a file can show: who may open it, what outlives a killed process, and what damage does.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rusqlite::Connection;
use windlass_jobs::{
    Clock, Conditions, NewJob, Next, Settlement, Start, SystemClock,
    api::{
        CounterQuery, Grain, JobFilter, JobId, Json, LogLevel, LogLine, Mode, QueueName, RequeueRequest, RetryPolicy,
        ServerId, State, Timestamp, Usage,
    },
    storage::{
        ClaimRequest, JobStore, ModuleStore, NewServer, NewVersion, Note, QueueStore, Record, RecurringEntry,
        RecurringStore, ServerStore, Signal, Storage, StorageError, Transfer,
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

fn server(id: ServerId) -> NewServer {
    NewServer {
        id,
        host: "here".into(),
        pid: 1,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 1,
        async_slots: 1,
    }
}

fn refusal(path: &Path, options: SqliteOptions) -> String {
    match SqliteStorage::open(path, options) {
        Err(StorageError::Unusable(text)) => text,
        other => panic!("should be unusable, but is {other:?}"),
    }
}

#[test]
fn a_second_host_is_refused_by_name_and_process_and_a_client_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let _first = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let text = refusal(&path, SqliteOptions::host());
    let expected = format!("another windlass host (process {}) uses {}; stop it", std::process::id(), path.display());
    assert!(text.starts_with(&expected), "{text}");
    SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_second_host_is_refused_under_another_name_of_the_database() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("jobs.db"), folder.path().join("link.db"));
    symlink("jobs.db", &link).unwrap();
    symlink(folder.path(), folder.path().join("folder")).unwrap();
    // The link is taken first, when it leads to nothing yet.
    let through_link = SqliteStorage::open(&link, SqliteOptions::host()).unwrap();
    for name in [&path, &folder.path().join("folder/jobs.db")] {
        assert!(refusal(name, SqliteOptions::host()).starts_with("another windlass host"));
    }
    drop(through_link);
    let _by_name = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    assert!(refusal(&link, SqliteOptions::host()).starts_with("another windlass host"));
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let log = || std::fs::metadata(folder.path().join("jobs.db-wal")).unwrap().len();
    assert!(log() > 0);
    storage.close().await;
    assert_eq!(log(), 0);
    storage.enqueue(vec![job()], "ann").await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 2);
}

#[test]
fn a_host_that_was_closed_leaves_its_lock_to_the_next_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        drop(SqliteStorage::open(folder.path().join("jobs.db"), SqliteOptions::host()).unwrap());
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    drop(SqliteStorage::open(&path, SqliteOptions::default()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7_000).unwrap();
    let text = refusal(&path, SqliteOptions::default());
    assert!(text.contains("schema version 7000") && text.contains("up to 4"), "{text}");
}

#[test]
fn a_database_from_before_the_first_release_is_refused_and_told_to_be_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    drop(SqliteStorage::open(&path, SqliteOptions::default()).unwrap());
    // What a development version left: the same mark, version 1, and tables that have changed since.
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE counters; DROP TABLE recurring; PRAGMA user_version = 1").unwrap();
    drop(old);
    for options in [SqliteOptions::default(), SqliteOptions::host()] {
        let text = refusal(&path, options);
        assert!(text.contains("made by a development version") && text.contains("start with a new file"), "{text}");
    }
}

#[tokio::test]
async fn the_log_of_a_large_write_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let log = || std::fs::metadata(folder.path().join("jobs.db-wal")).unwrap().len();
    let large = Json::write(&"x".repeat(1024 * 1024)).unwrap();
    let jobs = (0..70).map(|_| NewJob { payload: large.clone(), ..job() });
    storage.enqueue(jobs.collect(), "ann").await.unwrap();
    assert!(log() > 64 * 1024 * 1024, "{}", log());
    // The next write begins the log anew.
    storage.enqueue(vec![job()], "ann").await.unwrap();
    assert!(log() <= 64 * 1024 * 1024, "{}", log());
}

#[test]
fn a_file_that_is_no_windlass_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let text = refusal(&path, SqliteOptions::default());
    assert!(text.contains("is not a windlass database"), "{text}");
    let tables = Connection::open(&path).unwrap();
    let names = tables.query_row("SELECT group_concat(name) FROM sqlite_schema", [], |row| row.get::<_, String>(0));
    assert_eq!(names.unwrap(), "mine");
    let text_file = folder.path().join("notes.txt");
    std::fs::write(&text_file, "not a database at all, only some text ".repeat(50)).unwrap();
    assert!(refusal(&text_file, SqliteOptions::default()).contains("not a database"));
    assert!(
        refusal(&folder.path().join("no/such/folder/jobs.db"), SqliteOptions::default()).contains("cannot be opened")
    );
}

#[tokio::test]
async fn a_job_that_another_process_enqueues_wakes_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let host = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let client = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    let mut signals = host.wake().unwrap().signals();
    client.enqueue(vec![job()], "ann").await.unwrap();
    let woken = tokio::time::timeout(Duration::from_secs(30), signals.recv()).await;
    assert_eq!(woken.unwrap().unwrap(), Signal::Work);
    assert_eq!(host.counts().await.unwrap().of(State::Enqueued), 1);
}

#[tokio::test]
async fn a_cancel_that_another_process_asks_for_reaches_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let host = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let client = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    let id = ServerId(uuid::Uuid::new_v4());
    host.register(server(id)).await.unwrap();
    host.enqueue(vec![job()], "ann").await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 1, async_free: 0 };
    let run = host.claim(&request).await.unwrap().remove(0);
    let mut signals = host.wake().unwrap().signals();
    client.cancel(run.fence.job, "ann").await.unwrap();
    let cancelled = async { while signals.recv().await.unwrap() != Signal::Cancel(run.fence) {} };
    tokio::time::timeout(Duration::from_secs(30), cancelled).await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_named_and_the_others_are_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let (bad, good) = (job(), job());
    storage.enqueue(vec![bad.clone(), good.clone()], "ann").await.unwrap();
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE jobs SET state = 99 WHERE id = ?1", [bad.id.0.as_bytes()]).unwrap();
    match storage.job(bad.id).await {
        Err(StorageError::Damaged(text)) => assert!(text.contains(&bad.id.to_string()), "{text}"),
        other => panic!("should be damaged, but is {other:?}"),
    }
    assert!(storage.job(good.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_job_is_taken_out_of_its_line_and_the_next_one_is_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let id = ServerId(uuid::Uuid::new_v4());
    storage.register(server(id)).await.unwrap();
    let (unreadable, without_payload, good) = (job(), job(), job());
    storage.enqueue(vec![unreadable.clone(), without_payload.clone(), good.clone()], "ann").await.unwrap();
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE jobs SET state = 99 WHERE id = ?1", [unreadable.id.0.as_bytes()]).unwrap();
    let forget = "DELETE FROM payloads WHERE seq = (SELECT seq FROM jobs WHERE id = ?1)";
    raw.execute(forget, [without_payload.id.0.as_bytes()]).unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 2, async_free: 0 };
    assert!(storage.claim(&request).await.unwrap().is_empty());
    let claimed = storage.claim(&request).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.fence.job).collect::<Vec<_>>(), [good.id]);
    let counts = storage.counts().await.unwrap();
    assert_eq!(counts.0, [(State::Processing, 1), (State::Failed, 2)].into(), "they are counted where they are shown");
    let shown = storage.job(unreadable.id).await.unwrap().unwrap();
    assert_eq!((shown.job.state, shown.job.reason.as_deref()), (State::Failed, Some("damaged")));
    let last = shown.history.last().unwrap();
    assert_eq!((last.from, last.by.as_str()), (Some(State::Enqueued), "storage"));
    let still = storage.job(without_payload.id).await;
    assert!(
        matches!(&still, Err(StorageError::Damaged(text)) if text.contains("its payload is not there")),
        "{still:?}"
    );
    // What was repaired goes on.
    storage.requeue(unreadable.id, RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(storage.claim(&request).await.unwrap()[0].fence.job, unreadable.id);
}

#[tokio::test]
async fn a_damaged_job_of_a_lost_server_is_counted_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    for leaves in [false, true] {
        let id = ServerId(uuid::Uuid::new_v4());
        storage.register(server(id)).await.unwrap();
        storage.enqueue(vec![job()], "ann").await.unwrap();
        let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 1, async_free: 0 };
        let bad = storage.claim(&request).await.unwrap().remove(0).fence.job;
        Connection::open(&path)
            .unwrap()
            .execute("UPDATE jobs SET mode = 99 WHERE id = ?1", [bad.0.as_bytes()])
            .unwrap();
        if leaves {
            storage.leave(id).await.unwrap();
        } else {
            let pulse = storage.pulses().await.unwrap().remove(0);
            assert_eq!(storage.sweep(pulse).await.unwrap(), Some(1));
        }
        let shown = storage.job(bad).await.unwrap().unwrap();
        let last = shown.history.last().unwrap();
        assert_eq!((last.from, last.to, last.run), (Some(State::Processing), State::Failed, Some(1)));
        assert_eq!((last.reason.as_deref(), shown.job.server), (Some("damaged"), None));
    }
    assert_eq!(storage.counts().await.unwrap().0, [(State::Failed, 2)].into());
    assert_eq!(storage.queues().await.unwrap()[0].processing, 0);
}

#[tokio::test]
async fn an_export_names_each_record_that_is_damaged_and_holds_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let (state, payload, good) = (job(), job(), job());
    storage.enqueue(vec![state.clone(), payload.clone(), good.clone()], "ann").await.unwrap();
    for byte in [1, 2] {
        let version = NewVersion {
            module: "m".parse().unwrap(),
            digest: windlass_jobs::api::Digest([byte; 32]),
            bytes: vec![byte],
            version: "1".into(),
            sdk: "rust".into(),
            handlers: Vec::new(),
        };
        storage.add_version(version).await.unwrap();
    }
    for name in ["bad", "good"] {
        let entry = RecurringEntry {
            name: name.parse().unwrap(),
            definition: Json::null(),
            paused: true,
            next_at: None,
            last_at: None,
            last_job: None,
            left_out: false,
            revision: 0,
        };
        storage.put_recurring(entry, None, Vec::new()).await.unwrap();
        storage.set_paused(&name.parse().unwrap(), true).await.unwrap();
    }
    let whole = storage.export_readable(None, 1_000).await.unwrap();
    assert_eq!(whole.skipped, [""; 0]);
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE jobs SET state = 99 WHERE id = ?1", [state.id.0.as_bytes()]).unwrap();
    raw.execute(
        "UPDATE payloads SET payload = '{' WHERE seq = (SELECT seq FROM jobs WHERE id = ?1)",
        [payload.id.0.as_bytes()],
    )
    .unwrap();
    raw.execute_batch(
        "UPDATE versions SET handlers = '{' WHERE n = 1; UPDATE recurring SET definition = '{' WHERE name = 'bad';
         UPDATE queues SET name = 'no name' WHERE name = 'bad'; UPDATE counters SET handler = 77 WHERE grain = 1",
    )
    .unwrap();
    for limit in [1, 3, 1_000] {
        let (mut left, mut skipped, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let part = storage.export_readable(cursor.as_deref(), limit).await.unwrap();
            left.extend(part.items);
            skipped.extend(part.skipped);
            cursor = part.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(left.len() + skipped.len(), whole.items.len());
        assert!(left.iter().all(|record| whole.items.contains(record)));
        assert!(left.iter().any(|record| matches!(record, Record::Job(job) if job.detail.job.id == good.id)));
        let expected = [
            format!("version {}: ", "01".repeat(32)),
            "queue number 2: ".to_owned(),
            "the recurring job bad: ".to_owned(),
            "the counter of handler number 77 for the hour of ".to_owned(),
            format!("job {}: a job's state: there is no number 99", state.id),
            format!("job {}: ", payload.id),
        ];
        assert_eq!(skipped.len(), expected.len(), "{skipped:#?}");
        for (skipped, expected) in skipped.iter().zip(expected) {
            assert!(skipped.starts_with(&expected), "{skipped}");
        }
    }
    match storage.export(None, 1_000).await {
        Err(StorageError::Damaged(text)) => assert!(text.starts_with("version "), "{text}"),
        other => panic!("should be damaged, but is {other:?}"),
    }
}

#[tokio::test]
async fn a_part_of_an_export_counts_what_logs_carry() {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("jobs.db"), SqliteOptions::host()).unwrap();
    let id = ServerId(uuid::Uuid::new_v4());
    storage.register(server(id)).await.unwrap();
    storage.enqueue((0..20).map(|_| job()).collect(), "ann").await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 20, async_free: 0 };
    for run in storage.claim(&request).await.unwrap() {
        let line = LogLine {
            run: 1,
            at: Timestamp(0),
            level: LogLevel::Info,
            message: String::new(),
            fields: Some(Json::write(&"x".repeat(1024 * 1024)).unwrap()),
        };
        storage.note(vec![Note { fence: run.fence, progress: None, lines: vec![line] }]).await.unwrap();
    }
    let part = storage.export(None, 1_000).await.unwrap();
    let jobs = part.items.iter().filter(|record| matches!(record, Record::Job(_))).count();
    assert_eq!(jobs, 4, "a part carries 4 MiB");
    assert!(part.next.is_some());
}

#[tokio::test]
async fn a_run_that_never_began_is_not_counted_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("jobs.db"), SqliteOptions::host()).unwrap();
    let id = ServerId(uuid::Uuid::new_v4());
    storage.register(server(id)).await.unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 1, async_free: 0 };
    for (reason, runs) in [("not-started", 0), ("shutdown", 1)] {
        let fence = storage.claim(&request).await.unwrap()[0].fence;
        let next = Next::Released { reason: reason.into(), mode: Mode::Sync };
        let usage = Usage { wall_us: 7, ..Usage::default() };
        storage.settle(vec![Settlement { fence, next, usage, follow_ups: Vec::new() }]).await.unwrap()[0].unwrap();
        let query = CounterQuery {
            grain: Grain::Hour,
            from: Timestamp(0),
            before: SystemClock.now().plus_ms(1),
            module: None,
            handler: None,
        };
        let rows = storage.counters(&query).await.unwrap();
        let counted = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.runs, sum.1 + row.run_us));
        assert_eq!(counted, (runs, runs * 7), "{reason}");
    }
}

const DATABASE: &str = "WINDLASS_TEST_DATABASE";

/// Not a test by itself: the process that [`what_was_acknowledged_outlives_a_killed_host`] kills.
#[tokio::test]
async fn enqueue_and_claim_until_killed() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let host = SqliteStorage::open(path, SqliteOptions::host()).unwrap();
    let id = ServerId(uuid::Uuid::new_v4());
    host.register(server(id)).await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 1, async_free: 0 };
    loop {
        let stored = host.enqueue(vec![job(), job()], "ann").await.unwrap();
        for job in stored {
            println!("stored {}", job.id);
        }
        host.claim(&request).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_killed_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "enqueue_and_claim_until_killed", "--nocapture"])
        .env(DATABASE, &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let stored = lines.filter_map(|line| line.unwrap().strip_prefix("stored ")?.parse::<JobId>().ok());
    let stored = stored.take(200).collect::<Vec<_>>();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(stored.len(), 200);
    // The lock went with the process, and taking it gives up the server that held jobs.
    let host =
        SqliteStorage::open(&path, SqliteOptions { clock: Arc::new(SystemClock), ..SqliteOptions::host() }).unwrap();
    for id in stored {
        let kept = host.job(id).await.unwrap().expect("it was acknowledged");
        assert_eq!(kept.job.state, State::Enqueued);
    }
    assert!(host.pulses().await.unwrap().is_empty());
    let counts = host.counts().await.unwrap();
    assert_eq!(counts.of(State::Processing), 0);
    let mut listed = 0;
    let mut cursor = None;
    loop {
        let page = host.jobs(&JobFilter::default(), cursor.as_deref(), 1000).await.unwrap();
        listed += page.items.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, counts.of(State::Enqueued));
}
