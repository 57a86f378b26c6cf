//! What PostgreSQL took but did not answer, what an older copy of it brings back, and transactions that stay open.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{sync::Arc, time::Duration};

use postgres_room::{Namespace, claim, in_the_end, job, server, success};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::{sleep, timeout};
use windlass_jobs::{
    NewJob, Start,
    api::{Digest, HandlerSpec, JobFilter, State},
    storage::{
        ClaimRequest, JobStore, ModuleStore, NewVersion, QueueStore, ServerStore, Storage, StorageError, Superseded,
        Vitals,
        postgres::{PostgresOptions, PostgresStorage},
    },
};
use windlass_test_services::{PgBouncer, Postgres, Proxy};

fn version(number: u8, handlers: &[&str]) -> NewVersion {
    let spec = |name: &&str| serde_json::from_str::<HandlerSpec>(&format!(r#"{{"name": "{name}", "mode": "sync"}}"#));
    NewVersion {
        module: "shop".parse().unwrap(),
        digest: Digest([number; 32]),
        bytes: vec![number],
        version: String::new(),
        sdk: String::new(),
        handlers: handlers.iter().map(|name| spec(name).unwrap()).collect(),
    }
}

async fn activate(storage: &PostgresStorage, version: &NewVersion) {
    storage.add_version(version.clone()).await.unwrap();
    assert!(storage.activate(&version.module, version.digest).await.unwrap());
}

fn number(own: &Postgres, sql: &str) -> i64 {
    own.ask(sql).unwrap()[0][0].as_ref().unwrap().parse().unwrap()
}

/// Waits until a statement gives this number.
async fn until(own: &Postgres, sql: &str, expected: i64) {
    let there = async {
        while number(own, sql) != expected {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), there).await.unwrap();
}

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";

/// Has a claim take effect and its answer be lost.
async fn lose_a_claim(own: &Postgres, proxy: &Proxy, storage: &Arc<PostgresStorage>, request: &ClaimRequest) {
    let mut blocker = PgConnection::connect(&own.url()).await.unwrap();
    let mut lock = blocker.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE windlass.changes IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let running = number(own, "SELECT count(*) FROM windlass.live WHERE state = 3");
    let claiming = tokio::spawn({
        let (storage, request) = (Arc::clone(storage), request.clone());
        async move { storage.claim(&request).await }
    });
    until(own, WAITING, 1).await;
    proxy.stall();
    lock.rollback().await.unwrap();
    until(own, "SELECT count(*) FROM windlass.live WHERE state = 3", running + 1).await;
    proxy.cut();
    let lost = timeout(Duration::from_secs(30), claiming).await.unwrap().unwrap();
    assert!(matches!(lost, Err(StorageError::Unavailable(_))), "{lost:?}");
    proxy.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_claim_whose_answer_was_lost_are_handed_over_again_with_the_same_fence_and_once() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    let proxy = Proxy::start(own.address()).unwrap();
    let storage = PostgresStorage::connect(&own.url_through(&proxy), PostgresOptions::host()).await.unwrap();
    let id = server(&storage).await;
    // The statement is known to PostgreSQL from here on, so that it needs no answer to go on with it.
    assert!(claim(&storage, id, 1).await.is_empty());
    let jobs = [job(), job()];
    storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 1, async_free: 0 };
    lose_a_claim(&own, &proxy, &storage, &request).await;
    let again = in_the_end(|| storage.claim(&request)).await;
    assert_eq!(again.iter().map(|run| (run.fence.job, run.fence.run)).collect::<Vec<_>>(), [(jobs[0].id, 1)]);
    let next = claim(&storage, id, 5).await;
    assert_eq!(next.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [jobs[1].id]);
    assert!(claim(&storage, id, 5).await.is_empty(), "what was handed over is not handed over once more");
    assert_eq!(storage.settle(vec![success(&again[0])]).await.unwrap(), [Ok(State::Succeeded)]);
    assert_eq!(storage.job(jobs[0].id).await.unwrap().unwrap().job.attempt, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_claim_waits_until_there_is_a_slot_of_its_kind() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    let proxy = Proxy::start(own.address()).unwrap();
    let storage = PostgresStorage::connect(&own.url_through(&proxy), PostgresOptions::host()).await.unwrap();
    let id = server(&storage).await;
    assert!(claim(&storage, id, 1).await.is_empty());
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 1, async_free: 0 };
    lose_a_claim(&own, &proxy, &storage, &request).await;
    let other_kind = ClaimRequest { sync_free: 0, async_free: 3, ..request.clone() };
    assert!(in_the_end(|| storage.claim(&other_kind)).await.is_empty());
    assert_eq!(storage.claim(&request).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_older_copy_of_the_data_lets_no_late_writer_in() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let first = server(&storage).await;
    let late = claim(&storage, first, 1).await.remove(0);
    storage.put_checkpoint(late.fence, "step", &"1".parse().unwrap()).await.unwrap().unwrap();
    // As a copy from before the server came has it: another one gets its number, and the run's comes anew.
    namespace.run("DELETE FROM @servers; ALTER TABLE @servers ALTER n RESTART").await;
    namespace.run("UPDATE @live SET state = 2, run = 0, attempt = 0, server = NULL, started_at = NULL").await;
    let second = server(&storage).await;
    let now = claim(&storage, second, 1).await.remove(0);
    assert_eq!((now.fence.job, now.fence.run), (late.fence.job, late.fence.run));
    assert_eq!(namespace.number("SELECT max(n)::bigint FROM @servers").await, 1, "the number came anew as well");
    assert_eq!(storage.settle(vec![success(&late)]).await.unwrap(), [Err(Superseded)]);
    let late_step = storage.put_checkpoint(late.fence, "step", &"2".parse().unwrap()).await.unwrap();
    assert_eq!(late_step, Err(Superseded));
    assert_eq!(storage.settle(vec![success(&now)]).await.unwrap(), [Ok(State::Succeeded)]);
}

#[tokio::test]
async fn an_older_copy_of_the_data_gives_no_job_to_another_handler_or_queue() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let first = NewJob { queue: "first".parse().unwrap(), ..job() };
    storage.enqueue(vec![first.clone(), job()], "ann").await.unwrap();
    let id = server(&storage).await;
    claim(&storage, id, 2).await;
    storage.job(first.id).await.unwrap().unwrap();
    // As a copy has it in which others came first.
    namespace.run("UPDATE @handlers SET name = 'send'; UPDATE @queues SET name = 'other' WHERE name = 'first'").await;
    let shown = storage.job(first.id).await.unwrap().unwrap().job;
    assert_eq!((shown.handler.as_str(), shown.queue.as_str()), ("send", "other"));
    let new = NewJob { id: job().id, ..first };
    storage.enqueue(vec![new.clone()], "ann").await.unwrap();
    let run = claim(&storage, id, 1).await.remove(0);
    assert_eq!((run.fence.job, run.handler, run.queue), (new.id, new.handler, new.queue));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_transactions_are_serializable_by_default_changes_nothing() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    own.ask_in("postgres", "ALTER DATABASE windlass SET default_transaction_isolation = serializable").unwrap();
    let bouncer = PgBouncer::start(&own).unwrap();
    for url in [own.url(), bouncer.url()] {
        let storage = PostgresStorage::connect(&url, PostgresOptions::host()).await.unwrap();
        let work = async |storage: &PostgresStorage| {
            let id = server(storage).await;
            for _ in 0..30 {
                storage.enqueue((0..3).map(|_| job()).collect(), "ann").await.unwrap();
                let runs = claim(storage, id, 3).await;
                storage.settle(runs.iter().map(success).collect()).await.unwrap();
            }
        };
        tokio::join!(work(&storage), work(&storage), work(&storage), work(&storage));
        let found = storage.findings().await.unwrap();
        assert!(found.iter().any(|finding| finding.what.contains("serializable")), "{found:?}");
    }
    let log = own.log();
    assert!(!log.contains("could not serialize"), "{log}");
}

#[tokio::test]
async fn a_transaction_that_stays_open_with_a_job_without_handler_stops_no_activation_and_nobody_else() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let waiting = || NewJob { start: Start::WithHandler, ..job() };
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let theirs = waiting();
    storage.enqueue_in(&mut transaction, std::slice::from_ref(&theirs), "ann").await.unwrap();
    let at_once = Duration::from_secs(5);
    timeout(at_once, activate(&storage, &version(1, &["bill"]))).await.unwrap();
    let ours = waiting();
    timeout(at_once, storage.enqueue(vec![ours.clone()], "ann")).await.unwrap().unwrap();
    assert_eq!(storage.job(ours.id).await.unwrap().unwrap().job.state, State::Enqueued);
    transaction.commit().await.unwrap();
    assert_eq!(storage.job(theirs.id).await.unwrap().unwrap().job.state, State::Awaiting);
    assert_eq!(storage.promote(10).await.unwrap().moved, 1, "the activation did not see it");
    let moved = storage.job(theirs.id).await.unwrap().unwrap();
    assert_eq!((moved.job.state, moved.history.last().unwrap().by.as_str()), (State::Enqueued, "activation"));
}

