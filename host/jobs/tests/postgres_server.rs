//! What is particular to PostgreSQL: how it is opened, transactions of the application's, wake-ups between processes,
//! connections that break, and records that somebody has damaged.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use postgres_room::Namespace;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};
use uuid::Uuid;
use windlass_jobs::{
    Claimed, Client, NewJob, Next, Settlement, Start,
    api::{Digest, HandlerSpec, JobId, JobRequest, Json, Mode, QueueName, RetryPolicy, ServerId, State, Usage},
    storage::{
        ClaimRequest, JobStore, ModuleStore, NewServer, NewVersion, QueueStore, ServerStore, Severity, Signal, Storage,
        StorageError,
        postgres::{PostgresOptions, PostgresStorage},
    },
};
use windlass_test_services::{PgBouncer, Postgres, Proxy};

fn job() -> NewJob {
    NewJob {
        id: JobId(Uuid::now_v7()),
        module: "shop".parse().unwrap(),
        handler: "bill".parse().unwrap(),
        mode: Mode::Sync,
        queue: QueueName::default(),
        priority: 5,
        start: Start::Now,
        payload: r#"{"n":1}"#.parse().unwrap(),
        headers: BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 3,
        retry: RetryPolicy::default(),
        timeout_ms: None,
    }
}

async fn server(storage: &PostgresStorage) -> ServerId {
    let id = ServerId(Uuid::new_v4());
    let server = NewServer {
        id,
        host: "here".into(),
        pid: 7,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 4,
        async_slots: 4,
    };
    storage.register(server).await.unwrap();
    id
}

async fn claim(storage: &PostgresStorage, server: ServerId, free: u32) -> Vec<Claimed> {
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: free, async_free: 0 };
    storage.claim(&request).await.unwrap()
}

fn success(run: &Claimed) -> Settlement {
    let next = Next::Succeeded { result: Some(Json::null()) };
    Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() }
}

/// Tries until it works: for what comes back by itself.
async fn in_the_end<T, F: Future<Output = Result<T, StorageError>>>(mut work: impl FnMut() -> F) -> T {
    let tried = async {
        loop {
            match work().await {
                Ok(done) => return done,
                Err(StorageError::Unavailable(_)) => sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(60), tried).await.unwrap()
}

async fn refused(url: &str, options: PostgresOptions) -> String {
    PostgresStorage::connect(url, options).await.map(drop).unwrap_err().to_string()
}

#[tokio::test]
async fn what_keeps_a_database_from_being_opened_is_said_without_the_password() {
    let own = Postgres::start().unwrap();
    own.create_role("ann", "right").unwrap();
    let host = PostgresOptions::host;
    let wrong = refused(&own.url_as("ann", "wr0ng"), host()).await;
    assert!(wrong.contains("the password is wrong") && !wrong.contains("wr0ng"), "{wrong}");
    let missing = refused(&own.url_of("nowhere"), host()).await;
    assert!(missing.contains("`nowhere`") && missing.contains("no such database; create it first"), "{missing}");
    let none = refused(&own.url(), PostgresOptions::default()).await;
    assert!(none.contains("no windlass schema in the namespace `windlass` yet"), "{none}");
    let nobody = refused("postgres://ann:s3cret@127.0.0.1:1/jobs", host()).await;
    assert!(nobody.contains("cannot be reached") && !nobody.contains("s3cret"), "{nobody}");
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused_unless_it_says_that_it_can_be_read() {
    let namespace = Namespace::new();
    drop(namespace.open().await);
    namespace.run("INSERT INTO @schema_versions (version, readable_by) VALUES (1000, 1)").await;
    namespace.open().await.counts().await.unwrap();
    namespace.run("UPDATE @schema_versions SET readable_by = 999 WHERE version = 1000").await;
    let error = refused(&namespace.url(), PostgresOptions::host()).await;
    assert!(error.contains("has schema version 1000") && error.contains("use a newer windlass"), "{error}");
}

#[tokio::test]
async fn hosts_that_start_at_once_make_the_schema_once() {
    let namespace = Namespace::new();
    let open = || namespace.open();
    let (a, b, c) = tokio::join!(open(), open(), open());
    a.enqueue(vec![job()], "ann").await.unwrap();
    assert_eq!((b.counts().await.unwrap(), c.counts().await.unwrap().of(State::Enqueued)), (a.counts().await.unwrap(), 1));
}

#[tokio::test]
async fn a_job_is_enqueued_with_the_applications_own_data_or_not_at_all() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    namespace.run("CREATE TABLE @orders (id bigint)").await;
    let client = Client::new(Arc::clone(&storage) as _).acting_as("shop");
    let request = || {
        let mut request = JobRequest::new("shop/bill".parse().unwrap(), Json::null());
        (request.wait_for_handler, request.tags) = (true, vec!["paid".into()]);
        request
    };
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let insert = format!("INSERT INTO \"{}\".orders VALUES (7)", namespace.name());

    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert.clone())).execute(&mut *transaction).await.unwrap();
    let given_up = client.enqueue_in(&mut transaction, request()).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(client.get(given_up.id).await.unwrap(), None);
    assert!(client.counts().await.unwrap().0.is_empty());

    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut *transaction).await.unwrap();
    let jobs = client.enqueue_many_in(&mut transaction, vec![request(), request()]).await.unwrap();
    assert_eq!(client.get(jobs[0].id).await.unwrap(), None, "it is not committed yet");
    transaction.commit().await.unwrap();
    let detail = client.get(jobs[1].id).await.unwrap().unwrap();
    assert_eq!((detail.history[0].by.as_str(), detail.job.tags.as_slice()), ("shop", ["paid".to_owned()].as_slice()));
    assert_eq!(client.counts().await.unwrap().0, [(State::Awaiting, 2)].into());
}

