//! Redis as it is operated: opened, refused, looked at, with stored things that are damaged or gone.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{sync::Arc, time::Duration};

use redis_help::{Namespace, claim, claim_all, job, server, success};
use windlass_jobs::{
    TestClock,
    api::{CounterQuery, Digest, Grain, JobFilter, JobId, Json, LogLevel, LogLine, RequeueRequest, State, Timestamp},
    storage::{
        JobStore as _, MAX_COUNTER_ROWS, ModuleStore as _, NewVersion, Note, QueueStore as _, Record, RecurringEntry,
        RecurringStore as _, Severity, Signal, Storage as _, StorageError, Transfer as _,
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
async fn a_database_that_the_server_does_not_have_is_refused_and_not_waited_for() {
    let server = Redis::start().unwrap();
    let error = refused(&format!("redis://{}/99", server.address())).await;
    let StorageError::Unusable(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("has no database 99: give a lower number"), "{text}");
}

#[tokio::test]
async fn a_namespace_that_was_flushed_under_a_host_is_marked_again_by_its_next_server() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    for key in namespace.keys() {
        redis::cmd("DEL").arg(key).exec(&mut namespace.redis()).unwrap();
    }
    server(&*storage).await;
    assert_eq!(namespace.get(format!("{}format", namespace.prefix()).as_bytes()), b"2");
}

#[tokio::test]
async fn whoever_only_looks_writes_nothing_and_is_told_what_is_damaged() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let jobs = (0..5).map(|_| job()).collect::<Vec<_>>();
    let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    storage.enqueue(jobs, "ann").await.unwrap();
    let looking = RedisOptions { prepare: false, ..RedisOptions::default() };
    let looking = RedisStorage::connect(&namespace.url(), looking).await.unwrap();
    let of_damage = |findings: Vec<windlass_jobs::storage::Finding>| {
        findings
            .into_iter()
            .filter(|found| found.what.contains("cannot be read"))
            .map(|found| found.what)
            .collect::<Vec<_>>()
    };
    assert!(of_damage(looking.findings().await.unwrap()).is_empty());
    namespace.put(&key(&namespace, 'j', ids[0]), b"nonsense");
    redis::cmd("DEL").arg(key(&namespace, 'p', ids[1])).exec(&mut namespace.redis()).unwrap();
    redis::cmd("DEL").arg(key(&namespace, 'j', ids[2])).exec(&mut namespace.redis()).unwrap();
    let keys = namespace.keys();
    let found = of_damage(looking.findings().await.unwrap());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("3 of the newest 5 jobs cannot be read, such as: "), "{found:?}");
    assert!(namespace.new_keys(&keys).is_empty());
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
    namespace.set(b"format", b"3");
    let error = refused(&namespace.url()).await;
    let StorageError::Unusable(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("format version 3") && text.contains("use a newer windlass"), "{text}");
    namespace.set(b"format", b"something else");
    assert!(matches!(refused(&namespace.url()).await, StorageError::Unusable(text) if text.contains("something else")));
}

#[tokio::test]
async fn an_older_format_is_brought_to_this_one_by_whoever_may() {
    let namespace = Namespace::new();
    drop(open(&namespace).await);
    namespace.set(b"format", b"1");
    let looking = RedisOptions { prepare: false, ..RedisOptions::default() };
    let error = RedisStorage::connect(&namespace.url(), looking).await.unwrap_err();
    let StorageError::Unusable(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("format version 1") && text.contains("windlass storage migrate"), "{text}");
    let made = open(&namespace).await.migration();
    assert_eq!((made.from, made.to), (Some(1), 2));
    assert_eq!(namespace.get(format!("{}format", namespace.prefix()).as_bytes()), b"2");
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

/// All that is exported by parts of this many, and what is left out.
async fn exported(storage: &RedisStorage, limit: usize) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut skipped, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let part = storage.export_readable(cursor.as_deref(), limit).await.unwrap();
        assert!(part.items.len() <= limit);
        records.extend(part.items);
        skipped.extend(part.skipped);
        assert_ne!(part.next.as_ref().map(|_| &part.next), Some(&cursor), "it must come on");
        cursor = part.next;
        if cursor.is_none() {
            return (records, skipped);
        }
    }
}