#[tokio::test]
async fn a_job_that_another_transaction_holds_holds_up_no_other_one() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let held = job();
    storage.enqueue_in(&mut transaction, std::slice::from_ref(&held), "ann").await.unwrap();
    let twin = tokio::spawn({
        let (storage, held) = (Arc::clone(&storage), held.clone());
        async move { storage.enqueue(vec![held], "bob").await }
    });
    let mut others = Vec::new();
    for _ in 0..20 {
        let storage = Arc::clone(&storage);
        others.push(tokio::spawn(async move { storage.enqueue(vec![job()], "ann").await }));
    }
    for other in others {
        timeout(Duration::from_secs(8), other).await.unwrap().unwrap().unwrap();
    }
    let refused = timeout(Duration::from_secs(8), twin).await.unwrap().unwrap();
    assert!(matches!(&refused, Err(StorageError::Unavailable(why)) if why.contains("another transaction")));
    transaction.commit().await.unwrap();
    assert!(storage.enqueue(vec![held], "bob").await.unwrap()[0].existing);
}

#[tokio::test]
async fn jobs_with_tags_are_enqueued_by_serializable_transactions_side_by_side() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let tagged = || NewJob { tags: vec!["paid".into()], ..job() };
    storage.enqueue(vec![tagged()], "ann").await.unwrap();
    let (mut one, mut other) = (
        PgConnection::connect(namespace.base()).await.unwrap(),
        PgConnection::connect(namespace.base()).await.unwrap(),
    );
    let serializable = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    let (mut one, mut other) =
        (one.begin_with(serializable).await.unwrap(), other.begin_with(serializable).await.unwrap());
    storage.enqueue_in(&mut one, &[tagged()], "ann").await.unwrap();
    storage.enqueue_in(&mut other, &[tagged()], "ann").await.unwrap();
    one.commit().await.unwrap();
    other.commit().await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 3);
}

