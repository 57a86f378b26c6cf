//! Redis as it is operated: opened, refused, looked at, with stored things that are damaged or gone.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{sync::Arc, time::Duration};

use redis_help::{Namespace, claim, claim_all, job, server, success};
use windlass_jobs::{
    TestClock,
    api::{JobFilter, JobId, Json, LogLevel, LogLine, RequeueRequest, State, Timestamp},
    storage::{
        JobStore as _, Note, QueueStore as _, Severity, Signal, Storage as _, StorageError,
        redis::{RedisOptions, RedisStorage},
    },
};
use windlass_test_services::Redis;

mod redis_help;

async fn open(namespace: &Namespace) -> Arc<RedisStorage> {
    RedisStorage::connect(&namespace.url(), RedisOptions::default()).await.unwrap()
}

async fn refused(url: &str) -> StorageError {
    RedisStorage::connect(url, RedisOptions::default()).await.unwrap_err()
}

fn key(namespace: &Namespace, kind: char, job: JobId) -> Vec<u8> {
    [namespace.prefix().as_bytes(), &[kind as u8, b':'], job.0.as_bytes()].concat()
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_shown() {
    let server = Redis::options().password("s3cret-right").start().unwrap();
    let address = server.address();
    RedisStorage::connect(&server.url(), RedisOptions::default()).await.unwrap();
    for url in [format!("redis://:s3cret-wrong@{address}"), format!("redis://{address}")] {
        let error = refused(&url).await;
        assert!(matches!(&error, StorageError::Unusable(text) if text.contains("password")), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn where_nobody_answers_it_is_unavailable() {
    let error = refused("redis://:s3cret@127.0.0.1:1").await;
    assert!(matches!(&error, StorageError::Unavailable(text) if text.contains("127.0.0.1:1")), "{error:?}");
    assert!(!error.to_string().contains("s3cret"));
}

#[tokio::test]
async fn tls_is_spoken_with_an_authority_of_ones_own() {
    let redis = Redis::options().tls().start().unwrap();
    let authority = redis.certificates().unwrap().authority();
    let url = format!("{}?ca-file={}", redis.url(), authority.display());
    let storage = RedisStorage::connect(&url, RedisOptions::default()).await.unwrap();
    storage.enqueue(vec![job()], "ann").await.unwrap();
    assert_eq!(claim(&*storage, server(&*storage).await, 1).await.len(), 1);
    let error = refused(&redis.url()).await;
    assert!(matches!(error, StorageError::Unavailable(_)), "an unknown authority is not trusted: {error:?}");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let master = Redis::start().unwrap();
    let replica = Redis::options().set("replicaof", &format!("127.0.0.1 {}", master.plain_port())).start().unwrap();
    let error = refused(&replica.url()).await;
    assert!(matches!(&error, StorageError::Unusable(text) if text.contains("read-only replica")), "{error:?}");
}

#[tokio::test]
async fn a_format_from_the_future_is_refused() {
    let namespace = Namespace::new();
    drop(open(&namespace).await);
    namespace.set(b"format", b"2");
    let error = refused(&namespace.url()).await;
    let StorageError::Unusable(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("format version 2") && text.contains("use a newer windlass"), "{text}");
    namespace.set(b"format", b"something else");
    assert!(matches!(refused(&namespace.url()).await, StorageError::Unusable(text) if text.contains("something else")));
}

#[tokio::test]
async fn a_damaged_record_is_named_set_aside_and_the_rest_goes_on() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let server = server(&*storage).await;
    let jobs = (0..5).map(|_| job()).collect::<Vec<_>>();
    let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    storage.enqueue(jobs, "ann").await.unwrap();
    namespace.put(&key(&namespace, 'j', ids[0]), b"nonsense");
    namespace.put(&key(&namespace, 'p', ids[1]), b"\0\0\0\0\0\x02{}{broken");
    let mut record = namespace.get(&key(&namespace, 'j', ids[2]));
    record[1] = 9;
    namespace.put(&key(&namespace, 'j', ids[2]), &record);
    for id in &ids[..3] {
        let error = storage.job(*id).await.unwrap_err();
        assert!(matches!(&error, StorageError::Damaged(text) if text.contains(&id.to_string())), "{error:?}");
    }
    let error = storage.cancel(ids[0], "ann").await.unwrap_err();
    assert!(matches!(&error, StorageError::Damaged(text) if text.contains(&ids[0].to_string())), "{error:?}");
    let claimed = claim_all(&*storage, server).await;
    assert_eq!(claimed.iter().map(|run| run.fence.job).collect::<Vec<_>>(), ids[3..]);
    let listed = storage.jobs(&JobFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[4], ids[3], ids[1]]);
    for run in &claimed {
        success(&*storage, run).await.unwrap();
    }
    assert!(storage.queues().await.is_ok() && storage.counts().await.is_ok());
}

#[tokio::test]
async fn a_damaged_job_that_ended_is_removed_with_the_others() {
    let namespace = Namespace::new();
    let clock = Arc::new(TestClock::at(Timestamp(1_800_000_000_000)));
    let options = RedisOptions { clock: Some(Arc::<TestClock>::clone(&clock)), ..RedisOptions::default() };
    let storage = RedisStorage::connect(&namespace.url(), options).await.unwrap();
    let before = namespace.keys();
    let jobs = [job(), job()];
    storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    for job in &jobs {
        storage.cancel(job.id, "ann").await.unwrap();
    }
    namespace.put(&key(&namespace, 'j', jobs[0].id), b"nonsense");
    clock.advance_ms(100 * 24 * 3_600_000);
    assert_eq!(storage.prune(10).await.unwrap(), 2);
    assert!(storage.counts().await.unwrap().0.is_empty());
    assert_eq!(namespace.new_keys(&before), ["meta"]);
}

#[tokio::test]
async fn a_key_of_another_type_is_named_and_nothing_is_half_done() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let server = server(&*storage).await;
    namespace.set(b"s:3", b"not a sorted set");
    let new = job();
    storage.enqueue(vec![new.clone()], "ann").await.unwrap();
    let claimed = windlass_jobs::storage::JobStore::claim(&*storage, &redis_help::request(server, 1)).await;
    assert!(matches!(&claimed, Err(StorageError::Damaged(text)) if text.contains("s:3 is a string")), "{claimed:?}");
    assert_eq!(storage.job(new.id).await.unwrap().unwrap().job.state, State::Enqueued, "it stands where it stood");
    namespace.delete(b"s:3");
    assert_eq!(claim(&*storage, server, 1).await.len(), 1);
}

#[tokio::test]
async fn when_all_jobs_have_expired_nothing_of_them_is_left() {
    let namespace = Namespace::new();
    let clock = Arc::new(TestClock::at(Timestamp(1_800_000_000_000)));
    let options = RedisOptions { clock: Some(Arc::<TestClock>::clone(&clock)), ..RedisOptions::default() };
    let storage = RedisStorage::connect(&namespace.url(), options).await.unwrap();
    let before = namespace.keys();
    let host = server(&*storage).await;
    for n in 0..40 {
        let mut new = job();
        new.tags = vec![format!("tag-{n}"), "all".to_owned()];
        new.queue = format!("queue-{}", n % 3).parse().unwrap();
        new.handler = format!("handler-{}", n % 4).parse().unwrap();
        storage.enqueue(vec![new], "ann").await.unwrap();
    }
    for run in claim_all(&*storage, host).await {
        let line = LogLine { run: 1, at: run.created_at, level: LogLevel::Info, message: "x".into(), fields: None };
        let progress = windlass_jobs::api::Progress { percent: 1.0, note: None, at: run.created_at };
        let note = Note { fence: run.fence, progress: Some(progress), lines: vec![line] };
        storage.note(vec![note]).await.unwrap();
        storage.put_checkpoint(run.fence, "k", &Json::null()).await.unwrap().unwrap();
        success(&*storage, &run).await.unwrap();
    }
    let again = storage.jobs(&JobFilter::default(), None, 10).await.unwrap().items;
    for job in again {
        storage.requeue(job.id, RequeueRequest::default(), "ann").await.unwrap();
        storage.cancel(job.id, "ann").await.unwrap();
    }
    windlass_jobs::storage::ServerStore::leave(&*storage, host).await.unwrap();
    clock.advance_ms(200 * 24 * 3_600_000);
    while storage.prune(15).await.unwrap() > 0 {}
    assert_eq!(namespace.new_keys(&before), ["meta"], "the numbers that are never given again, and nothing else");
}

#[tokio::test]
async fn one_storage_hears_what_another_does() {
    let namespace = Namespace::new();
    let (one, other) = (open(&namespace).await, open(&namespace).await);
    let mut signals = one.wake().unwrap().signals();
    let mut ends = one.wake().unwrap().ends().unwrap();
    let new = job();
    other.enqueue(vec![new.clone()], "ann").await.unwrap();
    assert_eq!(hear(&mut signals).await, Signal::Work);
    let run = claim(&*one, server(&*one).await, 1).await.remove(0);
    other.cancel(new.id, "ann").await.unwrap();
    assert_eq!(hear(&mut signals).await, Signal::Cancel(run.fence));
    // The ends are subscribed to when somebody first asks for them, and this is the first time.
    let ended = async {
        loop {
            let new = job();
            other.enqueue(vec![new.clone()], "ann").await.unwrap();
            other.cancel(new.id, "ann").await.unwrap();
            if let Ok(id) = tokio::time::timeout(Duration::from_millis(50), ends.recv()).await {
                break id.unwrap();
            }
        }
    };
    let id = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(other.job(id).await.unwrap().unwrap().job.state, State::Deleted);
}

async fn hear(signals: &mut tokio::sync::broadcast::Receiver<Signal>) -> Signal {
    tokio::time::timeout(Duration::from_secs(10), signals.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn findings_name_what_may_lose_jobs() {
    let safe = Redis::start().unwrap();
    let storage = RedisStorage::connect(&safe.url(), RedisOptions::default()).await.unwrap();
    assert_eq!(storage.findings().await.unwrap(), []);
    safe.ask(&["CONFIG", "SET", "appendfsync", "everysec"]).unwrap();
    let found = storage.findings().await.unwrap();
    assert!(found.len() == 1 && found[0].severity == Severity::Note && found[0].what.contains("everysec"), "{found:?}");
    safe.ask(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    safe.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    safe.ask(&["CONFIG", "SET", "maxmemory", "100mb"]).unwrap();
    let found = storage.findings().await.unwrap();
    let told = found.iter().map(|one| one.severity).collect::<Vec<_>>();
    assert_eq!(told, [Severity::Error, Severity::Warning], "{found:?}");
    assert!(found[0].what.contains("allkeys-lru") && found[1].what.contains("append-only"), "{found:?}");
}

#[tokio::test]
async fn a_full_memory_refuses_new_jobs_and_lets_old_ones_end() {
    let redis = Redis::start().unwrap();
    let storage = RedisStorage::connect(&redis.url(), RedisOptions::default()).await.unwrap();
    let host = server(&*storage).await;
    storage.enqueue(vec![job(), job()], "ann").await.unwrap();
    redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    let refused = storage.enqueue(vec![job()], "ann").await;
    assert!(matches!(&refused, Err(StorageError::Unavailable(text)) if text.contains("memory is full")), "{refused:?}");
    for run in claim_all(&*storage, host).await {
        success(&*storage, &run).await.unwrap();
    }
    assert_eq!(storage.counts().await.unwrap().of(State::Succeeded), 2);
}
