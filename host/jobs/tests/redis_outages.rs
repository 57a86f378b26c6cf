//! Redis that is killed, stopped, cut off and replaced while it is used.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    rc::Rc,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use redis_help::{claim, claim_all, job, request, server, success};
use windlass_jobs::{
    NewJob, TestClock,
    api::{JobId, State},
    conformance::{self, Opened, run},
    storage::{
        JobStore as _, Signal, Storage, StorageError,
        redis::{RedisOptions, RedisStorage},
    },
};
use windlass_test_services::{Proxy, Redis, RedisCluster, RedisSentinel};

mod redis_help;

/// Options that notice an outage soon.
fn impatient() -> RedisOptions {
    RedisOptions {
        connect_timeout: Duration::from_millis(500),
        answer_timeout: Duration::from_millis(500),
        ..RedisOptions::default()
    }
}

/// Repeats a call until the storage answers, for a minute at most.
async fn until_answered<T>(call: impl AsyncFn() -> Result<T, StorageError>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(StorageError::Unavailable(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn enqueue(storage: &RedisStorage, job: &NewJob) {
    until_answered(async || storage.enqueue(vec![job.clone()], "ann").await).await;
}

/// Claims and settles until the jobs have all succeeded.
async fn drain(storage: &RedisStorage, jobs: &[JobId]) {
    let host = server_id(storage).await;
    let mut left = jobs.iter().copied().collect::<HashSet<_>>();
    while !left.is_empty() {
        for run in until_answered(async || storage.claim(&request(host, 100)).await).await {
            until_answered(async || success(storage, &run).await).await;
            left.remove(&run.fence.job);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_loses_nothing_and_its_clients_go_on() {
    let mut redis = Redis::start().unwrap();
    let storage = RedisStorage::connect(&redis.url(), impatient()).await.unwrap();
    let mut signals = Storage::wake(&*storage).unwrap().signals();
    let jobs = (0..200).map(|_| job()).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    let host = server(&*storage).await;
    let runs = claim(&*storage, host, 50).await;
    redis.kill().unwrap();
    let refused = storage.counts().await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    while signals.try_recv().is_ok() {}
    redis.restart().unwrap();
    for run in &runs {
        assert_eq!(
            until_answered(async || success(&*storage, run).await).await,
            State::Succeeded,
            "the run is still this server's"
        );
    }
    // Whoever waited for work is told to look, since it may have missed some.
    tokio::time::timeout(Duration::from_secs(30), async { while signals.recv().await.unwrap() != Signal::Work {} })
        .await
        .unwrap();
    let left = jobs.iter().map(|job| job.id).filter(|id| runs.iter().all(|run| run.fence.job != *id));
    drain(&storage, &left.collect::<Vec<_>>()).await;
    assert_eq!(storage.counts().await.unwrap().of(State::Succeeded), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_claim_whose_answer_was_lost_are_handed_over_by_the_next_one() {
    let redis = Redis::start().unwrap();
    let storage = RedisStorage::connect(&redis.url(), impatient()).await.unwrap();
    let host = server(&*storage).await;
    let new = job();
    storage.enqueue(vec![new.clone()], "ann").await.unwrap();
    redis.suspend().unwrap();
    let lost = storage.claim(&request(host, 9)).await;
    assert!(matches!(lost, Err(StorageError::Unavailable(_))), "{lost:?}");
    redis.resume().unwrap();
    let mut runs = Vec::new();
    while runs.is_empty() {
        runs = until_answered(async || storage.claim(&request(host, 9)).await).await;
    }
    assert_eq!(runs.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [new.id]);
    assert_eq!(storage.job(new.id).await.unwrap().unwrap().job.state, State::Processing);
    assert_eq!(runs[0].attempt, 1, "the try that nobody made does not count");
    success(&*storage, &runs[0]).await.unwrap();
    assert!(claim(&*storage, host, 9).await.is_empty(), "it is not handed over once more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_jobs_of_lost_answers_are_handed_over_a_part_at_a_time() {
    let redis = Redis::start().unwrap();
    let storage = RedisStorage::connect(&redis.url(), impatient()).await.unwrap();
    let host = server(&*storage).await;
    let payload = format!("\"{}\"", "x".repeat(256 * 1024));
    let jobs = (0..70).map(|_| NewJob { payload: payload.parse().unwrap(), ..job() }).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    redis.suspend().unwrap();
    for _ in 0..2 {
        let lost = storage.claim(&request(host, 100)).await;
        assert!(matches!(lost, Err(StorageError::Unavailable(_))), "{lost:?}");
    }
    redis.resume().unwrap();
    let mut left = jobs.iter().map(|job| job.id).collect::<HashSet<_>>();
    while !left.is_empty() {
        let runs = until_answered(async || storage.claim(&request(host, 100)).await).await;
        assert!(runs.len() <= 31, "{} jobs of a quarter of a MiB in one answer", runs.len());
        for run in runs {
            assert_eq!(run.attempt, 1);
            assert!(left.remove(&run.fence.job), "it is handed over once");
        }
    }
}

/// Answers every command by a function of it, on a free port, for as long as the process lives.
fn liar(answer: fn(&[String], u16) -> String, named: u16) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut next = || lines.next().and_then(Result::ok);
                while let Some(count) = next().and_then(|line| line.strip_prefix('*')?.parse::<usize>().ok()) {
                    let words = (0..count).map_while(|_| next().and_then(|_| next())).collect::<Vec<_>>();
                    if (&stream).write_all(answer(&words, named).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_names_a_former_master_is_passed_over() {
    let sentinel = |words: &[String], named: u16| match words[0].as_str() {
        "SENTINEL" => format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{named}\r\n", named.to_string().len()),
        _ => "+OK\r\n".to_owned(),
    };
    let master = Redis::start().unwrap();
    let former = Redis::options().set("replicaof", &format!("127.0.0.1 {}", master.plain_port())).start().unwrap();
    let (old, gone, new) =
        (liar(sentinel, former.plain_port()), liar(sentinel, 1), liar(sentinel, master.plain_port()));
    let url = format!("redis+sentinel://127.0.0.1:{old},127.0.0.1:{gone},127.0.0.1:{new}/mymaster");
    let storage = RedisStorage::connect(&url, impatient()).await.unwrap();
    let job = job();
    storage.enqueue(vec![job.clone()], "ann").await.unwrap();
    drain(&storage, &[job.id]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_cut_off_from_its_cluster_is_passed_over() {
    let cut_off = |words: &[String], _: u16| match words.get(1).map(String::as_str) {
        Some("INFO") => "$20\r\ncluster_state:fail\r\n\r\n".to_owned(),
        Some("KEYSLOT") => ":1\r\n".to_owned(),
        Some("SLOTS") => "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n".to_owned(),
        _ => "+OK\r\n".to_owned(),
    };
    let cluster = RedisCluster::start().unwrap();
    let others = cluster.url();
    let others = others.strip_prefix("redis+cluster://").unwrap();
    let url = format!("redis+cluster://127.0.0.1:{},{others}", liar(cut_off, 0));
    let storage = RedisStorage::connect(&url, impatient()).await.unwrap();
    let job = job();
    storage.enqueue(vec![job.clone()], "ann").await.unwrap();
    drain(&storage, &[job.id]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_becomes_unavailable_in_time_and_passes() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::start(redis.address()).unwrap();
    let storage = RedisStorage::connect(&redis.url_through(&proxy), impatient()).await.unwrap();
    proxy.black_hole();
    let since = Instant::now();
    let refused = storage.enqueue(vec![job()], "ann").await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    proxy.resume();
    let new = job();
    enqueue(&storage, &new).await;
    proxy.cut();
    assert!(matches!(storage.counts().await, Err(StorageError::Unavailable(_))));
    proxy.resume();
    drain(&storage, &[new.id]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_of_sentinels_is_followed() {
    let mut sentinel = RedisSentinel::start().unwrap();
    let storage = RedisStorage::connect(&sentinel.url(), impatient()).await.unwrap();
    let before = job();
    storage.enqueue(vec![before.clone()], "ann").await.unwrap();
    // The replica is asynchronous: what it has not got yet is lost with the master.
    sentinel.master().unwrap().ask(&["WAIT", "1", "5000"]).unwrap();
    sentinel.kill_master().unwrap();
    let after = job();
    enqueue(&storage, &after).await;
    sentinel.until_failed_over().unwrap();
    drain(&storage, &[before.id, after.id]).await;
    // The old master comes back as a replica, and nobody writes to it.
    sentinel.restart_killed().unwrap();
    let last = job();
    enqueue(&storage, &last).await;
    drain(&storage, &[last.id]).await;
}

static CLUSTER: OnceLock<String> = OnceLock::new();

async fn open_in_cluster(clock: Arc<TestClock>) -> Opened {
    let url = format!("{}?namespace=test-{}", CLUSTER.get().unwrap(), uuid::Uuid::new_v4());
    let options = RedisOptions { clock: Some(clock), ..RedisOptions::default() };
    Opened { storage: RedisStorage::connect(&url, options).await.unwrap(), ground: Rc::new(()) }
}

#[test]
fn a_cluster_shows_the_main_behaviours() {
    let cluster = RedisCluster::start().unwrap();
    CLUSTER.set(cluster.url()).unwrap();
    run(open_in_cluster, conformance::enqueueing::a_job_reads_back_as_it_was_made);
    run(open_in_cluster, conformance::enqueueing::work_is_signalled_when_a_job_is_stored);
    run(open_in_cluster, conformance::claiming::without_queues_the_best_of_all_is_taken);
    run(open_in_cluster, conformance::claiming::no_job_is_claimed_twice);
    run(open_in_cluster, conformance::settling::the_history_tells_the_life_of_a_job_in_order);
    run(open_in_cluster, conformance::settling::follow_ups_come_with_the_success_and_only_with_it);
    run(open_in_cluster, conformance::commanding::a_running_job_is_asked_to_stop_and_deleted_when_it_has);
    run(open_in_cluster, conformance::losing::a_job_that_loses_three_servers_is_poison);
    run(open_in_cluster, conformance::timing::ended_jobs_are_pruned_when_their_time_is_over);
    run(open_in_cluster, conformance::deploying::an_activation_wakes_the_jobs_that_wait_for_their_handler);
    run(open_in_cluster, conformance::listing::a_filter_lets_pass_what_matches_all_of_it);
    run(open_in_cluster, conformance::noting::a_log_is_followed_by_its_cursor);
    run(open_in_cluster, conformance::counting::the_rows_of_minutes_and_hours_tell_what_was_done);
    run(open_in_cluster, conformance::recurring::an_instant_that_two_fire_is_fired_once);
    run(open_in_cluster, conformance::moving::an_import_into_an_empty_storage_makes_it_equal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_a_cluster_that_comes_back_is_found_again() {
    let mut cluster = RedisCluster::start().unwrap();
    let storage = RedisStorage::connect(&cluster.url(), impatient()).await.unwrap();
    let before = job();
    storage.enqueue(vec![before.clone()], "ann").await.unwrap();
    let holder = cluster.holder("{windlass}").unwrap();
    cluster.kill(holder).unwrap();
    assert!(matches!(storage.counts().await, Err(StorageError::Unavailable(_))));
    cluster.restart(holder).unwrap();
    drain(&storage, &[before.id]).await;
    // A server of it by itself is no storage for most namespaces: that is said.
    let other = (holder + 1) % cluster.masters().len();
    let error = RedisStorage::connect(&cluster.masters()[other].url(), impatient()).await.unwrap_err();
    assert!(error.to_string().contains("redis+cluster://"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_data_lets_no_late_writer_in() {
    let mut redis = Redis::start().unwrap();
    let storage = RedisStorage::connect(&redis.url(), impatient()).await.unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let first = server(&*storage).await;
    // What is copied here is what the storage comes back to.
    let copy = tempfile::tempdir().unwrap();
    let log = redis.folder().join("appendonlydir");
    copy_files(&log, copy.path());
    let late = claim_all(&*storage, first).await.remove(0);
    redis.kill().unwrap();
    for file in std::fs::read_dir(&log).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    copy_files(copy.path(), &log);
    redis.restart().unwrap();
    let second = server_id(&storage).await;
    let now = until_answered(async || storage.claim(&request(second, 9)).await).await.remove(0);
    assert_eq!((now.fence.job, now.fence.run), (late.fence.job, late.fence.run), "the run's number came anew");
    assert_eq!(redis_help::settle(&*storage, &late).await.unwrap(), [Err(windlass_jobs::storage::Superseded)]);
    assert_eq!(success(&*storage, &now).await.unwrap(), State::Succeeded);
}

/// A server of a storage that may not answer yet.
async fn server_id(storage: &RedisStorage) -> windlass_jobs::api::ServerId {
    until_answered(async || storage.counts().await).await;
    server(storage).await
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
