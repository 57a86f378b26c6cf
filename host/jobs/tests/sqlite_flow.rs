//! What only SQLite itself can show of jobs that hang on others: large families, many connections, damaged rows, files of the
//! version before, and that plain jobs pay for none of it.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tempfile::TempDir;
use windlass_jobs::{
    Claimed, Clock, Conditions, NewJob, Next, Settlement, Start, TestClock,
    api::{
        After, AuditEntry, ContinueOn, Digest, JobId, Json, LimitRule, Mode, OnConflict, QueueName, RetryPolicy,
        ServerId, State, Timestamp, UniqueRule, Usage,
    },
    storage::{
        AuditStore, ClaimRequest, JobStore, LimitStore, NewServer, Record, Refusal, ServerStore, StorageError,
        Transfer,
        sqlite::{SqliteOptions, SqliteStorage},
    },
};

struct Room {
    folder: TempDir,
    clock: Arc<TestClock>,
    storage: Arc<SqliteStorage>,
    server: ServerId,
}

impl Room {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::at(Timestamp(1_800_000_000_000)));
        let options = SqliteOptions { clock: clock.clone(), ..SqliteOptions::host() };
        let storage = SqliteStorage::open(folder.path().join("jobs.db"), options).unwrap();
        let server = register(&storage).await;
        Self { folder, clock, storage, server }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    /// The file, past the storage.
    fn raw(&self) -> Connection {
        let raw = Connection::open(self.path()).unwrap();
        raw.busy_timeout(Duration::from_secs(10)).unwrap();
        raw
    }

    async fn add(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.storage.enqueue(vec![job], "ann").await.unwrap();
        id
    }

    async fn claim(&self, free: u32) -> Vec<Claimed> {
        let request = ClaimRequest { server: self.server, queues: Vec::new(), sync_free: free, async_free: 0 };
        self.storage.claim(&request).await.unwrap()
    }

    async fn end(&self, run: &Claimed, next: Next) {
        let settlement = Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() };
        self.storage.settle(vec![settlement]).await.unwrap()[0].unwrap();
    }

    async fn stands(&self, id: JobId) -> (State, Option<String>) {
        let job = self.storage.job(id).await.unwrap().unwrap().job;
        (job.state, job.reason)
    }

    /// Promotes until nothing is left to do at once; gives in how many steps.
    async fn promote_all(&self, limit: usize) -> usize {
        let mut steps = 0;
        loop {
            steps += 1;
            if self.storage.promote(limit).await.unwrap().next_in_ms != Some(0) {
                return steps;
            }
        }
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

fn after(parent: JobId, on: ContinueOn) -> NewJob {
    let after = Some(After { jobs: vec![parent], on });
    NewJob { conditions: Conditions { after, ..Conditions::default() }, ..job() }
}

fn only(key: u8, on_conflict: OnConflict) -> NewJob {
    let states = BTreeSet::from([State::Scheduled, State::Awaiting, State::Enqueued, State::Processing]);
    let unique = Some(UniqueRule { key: Digest([key; 32]), states, period_ms: None, on_conflict });
    NewJob { conditions: Conditions { unique, ..Conditions::default() }, ..job() }
}

fn keyed(key: &str) -> NewJob {
    let limit_key = Some(key.parse().unwrap());
    NewJob { conditions: Conditions { limit_key, ..Conditions::default() }, ..job() }
}

fn success() -> Next {
    Next::Succeeded { result: None }
}

#[tokio::test]
async fn a_chain_of_ten_thousand_is_deleted_in_bounded_steps() {
    let room = Room::new().await;
    let first = room.add(job()).await;
    let (mut chain, mut last) = (Vec::new(), first);
    for _ in 0..10_000 {
        let next = after(last, ContinueOn::Success);
        last = next.id;
        chain.push(next);
    }
    room.storage.enqueue(chain, "ann").await.unwrap();
    room.storage.cancel(first, "ann").await.unwrap();
    assert_eq!(room.storage.counts().await.unwrap().of(State::Deleted), 101, "100 in the step itself");
    let first = room.storage.promote(1_000).await.unwrap();
    assert_eq!((first.moved, first.next_in_ms), (0, Some(0)));
    assert_eq!(room.storage.counts().await.unwrap().of(State::Deleted), 1_101, "1,000 by a promotion of 1,000");
    assert_eq!(room.promote_all(1_000).await, 9);
    assert_eq!(room.storage.counts().await.unwrap().0, [(State::Deleted, 10_001)].into());
    assert_eq!(room.stands(last).await, (State::Deleted, Some("parent-gone".into())));
}

#[tokio::test]
async fn a_hundred_thousand_children_are_released_in_bounded_steps() {
    let room = Room::new().await;
    let parent = room.add(NewJob { priority: 0, ..job() }).await;
    for _ in 0..10 {
        let children = (0..10_000).map(|_| after(parent, ContinueOn::Success)).collect();
        room.storage.enqueue(children, "ann").await.unwrap();
    }
    let run = room.claim(1).await.remove(0);
    room.end(&run, success()).await;
    assert_eq!(room.storage.counts().await.unwrap().of(State::Enqueued), 100);
    let promoted = room.storage.promote(1_000).await.unwrap();
    assert_eq!((promoted.moved, promoted.next_in_ms), (1_000, Some(0)));
    assert_eq!(room.promote_all(1_000).await, 99);
    assert_eq!(room.storage.counts().await.unwrap().of(State::Enqueued), 100_000);
    // A look for what keeps the parent does not go through all that has ended.
    room.clock.advance_ms(2 * 24 * 3_600_000);
    let plan: String = room
        .raw()
        .query_row(
            "EXPLAIN QUERY PLAN SELECT 1 FROM edges INDEXED BY edges_by_parent JOIN jobs ON jobs.seq = edges.child
             WHERE parent = x'00' AND state < 4 ORDER BY child DESC LIMIT 1",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("USING COVERING INDEX edges_by_parent (parent=?)"), "{plan}");
}

#[tokio::test]
async fn a_kept_parent_is_looked_at_once_and_no_more_until_a_child_ends() {
    let room = Room::new().await;
    let (kept, plain) = (room.add(job()).await, room.add(job()).await);
    let child = room.add(NewJob { start: Start::After(u64::MAX), ..after(kept, ContinueOn::Success) }).await;
    for run in room.claim(2).await {
        room.end(&run, success()).await;
    }
    room.clock.advance_ms(2 * 24 * 3_600_000);
    let to_be_removed = || {
        let count = "SELECT count(*) FROM jobs INDEXED BY jobs_ended WHERE state = 4 AND state >= 4 AND ties < 8";
        room.raw().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(to_be_removed(), 2);
    assert_eq!(room.storage.prune(1).await.unwrap(), 1, "there is more to do");
    assert_eq!(room.storage.prune(1).await.unwrap(), 1);
    assert_eq!((room.storage.prune(1).await.unwrap(), to_be_removed()), (0, 0));
    assert!(room.storage.job(plain).await.unwrap().is_none() && room.storage.job(kept).await.unwrap().is_some());
    room.storage.delete(child, "ann").await.unwrap();
    assert_eq!(to_be_removed(), 1);
    assert_eq!(room.storage.prune(1).await.unwrap(), 1);
    assert!(room.storage.job(kept).await.unwrap().is_none());
}

#[test]
fn of_many_connections_that_enqueue_a_key_at_once_one_makes_the_job() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    let start = Barrier::new(6);
    let made = thread::scope(|scope| {
        let threads = (0..6).map(|_| {
            scope.spawn(|| {
                let client = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
                start.wait();
                runtime().block_on(async {
                    let mut made = 0;
                    for key in 0..20 {
                        match client.enqueue(vec![job(), only(key, OnConflict::Reject)], "ann").await {
                            Ok(_) => made += 1,
                            Err(StorageError::Refused { position: 1, refusal: Refusal::Conflict { .. } }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    made
                })
            })
        });
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    assert_eq!(made, 20);
    let counts = runtime().block_on(storage.counts()).unwrap();
    assert_eq!(counts.of(State::Enqueued), 40, "what shared a call with a refused job is not there either");
}

#[tokio::test]
async fn a_refused_call_refuses_none_that_shares_its_commit() {
    let room = Room::new().await;
    room.add(only(1, OnConflict::Reject)).await;
    let calls = (0..60).map(|n| {
        let new = if n % 3 == 0 { only(1, OnConflict::Reject) } else { job() };
        room.storage.enqueue(vec![new], "ann")
    });
    let answers = futures::future::join_all(calls).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), n % 3 != 0, "{answer:?}");
    }
    assert_eq!(room.storage.counts().await.unwrap().of(State::Enqueued), 41);
}

#[tokio::test]
async fn a_plain_job_touches_nothing_of_what_binds_others() {
    let room = Room::new().await;
    let raw = room.raw();
    for table in ["conditions", "edges", "ripples", "unique_keys", "limits", "limit_lines", "held", "starts", "audit"] {
        for change in ["INSERT", "UPDATE", "DELETE"] {
            raw.execute_batch(&format!(
                "CREATE TRIGGER {table}_{change} BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, 'touched'); END"
            ))
            .unwrap();
        }
    }
    let scheduled = room.add(NewJob { start: Start::After(10), ..job() }).await;
    let jobs = (0..20).map(|_| job()).collect();
    room.storage.enqueue(jobs, "ann").await.unwrap();
    room.clock.advance_ms(10);
    assert_eq!(room.storage.promote(10).await.unwrap().moved, 1);
    let runs = room.claim(30).await;
    assert_eq!(runs.len(), 21);
    for (n, run) in runs.iter().enumerate() {
        let next = if n % 2 == 0 { success() } else { Next::Snooze { delay_ms: 5 } };
        room.end(run, next).await;
    }
    room.storage.delete(scheduled, "ann").await.unwrap();
    room.clock.advance_ms(2 * 24 * 3_600_000);
    assert_eq!(room.storage.prune(100).await.unwrap(), 11);
    // They refuse whatever does touch it.
    assert!(room.storage.enqueue(vec![only(1, OnConflict::Reject)], "ann").await.is_err());
}

#[tokio::test]
async fn a_database_of_the_version_before_keeps_its_jobs_and_takes_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let dump = include_str!("frozen/0.1/sqlite.sql");
    Connection::open(&path).unwrap().execute_batch(dump).unwrap();
    let version = |path| {
        let raw = Connection::open(path).unwrap();
        raw.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(version(&path), 2);
    let refused = SqliteStorage::open(&path, SqliteOptions { prepare: false, ..SqliteOptions::default() });
    match refused {
        Err(StorageError::Unusable(text)) => {
            assert!(text.contains("needs version 4: run `windlass storage migrate`"), "{text}");
        }
        other => panic!("should be unusable, but is {other:?}"),
    }
    let before: i64 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap();
    let storage = SqliteStorage::open(&path, SqliteOptions::host()).unwrap();
    assert_eq!(version(&path), 4);
    let mut jobs = storage.export(None, 1_000).await.unwrap().items;
    jobs.retain(|record| matches!(record, Record::Job(_)));
    assert_eq!(i64::try_from(jobs.len()).unwrap(), before);
    let Record::Job(old) = jobs.remove(0) else { panic!("only jobs are left") };
    let child = after(old.detail.job.id, ContinueOn::Finished);
    let id = child.id;
    storage.enqueue(vec![child, only(1, OnConflict::Reject), keyed("a")], "ann").await.unwrap();
    let relations = storage.relations(old.detail.job.id, None, 10).await.unwrap().unwrap();
    assert_eq!(relations.children.items[0].id, id);
}

#[tokio::test]
async fn a_new_file_has_the_schema_of_one_that_was_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let schema = |name: &str, dump: Option<&str>| {
        let path = folder.path().join(name);
        if let Some(dump) = dump {
            Connection::open(&path).unwrap().execute_batch(dump).unwrap();
        }
        drop(SqliteStorage::open(&path, SqliteOptions::default()).unwrap());
        let raw = Connection::open(&path).unwrap();
        let mut query = raw.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        rows.collect::<Result<BTreeMap<_, _>, _>>().unwrap()
    };
    let migrated = schema("old.db", Some(include_str!("frozen/0.1/sqlite.sql")));
    assert_eq!(schema("new.db", None), migrated);
}

#[tokio::test]
async fn a_damaged_child_fails_and_keeps_no_others_from_going_on() {
    let room = Room::new().await;
    let parent = room.add(NewJob { priority: 0, ..job() }).await;
    let mut children = Vec::new();
    for _ in 0..4 {
        children.push(room.add(after(parent, ContinueOn::Success)).await);
    }
    let grandchild = room.add(after(children[0], ContinueOn::Failure)).await;
    let raw = room.raw();
    let seq = |id: JobId| {
        let seq = raw.query_row("SELECT seq FROM jobs WHERE id = ?1", [id.0.as_bytes()], |row| row.get::<_, i64>(0));
        seq.unwrap()
    };
    raw.execute("DELETE FROM conditions WHERE seq = ?1", [seq(children[0])]).unwrap();
    raw.execute("UPDATE conditions SET start = '?' WHERE seq = ?1", [seq(children[1])]).unwrap();
    raw.execute("UPDATE jobs SET mode = 77 WHERE seq = ?1", [seq(children[2])]).unwrap();
    raw.execute("INSERT INTO ripples (parent, outcome, until) VALUES (x'00', 99, 0)", []).unwrap();
    let run = room.claim(1).await.remove(0);
    room.end(&run, success()).await;
    room.promote_all(100).await;
    assert_eq!(room.stands(children[3]).await, (State::Enqueued, None));
    let failed = room.storage.counts().await.unwrap().of(State::Failed);
    assert_eq!(failed, 3, "the others have failed");
    assert_eq!(room.stands(grandchild).await, (State::Enqueued, None), "what waits for a failure goes on");
}

#[tokio::test]
async fn a_damaged_limit_keeps_nothing_from_running_and_is_named_by_the_export() {
    let room = Room::new().await;
    room.storage
        .put_limit(&"queue:default".parse().unwrap(), LimitRule { concurrency: Some(1), rate: None })
        .await
        .unwrap();
    room.storage.put_limit(&"key:a".parse().unwrap(), LimitRule { concurrency: Some(1), rate: None }).await.unwrap();
    room.storage.enqueue((0..3).map(|_| keyed("a")).collect(), "ann").await.unwrap();
    assert_eq!(room.claim(9).await.len(), 1);
    room.raw().execute("UPDATE limits SET concurrency = -7 WHERE target = 'queue:default'", []).unwrap();
    room.raw().execute("UPDATE limits SET target = 'nothing' WHERE target = 'key:a'", []).unwrap();
    assert!(room.storage.limits().await.unwrap().is_empty());
    // What waited at a limit that cannot be read goes on as if it had been removed.
    room.promote_all(10).await;
    assert_eq!(room.claim(9).await.len(), 2);
    let part = room.storage.export_readable(None, 100).await.unwrap();
    assert!(part.skipped.iter().any(|skipped| skipped.contains("the limit of nothing")), "{:?}", part.skipped);
}

#[tokio::test]
async fn a_holder_that_cannot_be_read_stands_in_nobodys_way() {
    let room = Room::new().await;
    let holder = room.add(only(1, OnConflict::Reject)).await;
    room.raw().execute("UPDATE jobs SET state = 99 WHERE id = ?1", [holder.0.as_bytes()]).unwrap();
    let second = room.add(only(1, OnConflict::Reject)).await;
    assert!(room.storage.job(second).await.unwrap().is_some());
    assert!(room.storage.enqueue(vec![only(1, OnConflict::Reject)], "ann").await.is_err());
}

#[tokio::test]
async fn a_damaged_entry_of_the_audit_log_is_passed_over_and_named_by_the_export() {
    let room = Room::new().await;
    let entry = |status| AuditEntry {
        at: room.clock.now(),
        by: "api".into(),
        role: None,
        action: "POST /api/v1/jobs".into(),
        target: None,
        status,
        from: None,
    };
    room.storage.record_audit((200..205).map(entry).collect()).await.unwrap();
    room.raw().execute("UPDATE audit SET entry = '{' WHERE n = 2", []).unwrap();
    let page = room.storage.audit(None, 3).await.unwrap();
    assert_eq!(page.items.iter().map(|entry| entry.status).collect::<Vec<_>>(), [204, 203, 202]);
    let rest = room.storage.audit(page.next.as_deref(), 3).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].status, rest.next), (1, 200, None));
    let part = room.storage.export_readable(None, 100).await.unwrap();
    assert_eq!(part.items.len(), 4);
    assert!(part.skipped[0].contains("entry number 2 of the audit log"), "{:?}", part.skipped);
}

