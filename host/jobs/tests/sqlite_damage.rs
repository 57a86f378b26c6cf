//! A disk that is full, and a file that was damaged: what is refused, what goes on, and what is said.
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::{BTreeMap, HashSet},
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Command,
    sync::Arc,
};

use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, setrlimit};
use windlass_jobs::{
    Conditions, NewJob, Next, Settlement, Start, TestClock,
    api::{After, ContinueOn, JobFilter, JobId, Json, Mode, QueueName, RetryPolicy, ServerId, State, Timestamp, Usage},
    storage::{
        ClaimRequest, Commanded, ExportPart, JobStore, NewServer, QueueStore, Record, Removal, ServerStore, Storage,
        StorageError, Transfer,
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
        conditions: Conditions::default(),
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

#[tokio::test]
async fn a_job_whose_record_is_damaged_hides_no_other_is_named_and_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let jobs = [job("first"), job("damaged"), job("last")];
    let [first, damaged, last] = [&jobs[0], &jobs[1], &jobs[2]].map(|job| job.id);
    storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    let db = Connection::open(&path).unwrap();
    assert_eq!(db.execute("UPDATE jobs SET state = 99 WHERE id = ?1", [damaged.0.as_bytes()]).unwrap(), 1);

    for filter in [JobFilter::default(), JobFilter { queue: Some(QueueName::default()), ..JobFilter::default() }] {
        let page = storage.jobs(&filter, None, 10).await.unwrap();
        assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), [last, first]);
        assert_eq!((page.damaged, page.next), (1, None), "it is counted as what is left out");
    }
    let named = async || {
        let findings = storage.findings().await.unwrap();
        findings.iter().any(|finding| finding.what.contains(&damaged.to_string()))
    };
    assert!(named().await);
    let how = Removal { deletes_ended: true, expected_state: None };
    let refused = storage.remove_all(vec![first, damaged], how, "ann").await.unwrap_err();
    assert!(refused.to_string().contains(&damaged.to_string()), "{refused}");
    assert_eq!(storage.job(first).await.unwrap().unwrap().job.state, State::Enqueued, "nothing was done");

    assert_eq!(storage.delete(damaged, "ann").await.unwrap(), Commanded::Done(State::Deleted));
    assert!(!named().await);
    let history = storage.job(damaged).await.unwrap().unwrap().history;
    let reasons = history.iter().map(|line| line.reason.as_deref().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(reasons, ["", "damaged", "deleted"]);
    assert_eq!(storage.counts().await.unwrap().0, [(State::Enqueued, 2), (State::Deleted, 1)].into());
    let request = ClaimRequest { server: register(&storage).await, queues: Vec::new(), sync_free: 9, async_free: 0 };
    assert_eq!(storage.claim(&request).await.unwrap().len(), 2);
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

/// Overwrites the middle leaf of a table.
fn damage_leaf(path: &Path, table: &str) {
    damage_leaves(path, table, 1);
}

/// Overwrites so many leaves in the middle of a table or an index.
fn damage_leaves(path: &Path, table: &str, count: usize) {
    const PAGE_BYTES: u64 = 4096;
    let pages = {
        let db = Connection::open(path).unwrap();
        let mut leaves =
            db.prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path").unwrap();
        leaves.query_map([table], |row| row.get(0)).unwrap().collect::<Result<Vec<u32>, _>>().unwrap()
    };
    assert!(pages.len() > 2 * count, "{table} has {} leaves", pages.len());
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    for page in &pages[(pages.len() - count) / 2..][..count] {
        file.seek(SeekFrom::Start(u64::from(page - 1) * PAGE_BYTES)).unwrap();
        file.write_all(&[0xff; PAGE_BYTES as usize]).unwrap();
    }
}

const JOBS: usize = 400;

/// Stores many jobs, lets something be done with them, damages a leaf, and opens the file again.
async fn damaged(
    path: &Path,
    table: &str,
    clock: &Arc<TestClock>,
    start: Start,
    then: impl AsyncFnOnce(&SqliteStorage, &[NewJob]),
) -> Arc<SqliteStorage> {
    let open = || SqliteStorage::open(path, SqliteOptions { clock: clock.clone(), ..SqliteOptions::host() }).unwrap();
    let storage = open();
    let jobs = (0..JOBS).map(|_| NewJob { start, ..job(&"x".repeat(200)) }).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    then(&storage, &jobs).await;
    storage.close().await;
    drop(storage);
    damage_leaf(path, table);
    open()
}

fn number(path: &Path, sql: &str) -> usize {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize
}

#[tokio::test]
async fn a_damaged_page_that_all_share_fails_the_claim_and_costs_no_job() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let jobs = (0..10).map(|_| NewJob { handler: "shared-by-all".parse().unwrap(), ..job("x") });
    storage.enqueue(jobs.collect(), "ann").await.unwrap();
    storage.close().await;
    drop(storage);
    assert!(damage(&path, "shared-by-all") > 0);
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let request = ClaimRequest { server: register(&storage).await, queues: Vec::new(), sync_free: 100, async_free: 0 };
    for _ in 0..2 {
        let claimed = storage.claim(&request).await;
        assert!(matches!(claimed, Err(StorageError::Damaged(_))), "{claimed:?}");
    }
    assert_eq!(storage.counts().await.unwrap().0, [(State::Enqueued, 10)].into());
    assert_eq!(number(&path, "SELECT count(*) FROM jobs WHERE state = 2"), 10);
}