#[tokio::test]
async fn a_connection_outside_of_a_transaction_is_refused() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let refused = storage.enqueue_in(&mut connection, &[job()], "ann").await.unwrap_err().to_string();
    assert!(refused.contains("not in a transaction"), "{refused}");
    assert!(storage.counts().await.unwrap().0.is_empty());
    // One that the application began in its own words counts.
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
    storage.enqueue_in(&mut connection, &[job()], "ann").await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 1);
}

#[tokio::test]
async fn looks_that_hang_keep_no_server_from_beating_or_settling() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let id = server(&storage).await;
    let run = claim(&storage, id, 1).await.remove(0);
    let mut blocker = PgConnection::connect(namespace.base()).await.unwrap();
    let mut lock = blocker.begin().await.unwrap();
    let sql = format!("LOCK TABLE \"{}\".tally IN ACCESS EXCLUSIVE MODE", namespace.name());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *lock).await.unwrap();
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (one, other) = (Arc::clone(&storage), Arc::clone(&storage));
        looks.spawn(async move {
            let filter = JobFilter { state: Some(State::Processing), ..JobFilter::default() };
            let _ = one.jobs(&filter, None, 1).await;
        });
        looks.spawn(async move {
            let _ = other.queues().await;
        });
    }
    let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
         WHERE NOT l.granted AND c.oid = '@tally'::regclass";
    while namespace.number(waiting).await == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let soon = Duration::from_millis(1_500);
    timeout(soon, storage.heartbeat(id, Vitals::default())).await.unwrap().unwrap();
    timeout(soon, storage.settle(vec![success(&run)])).await.unwrap().unwrap();
    looks.shutdown().await;
    lock.rollback().await.unwrap();
}

