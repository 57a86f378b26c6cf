//! PostgreSQL that is killed, cut off, replaced or damaged while it is used.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postgres_room::{Namespace, claim, in_the_end, job, listens, server, success};
use tokio::time::timeout;
use windlass_jobs::{
    api::{Digest, HandlerSpec, State},
    storage::{
        JobStore, ModuleStore, NewVersion, Signal, Storage, StorageError,
        postgres::{PostgresOptions, PostgresStorage},
    },
};
use windlass_test_services::{Postgres, Proxy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_and_started_again_has_lost_nothing_and_the_storage_goes_on() {
    let mut own = Postgres::start().unwrap();
    let storage = PostgresStorage::connect(&own.url(), PostgresOptions::host()).await.unwrap();
    let mut signals = storage.wake().unwrap().signals();
    listens(&storage).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (broken, mut breaks) = tokio::sync::mpsc::unbounded_channel();
    let mut enqueuers = Vec::new();
    for amount in [1, 1, 40] {
        let (storage, stop, broken) = (Arc::clone(&storage), Arc::clone(&stop), broken.clone());
        enqueuers.push(tokio::spawn(async move {
            let (mut acknowledged, mut unsure) = (BTreeSet::new(), BTreeSet::new());
            while !stop.load(Ordering::Relaxed) {
                let jobs = (0..amount).map(|_| job()).collect::<Vec<_>>();
                let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
                match storage.enqueue(jobs, "ann").await {
                    Ok(_) => acknowledged.extend(ids),
                    Err(StorageError::Unavailable(_)) => {
                        unsure.extend(ids);
                        let _ = broken.send(());
                        // Not to spin while the server is away.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            (acknowledged, unsure)
        }));
    }
    let id = server(&storage).await;
    let run = async |storage: &PostgresStorage| {
        let runs = claim(storage, id, 20).await;
        storage.settle(runs.iter().map(success).collect()).await.unwrap();
        runs.len()
    };
    let mut settled = 0;
    while settled < 100 {
        settled += run(&storage).await;
    }
    own.kill().unwrap();
    timeout(Duration::from_secs(30), breaks.recv()).await.unwrap().unwrap();
    own.restart().unwrap();
    while signals.try_recv().is_ok() {}
    // The listener comes back too, and has everybody look.
    timeout(Duration::from_secs(60), async { while signals.recv().await.unwrap() != Signal::Modules {} })
        .await
        .unwrap();
    let some_more = in_the_end(|| storage.enqueue((0..20).map(|_| job()).collect(), "ann")).await.len();
    stop.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut unsure) = (some_more, 0);
    for enqueuer in enqueuers {
        let (sure, others) = enqueuer.await.unwrap();
        for id in &sure {
            assert!(storage.job(*id).await.unwrap().is_some(), "{id} was acknowledged and is gone");
        }
        acknowledged += sure.len();
        unsure += others.len();
    }
    loop {
        let more = run(&storage).await;
        if more == 0 {
            break;
        }
        settled += more;
    }
    let counts = storage.counts().await.unwrap();
    assert_eq!(counts.of(State::Succeeded), u64::try_from(settled).unwrap(), "{counts:?}");
    assert_eq!(counts.0.len(), 1, "{counts:?}");
    assert!((acknowledged..=acknowledged + unsure).contains(&settled), "{acknowledged}, {unsure}, {settled}");
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
async fn a_storage_whose_connections_are_all_cut_goes_on_when_they_can_be_made_again() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    let proxy = Proxy::start(own.address()).unwrap();
    let storage = PostgresStorage::connect(&own.url_through(&proxy), PostgresOptions::host()).await.unwrap();
    for round in 1..=3 {
        proxy.cut();
        assert!(matches!(storage.enqueue(vec![job()], "ann").await, Err(StorageError::Unavailable(_))));
        proxy.resume();
        in_the_end(|| storage.enqueue(vec![job()], "ann")).await;
        assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), round);
    }
}

#[tokio::test]
async fn a_server_that_only_reads_after_a_failover_is_left_for_the_one_that_takes_writes() {
    let own = Postgres::options().set("fsync", "off").start().unwrap();
    let proxy = Proxy::start(own.address()).unwrap();
    let storage = PostgresStorage::connect(&own.url_through(&proxy), PostgresOptions::host()).await.unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
    // As it is with a name that still leads to the old primary: sessions that are open then stay with it.
    own.ask_in("postgres", "ALTER DATABASE windlass SET default_transaction_read_only = on").unwrap();
    proxy.cut();
    let _ = storage.enqueue(vec![job()], "ann").await;
    proxy.resume();
    let said = loop {
        match storage.enqueue(vec![job()], "ann").await {
            Err(StorageError::Unavailable(why)) if why.contains("only reads") => break why,
            Err(StorageError::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(said.contains("failover"), "{said}");
    own.ask_in("postgres", "ALTER DATABASE windlass SET default_transaction_read_only = off").unwrap();
    // The session that said so is gone, so the very next try comes to the one that takes writes.
    assert_eq!(storage.enqueue(vec![job()], "ann").await.unwrap().len(), 1);
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 2);
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
async fn jobs_that_lack_their_other_half_are_set_aside_and_stop_nobody() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..4).map(|_| job()).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    namespace.run(&format!("DELETE FROM @jobs WHERE id = '{}'", jobs[0].id)).await;
    namespace.run(&format!("UPDATE @jobs SET headers = 'no' WHERE id = '{}'", jobs[2].id)).await;
    let id = server(&storage).await;
    let runs = claim(&storage, id, 4).await;
    assert_eq!(runs.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [jobs[1].id, jobs[3].id]);
    storage.settle(runs.iter().map(success).collect()).await.unwrap();
    assert_eq!(storage.counts().await.unwrap().0, [(State::Succeeded, 2), (State::Failed, 2)].into());
}

#[tokio::test]
async fn a_damaged_job_that_cannot_be_set_aside_costs_no_other_one_and_is_set_aside_later() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let jobs = (0..2).map(|_| job()).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    namespace.run(&format!("UPDATE @jobs SET payload = '{{' WHERE id = '{}'", jobs[0].id)).await;
    // It can be claimed, and nothing can be written of its end.
    namespace.run("ALTER TABLE @ended ADD CONSTRAINT refused CHECK (false)").await;
    let id = server(&storage).await;
    let runs = claim(&storage, id, 2).await;
    assert_eq!(runs.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [jobs[1].id]);
    assert_eq!(storage.counts().await.unwrap().0, [(State::Processing, 2)].into());
    namespace.run("ALTER TABLE @ended DROP CONSTRAINT refused").await;
    assert!(claim(&storage, id, 1).await.is_empty());
    assert_eq!(storage.counts().await.unwrap().0, [(State::Processing, 1), (State::Failed, 1)].into());
}

#[tokio::test]
async fn a_damaged_version_is_named_and_one_that_lost_its_bytes_is_mended_by_deploying_it_again() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let spec: HandlerSpec = serde_json::from_str(r#"{"name": "bill", "mode": "sync"}"#).unwrap();
    let digest = Digest([1; 32]);
    let version = NewVersion {
        module: "shop".parse().unwrap(),
        digest,
        bytes: vec![1, 2, 3],
        version: String::new(),
        sdk: String::new(),
        handlers: vec![spec],
    };
    storage.add_version(version.clone()).await.unwrap();
    namespace.run("DELETE FROM @components").await;
    assert_eq!(storage.component(digest).await.unwrap(), None);
    assert!(storage.add_version(version).await.unwrap(), "the version itself is known");
    assert_eq!(storage.component(digest).await.unwrap(), Some(vec![1, 2, 3]));
    namespace.run("UPDATE @versions SET handlers = '['").await;
    let error = storage.version(&"shop".parse().unwrap(), digest).await.unwrap_err();
    assert!(matches!(&error, StorageError::Damaged(text) if text.contains(&digest.to_string())), "{error}");
    namespace.run("UPDATE @versions SET handlers = '[]', digest = 'short'").await;
    let error = storage.modules().await.unwrap_err();
    assert!(matches!(&error, StorageError::Damaged(text) if text.contains("digest")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_the_runtime_in_which_they_were_asked_for() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let two_at_once = async |storage: &PostgresStorage| {
        let (one, other) = tokio::join!(storage.counts(), storage.counts());
        assert_eq!(one.unwrap(), other.unwrap());
    };
    let theirs = Arc::clone(&storage);
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(two_at_once(&theirs));
    });
    tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await.unwrap();
    two_at_once(&storage).await;
}