#[tokio::test]
async fn jobs_on_a_damaged_page_keep_no_others_from_being_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
    let storage = damaged(&path, "jobs", &clock, Start::Now, async |_, _| {}).await;
    let request =
        ClaimRequest { server: register(&storage).await, queues: Vec::new(), sync_free: 1_000, async_free: 0 };
    let claimed = storage.claim(&request).await.unwrap().len();
    assert!((JOBS / 2..JOBS).contains(&claimed), "{claimed} were claimed");
    assert_eq!(number(&path, "SELECT count(*) FROM waiting"), 0, "those on the page stand in no line");
    assert_eq!(storage.claim(&request).await.unwrap().len(), 0);
}

#[tokio::test]
async fn children_on_a_damaged_page_keep_neither_their_parent_from_ending_nor_others_from_going_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let parent = job("parent");
    let after = Some(After { jobs: vec![parent.id], on: ContinueOn::Success });
    let conditions = Conditions { after, ..Conditions::default() };
    // Few enough for the page to be met in the very step that ends the parent.
    const CHILDREN: u64 = 150;
    let children = (0..CHILDREN).map(|_| NewJob { conditions: conditions.clone(), ..job(&"x".repeat(200)) });
    storage.enqueue(std::iter::once(parent.clone()).chain(children).collect(), "ann").await.unwrap();
    storage.close().await;
    drop(storage);
    damage_leaf(&path, "jobs");
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    let request = ClaimRequest { server: register(&storage).await, queues: Vec::new(), sync_free: 9, async_free: 0 };
    let run = storage.claim(&request).await.unwrap().remove(0);
    let settlement = Settlement {
        fence: run.fence,
        next: Next::Succeeded { result: None },
        usage: Usage::default(),
        follow_ups: Vec::new(),
    };
    let first = storage.settle(vec![settlement.clone()]).await;
    assert!(matches!(first, Err(StorageError::Unavailable(_))), "it is to be tried again: {first:?}");
    assert_eq!(storage.settle(vec![settlement]).await.unwrap(), [Ok(State::Succeeded)]);
    let mut steps = 0;
    while storage.promote(1_000).await.unwrap().next_in_ms == Some(0) {
        steps += 1;
        assert!(steps < 5, "those on the page are passed over");
    }
    let counts = storage.counts().await.unwrap();
    assert!((CHILDREN / 2..CHILDREN).contains(&counts.of(State::Enqueued)), "{counts:?}");
    assert_eq!(number(&path, "SELECT count(*) FROM ripples"), 0);
}

#[tokio::test]
async fn jobs_on_a_damaged_page_keep_no_others_from_expiring() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
    let open = || SqliteStorage::open(&path, SqliteOptions { clock: clock.clone(), ..SqliteOptions::host() }).unwrap();
    let storage = open();
    let expires_at = Some(Timestamp(1_700_000_000_500));
    let conditions = Conditions { expires_at, ..Conditions::default() };
    let jobs = (0..JOBS).map(|_| NewJob { conditions: conditions.clone(), ..job(&"x".repeat(200)) });
    storage.enqueue(jobs.collect(), "ann").await.unwrap();
    storage.close().await;
    drop(storage);
    damage_leaf(&path, "jobs");
    let storage = open();
    clock.advance_ms(500);
    let mut steps = 0;
    while storage.promote(1_000).await.unwrap().next_in_ms == Some(0) {
        steps += 1;
        assert!(steps < 5, "those on the page are passed over");
    }
    let deleted = usize::try_from(storage.counts().await.unwrap().of(State::Deleted)).unwrap();
    assert!((JOBS / 2..JOBS).contains(&deleted), "{deleted} were deleted");
    assert_eq!(number(&path, "SELECT count(*) FROM waiting"), 0, "those on the page stand in no line");
}