#[tokio::test]
async fn the_audit_log_is_kept_to_its_most_entries_in_bounded_steps() {
    let room = Room::new().await;
    let raw = room.raw();
    raw.execute(
        "INSERT INTO audit (at, entry) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 102500)
         SELECT ?1, '{}' FROM n",
        [room.clock.now().0],
    )
    .unwrap();
    let kept = || raw.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0)).unwrap();
    for left in [101_500, 100_500, 100_000] {
        let told = room.storage.prune(7).await.unwrap();
        assert_eq!((kept(), told), (left, if left > 100_000 { 7 } else { 0 }));
    }
    let first = raw.query_row("SELECT min(n) FROM audit", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(first, 2_501, "the oldest go first");
}

#[tokio::test]
async fn starts_are_remembered_no_longer_than_they_count_and_lines_no_longer_than_they_say_anything() {
    let room = Room::new().await;
    let rate = windlass_jobs::api::Rate { count: 5, period_ms: 60_000 };
    let rule = LimitRule { concurrency: Some(1), rate: Some(rate) };
    room.storage.put_limit(&"key:*".parse().unwrap(), rule).await.unwrap();
    room.storage.enqueue((0..50).map(|n| keyed(&format!("tenant {n}"))).collect(), "ann").await.unwrap();
    room.storage.enqueue((0..50).map(|n| keyed(&format!("tenant {n}"))).collect(), "ann").await.unwrap();
    let raw = room.raw();
    let rows =
        |table: &str| raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    let mut ended = 0;
    while ended < 100 {
        let runs = room.claim(100).await;
        assert!(!runs.is_empty(), "all can run one after the other");
        for run in &runs {
            room.end(run, success()).await;
        }
        ended += runs.len();
    }
    assert_eq!((rows("limit_lines"), rows("held"), rows("starts")), (0, 0, 50));
    room.clock.advance_ms(62_000);
    room.promote_all(10).await;
    assert_eq!(rows("starts"), 0);
}