#[tokio::test]
async fn a_committed_transaction_wakes_a_host_that_waits() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let mut signals = storage.wake().unwrap().signals();
    listens(&storage).await;
    while signals.try_recv().is_ok() {}
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    storage.enqueue_in(&mut transaction, &[job()], "ann").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(timeout(Duration::from_secs(5), signals.recv()).await.unwrap().unwrap(), Signal::Work);
}

/// Waits until notifications come through.
async fn listens(storage: &PostgresStorage) {
    let listening = async {
        while !storage.findings().await.unwrap().iter().all(|finding| !finding.what.contains("notifications have not")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), listening).await.unwrap();
}

#[tokio::test]
async fn a_host_that_found_nothing_is_told_by_another_process() {
    let namespace = Namespace::new();
    let host = namespace.open().await;
    let client = namespace.open().await;
    let mut signals = host.wake().unwrap().signals();
    listens(&host).await;
    let id = server(&host).await;
    for _ in 0..5 {
        assert!(claim(&host, id, 1).await.is_empty());
        // The wish to be told ends in a look of its own, so that nothing falls in between.
        while !is_wished(&namespace).await {
            sleep(Duration::from_millis(5)).await;
        }
        while signals.try_recv().is_ok() {}
        client.enqueue(vec![job()], "ann").await.unwrap();
        assert_eq!(timeout(Duration::from_millis(900), signals.recv()).await.unwrap().unwrap(), Signal::Work);
        let run = claim(&host, id, 1).await.remove(0);
        host.settle(vec![success(&run)]).await.unwrap();
    }
}

async fn is_wished(namespace: &Namespace) -> bool {
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let sql = format!("SELECT count(*) FROM \"{}\".wishes WHERE what = 1", namespace.name());
    sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap() > 0
}