#[tokio::test]
async fn jobs_on_a_damaged_page_keep_no_others_from_being_promoted() {
    for table in ["jobs", "history"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
        let with_history = async |storage: &SqliteStorage, _: &[NewJob]| {
            storage.close().await;
            let raw = Connection::open(&path).unwrap();
            raw.execute_batch(
                "INSERT INTO history (seq, n, from_state, to_state, at, by, reason)
                 SELECT seq, 1, 3, 0, at, 'ann', hex(zeroblob(100)) FROM jobs; UPDATE jobs SET lines = 1",
            )
            .unwrap();
        };
        let storage = damaged(&path, table, &clock, Start::After(1_000), with_history).await;
        clock.advance_ms(2_000);
        let promoted = storage.promote(1_000).await.unwrap();
        assert_eq!(promoted.next_in_ms, None, "{table}");
        let waiting = number(&path, "SELECT count(*) FROM waiting");
        assert!((JOBS / 2..JOBS).contains(&waiting), "{table}: {waiting} wait");
        assert_eq!(number(&path, "SELECT count(*) FROM scheduled"), 0, "{table}");
        if table == "history" {
            let counts = storage.counts().await.unwrap();
            assert_eq!((counts.of(State::Scheduled), counts.of(State::Failed) as usize), (0, JOBS - waiting));
        }
        storage.enqueue(vec![NewJob { start: Start::After(1_000), ..job("x") }], "ann").await.unwrap();
        clock.advance_ms(2_000);
        assert_eq!(storage.promote(1_000).await.unwrap().moved, 1, "{table}");
    }
}

#[tokio::test]
async fn jobs_on_a_damaged_page_keep_no_others_from_coming_back_from_a_lost_server() {
    for table in ["jobs", "history"] {
        for leaves in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("jobs.db");
            let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
            let server = run_and_damage(&path, table, &clock).await;
            // A client takes nothing away from anybody when it opens the file.
            let options = SqliteOptions { clock: clock.clone(), ..SqliteOptions::default() };
            let storage = SqliteStorage::open(&path, options).unwrap();
            let pulse = storage.pulses().await.unwrap().remove(0);
            if leaves {
                storage.leave(server).await.unwrap();
            } else {
                let taken = storage.sweep(pulse).await.unwrap().unwrap();
                assert!((JOBS / 2..JOBS).contains(&taken), "{table}: {taken} were taken away");
            }
            came_back(&storage, &path, table).await;
            assert!(storage.pulses().await.unwrap().is_empty(), "{table}");
            assert_eq!(storage.sweep(pulse).await.unwrap(), None, "{table}");
        }
    }
}

#[tokio::test]
async fn a_damaged_page_keeps_no_host_from_starting_and_taking_jobs_back() {
    for table in ["jobs", "history"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
        run_and_damage(&path, table, &clock).await;
        let storage = SqliteStorage::open(&path, SqliteOptions { clock, ..SqliteOptions::host() }).unwrap();
        came_back(&storage, &path, table).await;
        let request =
            ClaimRequest { server: register(&storage).await, queues: Vec::new(), sync_free: 1_000, async_free: 0 };
        let claimed = storage.claim(&request).await.unwrap().len();
        assert!((JOBS / 2..JOBS).contains(&claimed), "{table}: {claimed} were claimed");
    }
}

/// Stores many jobs, has a server run them all, and damages a leaf.
async fn run_and_damage(path: &Path, table: &str, clock: &Arc<TestClock>) -> ServerId {
    let storage = SqliteStorage::open(path, SqliteOptions { clock: clock.clone(), ..SqliteOptions::host() }).unwrap();
    storage.enqueue((0..JOBS).map(|_| job("x")).collect(), "ann").await.unwrap();
    let server = register(&storage).await;
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: 1_000, async_free: 0 };
    assert_eq!(storage.claim(&request).await.unwrap().len(), JOBS);
    storage.close().await;
    drop(storage);
    if table == "history" {
        let raw = Connection::open(path).unwrap();
        raw.execute_batch(
            "INSERT INTO history (seq, n, from_state, to_state, at, by, reason)
             SELECT seq, 1, 0, 2, at, 'ann', hex(zeroblob(100)) FROM jobs; UPDATE jobs SET lines = 1",
        )
        .unwrap();
    }
    damage_leaf(path, table);
    server
}

/// Most jobs wait again; what is to be known of the others is known.
async fn came_back(storage: &SqliteStorage, path: &Path, table: &str) {
    let waiting = number(path, "SELECT count(*) FROM waiting");
    assert!((JOBS / 2..JOBS).contains(&waiting), "{table}: {waiting} wait");
    let counts = storage.counts().await.unwrap();
    assert_eq!(counts.of(State::Enqueued) as usize, waiting, "{table}");
    let (running, failed) = (counts.of(State::Processing) as usize, counts.of(State::Failed) as usize);
    assert_eq!(running + failed, JOBS - waiting, "{table}");
    // Nobody can tell any more whose run one was whose own page is damaged; one whose row or history has no room to be
    // written beside such a page has failed.
    assert_eq!(running > 0, table == "jobs", "{table}: {running} run, {failed} failed");
}

