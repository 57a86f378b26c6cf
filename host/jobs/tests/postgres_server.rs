//! What is particular to PostgreSQL: how it is opened, transactions of the application's, wake-ups between processes,
//! and what keeps each step short.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{sync::Arc, time::Duration};

use postgres_room::{Namespace, claim, job, listens, server, success};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};
use windlass_jobs::{
    Claimed, Client, NewJob,
    api::{CounterQuery, Digest, Grain, HandlerSpec, JobFilter, JobRequest, Json, Progress, State, Timestamp},
    storage::{
        JobStore, MAX_COUNTER_ROWS, ModuleStore, NewVersion, Note, QueueStore, ServerStore, Severity, Signal, Storage,
        StorageError,
        postgres::{PostgresOptions, PostgresStorage},
    },
};
use windlass_test_services::{PgBouncer, Postgres};

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
async fn a_schema_that_names_no_version_is_refused_with_what_to_do_and_left_as_it_is() {
    let namespace = Namespace::new();
    drop(namespace.open().await);
    let zero = "DELETE FROM @schema_versions WHERE version > 1; UPDATE @schema_versions SET version = 0";
    for mark in [zero, "DELETE FROM @schema_versions"] {
        namespace.run(mark).await;
        for options in [PostgresOptions::host(), PostgresOptions::default()] {
            let error = refused(&namespace.url(), options).await;
            assert!(error.contains("names no version of windlass"), "{error}");
            assert!(error.contains("restore it from a backup, or give windlass another namespace"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_missing_or_damaged_is_found() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let (whole, bad) = (job(), job());
    let id = bad.id;
    storage.enqueue(vec![whole, bad], "ann").await.unwrap();
    let errors = async || {
        let found = storage.findings().await.unwrap();
        let errors = found.into_iter().filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.what).collect::<Vec<_>>()
    };
    assert!(errors().await.is_empty());
    namespace.run(&format!("UPDATE @jobs SET payload = 'nonsense' WHERE id = '{}'", id.0)).await;
    let found = errors().await;
    assert!(found[0].starts_with("1 of the newest 2 jobs cannot be read, such as: ") && found.len() == 1, "{found:?}");
    namespace.run("ALTER TABLE @wishes RENAME TO away").await;
    let found = errors().await;
    assert!(
        found[0].contains("tables that belong to windlass are not there: ") && found[0].contains("wishes"),
        "{found:?}"
    );
}

#[tokio::test]
async fn hosts_that_start_at_once_make_the_schema_once() {
    let namespace = Namespace::new();
    let open = || namespace.open();
    let (a, b, c) = tokio::join!(open(), open(), open());
    a.enqueue(vec![job()], "ann").await.unwrap();
    assert_eq!(
        (b.counts().await.unwrap(), c.counts().await.unwrap().of(State::Enqueued)),
        (a.counts().await.unwrap(), 1)
    );
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
async fn what_a_rolled_back_transaction_named_first_can_be_named_again() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let job = || NewJob { queue: "fresh".parse().unwrap(), ..job() };
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    for _ in 0..2 {
        storage.enqueue_in(&mut transaction, &[job()], "ann").await.unwrap();
    }
    transaction.rollback().await.unwrap();
    let kept = job();
    storage.enqueue(vec![kept.clone()], "ann").await.unwrap();
    assert_eq!(storage.job(kept.id).await.unwrap().unwrap().job.queue, kept.queue);
    assert_eq!(storage.queues().await.unwrap()[0].enqueued, 1);
}

#[tokio::test]
async fn a_transaction_that_stays_open_keeps_nobody_from_the_queue_that_it_named_first() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let job = || NewJob { queue: "fresh".parse().unwrap(), ..job() };
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1").execute(&mut *transaction).await.unwrap();
    storage.enqueue_in(&mut transaction, &[job()], "ann").await.unwrap();
    let other = namespace.open().await;
    timeout(Duration::from_secs(5), other.enqueue(vec![job()], "ann")).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 2);
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
    namespace.number("SELECT count(*) FROM @wishes WHERE what = 1").await > 0
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
    let log = own.log() + &bouncer.log();
    assert!(!log.contains("prepared statement"), "{log}");
}

#[tokio::test]
async fn through_pgbouncer_many_at_once_do_all_that_a_host_does() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    let bouncer = PgBouncer::start(&own).unwrap();
    let storage = PostgresStorage::connect(&bouncer.url(), PostgresOptions::host()).await.unwrap();
    let other = PostgresStorage::connect(&bouncer.url(), PostgresOptions::host()).await.unwrap();
    let work = async |storage: &PostgresStorage| {
        let id = server(storage).await;
        for round in 0..20 {
            let mut tagged = job();
            tagged.tags = vec!["red".into()];
            storage.enqueue(vec![job(), tagged.clone()], "ann").await.unwrap();
            let runs = claim(storage, id, 2).await;
            let notes =
                runs.iter().map(|run| Note { fence: run.fence, progress: Some(progress(round)), lines: vec![] });
            storage.note(notes.collect()).await.unwrap();
            for run in &runs {
                storage.put_checkpoint(run.fence, "step", &Json::null()).await.unwrap().unwrap();
            }
            storage.settle(runs.iter().map(success).collect()).await.unwrap();
            let filter = JobFilter { tag: Some("red".into()), ..Default::default() };
            assert!(!storage.jobs(&filter, None, 5).await.unwrap().items.is_empty());
            storage.job(tagged.id).await.unwrap().unwrap();
            storage.promote(10).await.unwrap();
            storage.heartbeat(id, Default::default()).await.unwrap();
        }
        while !claim(storage, id, 10).await.is_empty() {}
        storage.leave(id).await.unwrap();
    };
    tokio::join!(work(&storage), work(&storage), work(&other), work(&other));
    let counts = storage.counts().await.unwrap();
    assert_eq!(counts.0.values().sum::<u64>(), 160, "{counts:?}");
    let log = own.log() + &bouncer.log();
    assert!(!log.contains("prepared statement") && !log.contains("ERROR"), "{log}");
}