#[tokio::test]
async fn a_step_that_is_given_up_leaves_nothing_running_for_long() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let mut blocker = PgConnection::connect(namespace.base()).await.unwrap();
    let mut lock = blocker.begin().await.unwrap();
    let sql = format!("LOCK TABLE \"{}\".jobs IN ACCESS EXCLUSIVE MODE", namespace.name());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *lock).await.unwrap();
    let error = timeout(Duration::from_secs(9), storage.enqueue(vec![job()], "ann")).await.unwrap().unwrap_err();
    assert!(matches!(&error, StorageError::Unavailable(why) if why.contains("another transaction")), "{error}");
    let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
         WHERE NOT l.granted AND c.oid = '@jobs'::regclass";
    assert_eq!(namespace.number(waiting).await, 0);
    lock.rollback().await.unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_keep_every_text_is_refused() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    own.ask_in("postgres", "CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
        .unwrap();
    let refused = PostgresStorage::connect(&own.url_of("old"), PostgresOptions::host()).await.map(drop).unwrap_err();
    let said = refused.to_string();
    assert!(matches!(refused, StorageError::Unusable(_)) && said.contains("LATIN1") && said.contains("UTF8"), "{said}");
}

#[tokio::test]
async fn what_the_database_refuses_for_good_is_not_called_unavailable_and_holds_up_no_other_job() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    namespace.run("ALTER TABLE @jobs ADD CONSTRAINT refused CHECK (payload <> '13')").await;
    let (bad, good) = (NewJob { payload: "13".parse().unwrap(), ..job() }, job());
    let (refused, stored) = tokio::join!(storage.enqueue(vec![bad], "ann"), storage.enqueue(vec![good], "ann"));
    assert!(!matches!(refused.unwrap_err(), StorageError::Unavailable(_)));
    stored.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 1);
}

#[tokio::test]
async fn queues_that_are_empty_leave_no_tallies_behind() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..20).map(|n| NewJob { queue: format!("q{n}").parse().unwrap(), ..job() }).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    for job in &jobs {
        storage.delete(job.id, "ann").await.unwrap();
    }
    storage.prune(100).await.unwrap();
    assert_eq!(namespace.number("SELECT count(*) FROM @tally").await, 20);
    namespace.run("UPDATE @ended SET at = 0").await;
    storage.prune(100).await.unwrap();
    assert_eq!(namespace.number("SELECT count(*) FROM @tally").await, 0);
    assert!(storage.counts().await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_job_on_a_damaged_page_is_set_aside_and_stops_no_claim() {
    let mut own = Postgres::options().set("fsync", "off").start().unwrap();
    let storage = PostgresStorage::connect(&own.url(), PostgresOptions::host()).await.unwrap();
    // Texts that do not compress stand in pages of their own.
    let noise = (0..1_000).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect::<String>();
    let broken = NewJob { payload: format!("\"{noise}\"").parse().unwrap(), ..job() };
    let whole = [job(), job()];
    storage.enqueue(vec![whole[0].clone(), broken.clone(), whole[1].clone()], "ann").await.unwrap();
    let id = server(&storage).await;
    own.ask("CHECKPOINT").unwrap();
    let path = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(reltoastrelid)
         FROM pg_class WHERE oid = 'windlass.jobs'::regclass";
    let path = own.ask(path).unwrap()[0][0].clone().unwrap();
    own.kill().unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0; usize::try_from(length).unwrap()]).unwrap();
    own.restart().unwrap();
    let request = ClaimRequest { server: id, queues: Vec::new(), sync_free: 5, async_free: 0 };
    let runs = in_the_end(|| storage.claim(&request)).await;
    assert_eq!(runs.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [whole[0].id, whole[1].id]);
    assert_eq!(storage.counts().await.unwrap().0, [(State::Processing, 2), (State::Failed, 1)].into());
    assert!(matches!(storage.job(broken.id).await, Err(StorageError::Damaged(_))));
}