#[tokio::test]
async fn jobs_on_a_damaged_page_keep_no_others_from_being_removed() {
    for table in ["jobs", "payloads"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
        let delete = async |storage: &SqliteStorage, jobs: &[NewJob]| {
            for job in jobs {
                storage.delete(job.id, "ann").await.unwrap();
            }
        };
        let storage = damaged(&path, table, &clock, Start::Now, delete).await;
        clock.advance_ms(100 * 24 * 3_600_000);
        let removed = storage.prune(1_000).await.unwrap();
        assert!((JOBS / 2..JOBS).contains(&removed), "{table}: {removed} were removed");
        assert_eq!(storage.counts().await.unwrap().of(State::Deleted) as usize, JOBS - removed);
        assert_eq!(storage.prune(1_000).await.unwrap(), 0, "{table}");
        let later = job("later");
        let id = later.id;
        storage.enqueue(vec![later], "ann").await.unwrap();
        storage.delete(id, "ann").await.unwrap();
        clock.advance_ms(100 * 24 * 3_600_000);
        assert_eq!(storage.prune(1_000).await.unwrap(), 1, "{table}");
    }
}

#[tokio::test]
async fn an_export_goes_on_past_a_damaged_page_and_names_what_stands_on_it() {
    for table in ["jobs", "payloads"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
        let storage = damaged(&path, table, &clock, Start::Now, async |_, _| {}).await;
        let (mut jobs, mut skipped, mut cursor) = (HashSet::new(), Vec::new(), None::<String>);
        loop {
            let part = storage.export_readable(cursor.as_deref(), 30).await.unwrap();
            let ExportPart { items, next, skipped: unread } = part;
            assert!(items.len() + unread.len() <= 30);
            for record in items {
                if let Record::Job(job) = record {
                    assert!(jobs.insert(job.detail.job.id), "each comes once");
                }
            }
            skipped.extend(unread);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(jobs.len() + skipped.len(), JOBS, "{table}: {skipped:#?}");
        assert!((1..JOBS / 2).contains(&skipped.len()), "{table}: {skipped:#?}");
        let named = if table == "jobs" { "a job that was made at 2023-11-14T22:13:20.000Z: " } else { "job 0" };
        assert!(skipped.iter().all(|text| text.starts_with(named)), "{table}: {skipped:#?}");
        match storage.export(None, 1_000).await {
            Err(StorageError::Damaged(text)) => assert_eq!(text, skipped[0]),
            other => panic!("should be damaged, but is {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_export_goes_on_behind_a_stretch_of_which_nothing_is_left() {
    const MANY: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Arc::new(TestClock::at(Timestamp(1_700_000_000_000)));
    let open = || SqliteStorage::open(&path, SqliteOptions { clock: clock.clone(), ..SqliteOptions::host() }).unwrap();
    let storage = open();
    let mut ids = Vec::new();
    for _ in 0..MANY / 100 {
        let jobs = (0..100).map(|_| job("x")).collect::<Vec<_>>();
        ids.extend(jobs.iter().map(|job| job.id));
        storage.enqueue(jobs, "ann").await.unwrap();
        clock.advance_ms(1_000);
    }
    storage.close().await;
    drop(storage);
    // Around the same jobs, so that nothing is left that names those of the damaged stretch.
    for (name, leaves) in [("jobs", 1), ("payloads", 5), ("jobs_by_queue", 1), ("jobs_by_state", 1)] {
        damage_leaves(&path, name, leaves);
    }
    let storage = open();
    let found = storage.findings().await.unwrap();
    assert!(found[0].what.contains("the database file is damaged: "), "{found:#?}");
    let (mut jobs, mut skipped, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let part = storage.export_readable(cursor.as_deref(), 200).await.unwrap();
        jobs.extend(part.items.into_iter().filter_map(|record| match record {
            Record::Job(job) => Some(job.detail.job.id),
            _ => None,
        }));
        skipped.extend(part.skipped);
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(jobs.len() > MANY / 2, "{} of {MANY}: {skipped:#?}", jobs.len());
    assert!(jobs.contains(&ids[0]) && jobs.contains(&ids[MANY - 1]));
    assert_eq!(jobs.iter().collect::<HashSet<_>>().len(), jobs.len(), "each comes once");
    assert!(skipped.iter().any(|text| text.contains("of which nothing is left to be named")), "{skipped:#?}");
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