#[tokio::test]
async fn cancels_versions_and_ends_are_told_to_other_processes() {
    let namespace = Namespace::new();
    let host = namespace.open().await;
    let other = namespace.open().await;
    let mut signals = host.wake().unwrap().signals();
    let mut ends = other.wake().unwrap().ends().unwrap();
    listens(&host).await;
    listens(&other).await;
    other.enqueue(vec![job()], "ann").await.unwrap();
    let id = server(&host).await;
    let run = claim(&host, id, 1).await.remove(0);
    while signals.try_recv().is_ok() {}
    other.cancel(run.fence.job, "ann").await.unwrap();
    let told = async { while signals.recv().await.unwrap() != Signal::Cancel(run.fence) {} };
    timeout(Duration::from_secs(5), told).await.unwrap();
    let spec: HandlerSpec = serde_json::from_str(r#"{"name": "bill", "mode": "sync"}"#).unwrap();
    let digest = Digest([1; 32]);
    let version = NewVersion {
        module: "shop".parse().unwrap(),
        digest,
        bytes: vec![1],
        version: String::new(),
        sdk: String::new(),
        handlers: vec![spec],
    };
    other.add_version(version).await.unwrap();
    other.activate(&"shop".parse().unwrap(), digest).await.unwrap();
    let told = async { while signals.recv().await.unwrap() != Signal::Modules {} };
    timeout(Duration::from_secs(5), told).await.unwrap();
    host.settle(vec![success(&run)]).await.unwrap();
    // Whoever waits is known to the others after a moment; until then it looks for itself.
    let told = async {
        loop {
            tokio::select! {
                ended = ends.recv() => if let Ok(ended) = ended { return ended },
                () = sleep(Duration::from_millis(100)) => {
                    host.enqueue(vec![job()], "ann").await.unwrap();
                    let run = claim(&host, id, 1).await.remove(0);
                    host.settle(vec![success(&run)]).await.unwrap();
                }
            }
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
}

#[tokio::test]
async fn through_pgbouncer_hosts_share_work_and_look_for_it_each_second() {
    let own = Postgres::start().unwrap();
    let bouncer = PgBouncer::start(&own).unwrap();
    let a = PostgresStorage::connect(&bouncer.url(), PostgresOptions::host()).await.unwrap();
    let b = PostgresStorage::connect(&bouncer.url(), PostgresOptions::host()).await.unwrap();
    assert!(a.findings().await.unwrap().iter().any(|finding| finding.what.contains("PgBouncer")));
    let (of_a, of_b) = (server(&a).await, server(&b).await);
    let mut signals = a.wake().unwrap().signals();
    b.enqueue((0..200).map(|_| job()).collect(), "ann").await.unwrap();
    timeout(Duration::from_secs(5), signals.recv()).await.unwrap().unwrap();
    let drain = async |storage: &PostgresStorage, server| {
        let mut done = 0;
        loop {
            let runs = claim(storage, server, 10).await;
            if runs.is_empty() {
                return done;
            }
            let settled = storage.settle(runs.iter().map(success).collect()).await.unwrap();
            done += settled.into_iter().filter(Result::is_ok).count();
        }
    };
    let (done_a, done_b) = tokio::join!(drain(&a, of_a), drain(&b, of_b));
    assert_eq!(done_a + done_b, 200);
    assert_eq!(b.counts().await.unwrap().0, [(State::Succeeded, 200)].into());
    b.prune(100).await.unwrap();
    assert_eq!(a.counts().await.unwrap().of(State::Succeeded), 200);
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_has_lost_nothing_and_the_storage_goes_on() {
    let mut own = Postgres::start().unwrap();
    let storage = PostgresStorage::connect(&own.url(), PostgresOptions::host()).await.unwrap();
    let mut signals = storage.wake().unwrap().signals();
    listens(&storage).await;
    let acknowledged = (0..50).map(|_| job()).collect::<Vec<_>>();
    storage.enqueue(acknowledged.clone(), "ann").await.unwrap();
    own.kill().unwrap();
    let down = storage.counts().await.unwrap_err();
    assert!(matches!(down, StorageError::Unavailable(_)), "{down}");
    own.restart().unwrap();
    let counts = in_the_end(|| storage.counts()).await;
    assert_eq!(counts.of(State::Enqueued), 50);
    while signals.try_recv().is_ok() {}
    // The listener comes back too, and has everybody look.
    timeout(Duration::from_secs(30), async { while signals.recv().await.unwrap() != Signal::Work {} }).await.unwrap();
    let id = server(&storage).await;
    let runs = claim(&storage, id, 100).await;
    assert_eq!(runs.len(), 50);
    storage.settle(runs.iter().map(success).collect()).await.unwrap();
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_told_within_seconds_and_left_behind_when_it_is_back() {
    let own = Postgres::start().unwrap();
    let proxy = Proxy::start(own.address()).unwrap();
    let storage = PostgresStorage::connect(&own.url_through(&proxy), PostgresOptions::host()).await.unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
    proxy.black_hole();
    let began = std::time::Instant::now();
    let late = storage.counts().await.unwrap_err();
    assert!(matches!(late, StorageError::Unavailable(_)), "{late}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    proxy.resume();
    assert_eq!(in_the_end(|| storage.counts()).await.of(State::Enqueued), 1);
}

#[tokio::test]
async fn a_damaged_job_is_named_when_asked_for_and_set_aside_when_its_turn_comes() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..3).map(|_| job()).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    let broken = jobs[1].id;
    namespace.run(&format!("UPDATE @jobs SET payload = '{{\"n\":' WHERE id = '{broken}'")).await;
    let error = storage.job(broken).await.unwrap_err();
    assert!(matches!(&error, StorageError::Damaged(text) if text.contains(&broken.to_string())), "{error}");
    let id = server(&storage).await;
    let claimed = claim(&storage, id, 3).await.iter().map(|run| run.fence.job).collect::<Vec<_>>();
    assert_eq!(claimed, [jobs[0].id, jobs[2].id]);
    assert!(claim(&storage, id, 3).await.is_empty());
    let counts = storage.counts().await.unwrap();
    assert_eq!(counts.0, [(State::Processing, 2), (State::Failed, 1)].into());
    namespace.run(&format!("UPDATE @jobs SET payload = '1' WHERE id = '{broken}'")).await;
    let shown = storage.job(broken).await.unwrap().unwrap().job;
    assert_eq!((shown.state, shown.reason.as_deref()), (State::Failed, Some("damaged")));
}

#[tokio::test]
async fn single_jobs_that_come_at_once_share_commits_and_each_gets_its_answer() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let twin = job();
    let mut tasks = Vec::new();
    for at in 0..100 {
        let storage = Arc::clone(&storage);
        let own = if at % 50 == 0 { twin.clone() } else { job() };
        tasks.push(tokio::spawn(async move { (own.id, storage.enqueue(vec![own], "ann").await.unwrap()) }));
    }
    let mut existing = 0;
    for task in tasks {
        let (id, answer) = task.await.unwrap();
        assert_eq!((answer.len(), answer[0].id), (1, id));
        existing += usize::from(answer[0].existing);
    }
    assert_eq!((existing, storage.counts().await.unwrap().of(State::Enqueued)), (1, 99));
}

#[tokio::test]
async fn what_is_counted_is_the_same_before_and_after_it_is_folded_in() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let id = server(&storage).await;
    storage.enqueue((0..30).map(|_| job()).collect(), "ann").await.unwrap();
    let runs = claim(&storage, id, 20).await;
    storage.settle(runs.iter().take(10).map(success).collect()).await.unwrap();
    let before = (storage.counts().await.unwrap(), storage.queues().await.unwrap());
    storage.prune(10).await.unwrap();
    assert_eq!((storage.counts().await.unwrap(), storage.queues().await.unwrap()), before);
    assert_eq!(before.0.0, [(State::Enqueued, 10), (State::Processing, 10), (State::Succeeded, 10)].into());
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let sql = format!("SELECT count(*) FROM \"{}\".changes", namespace.name());
    let left = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_warned_of() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    let careless = PostgresStorage::connect(&own.url(), PostgresOptions::host()).await.unwrap();
    let found = careless.findings().await.unwrap();
    assert!(found.iter().any(|finding| finding.severity == Severity::Warning && finding.what.contains("`fsync`")));
    storage.findings().await.unwrap();
}