fn progress(percent: u8) -> Progress {
    Progress { percent: percent.into(), note: None, at: Timestamp(7) }
}

#[tokio::test]
async fn a_claim_gives_no_more_than_fits_into_an_answer_and_the_rest_is_called_for_at_once() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let big = |bytes: usize| NewJob { payload: format!("\"{}\"", "x".repeat(bytes)).parse().unwrap(), ..job() };
    let jobs = (0..20).map(|_| big(1024 * 1024)).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    let id = server(&storage).await;
    let mut signals = storage.wake().unwrap().signals();
    let mut claimed = Vec::new();
    let mut sizes = Vec::new();
    while claimed.len() < 20 {
        while signals.try_recv().is_ok() {}
        let runs = claim(&storage, id, 50).await;
        if claimed.len() + runs.len() < 20 {
            assert_eq!(signals.try_recv().unwrap(), Signal::Work);
        }
        sizes.push(runs.len());
        claimed.extend(runs.iter().map(|run| run.fence.job));
    }
    assert_eq!(sizes, [7, 7, 6], "7 of 1 MiB and two bytes fit into 8 MiB");
    assert_eq!(claimed, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    // One that is over the limit by itself is given alone.
    let jobs = [big(9 * 1024 * 1024), job()];
    storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    for expected in jobs {
        let runs = claim(&storage, id, 50).await;
        assert_eq!(runs.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [expected.id]);
    }
}

#[tokio::test]
async fn a_prune_stops_where_much_goes_with_the_jobs_and_says_that_there_is_more() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..5).map(|_| job()).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    for job in &jobs {
        storage.cancel(job.id, "ann").await.unwrap();
    }
    namespace.run("INSERT INTO @log_sizes SELECT seq, 640000 FROM @ended").await;
    namespace.run("UPDATE @ended SET at = 0").await;
    let left = async || namespace.number("SELECT count(*) FROM @jobs").await;
    assert_eq!((storage.prune(100).await.unwrap(), left().await), (100, 3), "20,000 lines each");
    assert_eq!((storage.prune(100).await.unwrap(), left().await), (100, 1));
    assert_eq!((storage.prune(100).await.unwrap(), left().await), (1, 0));
}

#[tokio::test]
async fn what_many_steps_append_is_folded_in_without_a_host() {
    let namespace = Namespace::new();
    let options = PostgresOptions { migrate: true, ..PostgresOptions::default() };
    let storage = PostgresStorage::connect(&namespace.url(), options).await.unwrap();
    for _ in 0..2_000 {
        storage.enqueue((0..17).map(|_| job()).collect(), "ann").await.unwrap();
    }
    let folded = async {
        while namespace.number("SELECT count(*) FROM @changes").await > 100 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), folded).await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 34_000);
}

#[tokio::test]
async fn a_paused_queue_is_passed_over_among_very_many() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..3_000).map(|n| NewJob { queue: format!("q{n}").parse().unwrap(), ..job() }).collect::<Vec<_>>();
    for jobs in jobs.chunks(1_000) {
        storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    }
    storage.set_paused(&"q0".parse().unwrap(), true).await.unwrap();
    let id = server(&storage).await;
    let ids = |runs: &[Claimed]| runs.iter().map(|run| run.fence.job).collect::<Vec<_>>();
    let first = jobs[1..101].iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(&claim(&storage, id, 100).await), first);
    storage.set_paused(&"q0".parse().unwrap(), false).await.unwrap();
    assert_eq!(ids(&claim(&storage, id, 2).await), [jobs[0].id, jobs[101].id]);
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
    assert_eq!(namespace.number("SELECT count(*) FROM @changes").await, 0);
}

#[tokio::test]
async fn counters_of_more_handlers_than_fit_are_refused() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let many = format!(
        "INSERT INTO @handlers (module, name) SELECT 'many', 'h' || n FROM generate_series(1, {MAX_COUNTER_ROWS}) AS n;
         INSERT INTO @handlers (module, name) VALUES ('shop', 'bill');
         INSERT INTO @counters SELECT 0, 60000, n, 1, 0, 0, 0, 0, 0, 0, 0 FROM @handlers"
    );
    namespace.run(&many).await;
    let (from, before) = (Timestamp(60_000), Timestamp(120_000));
    let all = CounterQuery { grain: Grain::Minute, from, before, module: None, handler: None };
    match storage.counters(&all).await {
        Err(StorageError::TooLarge(text)) => {
            assert!(text.contains("more than 100000 rows: ask for a module"), "{text}");
        }
        other => panic!("it should be refused, but has {:?} rows", other.map(|rows| rows.len())),
    }
    let shop = CounterQuery { module: Some("shop".parse().unwrap()), ..all.clone() };
    assert_eq!(storage.counters(&shop).await.unwrap().len(), 1);
    let many = CounterQuery { module: Some("many".parse().unwrap()), ..all };
    assert_eq!(storage.counters(&many).await.unwrap().len(), MAX_COUNTER_ROWS);
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