#[tokio::test]
async fn an_export_names_each_record_that_is_damaged_and_holds_the_others() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let jobs = (0..12).map(|_| job()).collect::<Vec<_>>();
    let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    storage.enqueue(jobs, "ann").await.unwrap();
    for name in ["a", "b", "c"] {
        let entry = RecurringEntry {
            name: name.parse().unwrap(),
            definition: Json::null(),
            paused: false,
            next_at: None,
            last_at: None,
            last_job: None,
            left_out: false,
            revision: 0,
        };
        storage.put_recurring(entry, None, Vec::new()).await.unwrap();
        let version = NewVersion {
            module: name.parse().unwrap(),
            digest: Digest([name.as_bytes()[0]; 32]),
            bytes: vec![1; 9],
            version: String::new(),
            sdk: String::new(),
            handlers: Vec::new(),
        };
        storage.add_version(version).await.unwrap();
    }
    storage.set_paused(&"mail".parse().unwrap(), true).await.unwrap();
    let (whole, none) = exported(&storage, 500).await;
    assert!(none.is_empty(), "{none:#?}");
    let prefix = namespace.prefix();
    let ask = |command: &str, args: &[&[u8]]| {
        let mut command = redis::cmd(command);
        for arg in args {
            command.arg(*arg);
        }
        command.exec(&mut namespace.redis()).unwrap();
    };
    let named = |rest: &str| format!("{prefix}{rest}").into_bytes();
    // Records of three jobs, and what never changes of one; a recurring job, a version, a component, a queue, a counter.
    for id in &ids[4..7] {
        namespace.put(&key(&namespace, 'j', *id), b"nonsense");
    }
    namespace.put(&key(&namespace, 'p', ids[9]), b"\0\0\0\0\0\x02{}{broken");
    // What eviction leaves behind: lists that name a job whose record is gone.
    ask("DEL", &[&key(&namespace, 'j', ids[10])]);
    let error = storage.job(ids[10]).await.unwrap_err();
    assert!(matches!(&error, StorageError::Damaged(text) if text.contains("its record is not there")), "{error:?}");
    assert_eq!(storage.job(job().id).await.unwrap(), None);
    ask("HSET", &[&named("recurring"), b"b", b"5 nonsense"]);
    ask("HSET", &[&[&named("f:a:")[..], &[b'a'; 32]].concat(), b"handlers", b"nonsense"]);
    ask("DEL", &[&[&named("b:")[..], &[b'c'; 32]].concat()]);
    ask("SADD", &[&named("paused"), b"no queue"]);
    let minute = String::from_utf8(span(&namespace)).unwrap();
    ask("HSET", &[&named(&format!("n:m:{minute}")), b"nonsense", b"1"]);
    let beginnings = [
        format!("job {}: ", ids[4]),
        format!("job {}: ", ids[5]),
        format!("job {}: ", ids[6]),
        format!("job {}: ", ids[9]),
        format!("job {}: its record is not there", ids[10]),
        "the counters for the minute of ".to_owned(),
        "the queue `no queue`: ".to_owned(),
        "the recurring job b: ".to_owned(),
        format!("version {} of module a: ", Digest([b'a'; 32])),
        format!("version {} of module c: ", Digest([b'c'; 32])),
    ];
    for limit in [1, 2, 3, 7, 500] {
        let (records, mut skipped) = exported(&storage, limit).await;
        skipped.sort();
        assert_eq!(skipped.len(), beginnings.len(), "by {limit}: {skipped:#?}");
        for (text, beginning) in skipped.iter().zip(&beginnings) {
            assert!(text.starts_with(beginning), "by {limit}: {text}");
        }
        let expected = whole.iter().filter(|record| match record {
            Record::Job(job) => !ids[4..7].contains(&job.detail.job.id) && !ids[9..11].contains(&job.detail.job.id),
            Record::Recurring(entry) => entry.name.as_str() != "b",
            Record::Version(version) => version.module.as_str() == "b",
            _ => true,
        });
        assert_eq!(records, expected.cloned().collect::<Vec<_>>(), "by {limit}");
    }
    match storage.export(None, 500).await {
        Err(StorageError::Damaged(text)) => assert!(text.starts_with("version "), "{text}"),
        other => panic!("it should be refused, but is {other:?}"),
    }
    let listed = storage.recurring_entries(None, 1).await.unwrap();
    let rest = storage.recurring_entries(listed.next.as_deref(), 2).await.unwrap();
    assert_eq!(rest.items.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["c"], "b hides none behind it");
}

/// The beginning of the only minute in which something was counted.
fn span(namespace: &Namespace) -> Vec<u8> {
    let spans = format!("{}spans:m", namespace.prefix());
    let mut found: Vec<Vec<u8>> = redis::cmd("ZRANGE").arg(spans).arg(0).arg(-1).query(&mut namespace.redis()).unwrap();
    assert!(!found.is_empty());
    found.remove(0)
}

#[tokio::test]
async fn counters_of_more_handlers_than_fit_are_refused() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let at = String::from_utf8(span(&namespace)).unwrap();
    let mut many = redis::cmd("HSET");
    many.arg(format!("{}n:m:{at}", namespace.prefix()));
    for number in 0..MAX_COUNTER_ROWS {
        many.arg(format!("many/h{number} made")).arg(1);
    }
    many.exec(&mut namespace.redis()).unwrap();
    let from = Timestamp(at.parse().unwrap());
    let all = CounterQuery { grain: Grain::Minute, from, before: from.plus_ms(120_000), module: None, handler: None };
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
async fn a_client_that_may_not_make_the_namespace_leaves_nothing_in_it() {
    let namespace = Namespace::new();
    let looking = || RedisOptions { prepare: false, ..RedisOptions::default() };
    for _ in 0..2 {
        let error = RedisStorage::connect(&namespace.url(), looking()).await.unwrap_err();
        assert!(
            matches!(&error, StorageError::Absent { what, .. } if what.contains("no windlass storage")),
            "{error:?}"
        );
        assert!(namespace.keys().is_empty());
    }
    let made = open(&namespace).await.migration();
    assert_eq!((made.from, namespace.new_keys(&[])), (None, vec!["format".to_owned()]));
    let again = RedisStorage::connect(&namespace.url(), looking()).await.unwrap().migration();
    assert_eq!((again.from, again.to), (Some(made.to), made.to));
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
