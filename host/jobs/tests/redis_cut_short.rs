//! Redis where something was cut short, lost on its way or is too large for one answer.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::Arc;

use redis_help::{Namespace, claim, claim_all, job, server, success};
use windlass_jobs::{
    NewJob, Start, TestClock,
    api::{Digest, HandlerSpec, JobFilter, JobId, LogLevel, LogLine, Mode, State, Timestamp},
    storage::{
        JobStore as _, ModuleStore as _, NewVersion, Note, ServerStore as _, Signal, Storage as _, StorageError,
        Transfer as _,
        redis::{RedisOptions, RedisStorage},
    },
};
use windlass_test_services::Redis;

mod redis_help;

async fn open(namespace: &Namespace) -> Arc<RedisStorage> {
    RedisStorage::connect(&namespace.url(), RedisOptions::default()).await.unwrap()
}

async fn open_on(namespace: &Namespace, clock: &Arc<TestClock>) -> Arc<RedisStorage> {
    let options = RedisOptions { clock: Some(Arc::<TestClock>::clone(clock)), ..RedisOptions::default() };
    RedisStorage::connect(&namespace.url(), options).await.unwrap()
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(Timestamp(1_800_000_000_000)))
}

async fn state(storage: &RedisStorage, job: JobId) -> State {
    storage.job(job).await.unwrap().unwrap().job.state
}

fn version(mode: Mode) -> NewVersion {
    let handler = serde_json::json!({ "name": "bill", "mode": mode });
    NewVersion {
        module: "shop".parse().unwrap(),
        digest: Digest([7; 32]),
        bytes: vec![1; 3 * 1024 * 1024 / 2],
        version: "1".into(),
        sdk: "test".into(),
        handlers: vec![serde_json::from_value::<HandlerSpec>(handler).unwrap()],
    }
}

#[tokio::test]
async fn an_activation_that_was_cut_short_is_finished_by_whoever_promotes_next() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let new = NewJob { start: Start::WithHandler, ..job() };
    storage.enqueue(vec![new.clone()], "ann").await.unwrap();
    let version = version(Mode::Async);
    storage.add_version(version.clone()).await.unwrap();
    // The version becomes active, and then the first step that moves jobs fails.
    namespace.set(b"s:2", b"not a sorted set");
    let activated = storage.activate(&version.module, version.digest).await;
    assert!(matches!(activated, Err(StorageError::Damaged(_))), "{activated:?}");
    namespace.delete(b"s:2");
    assert!(storage.active_version(&version.module).await.unwrap().is_some());
    assert_eq!(state(&storage, new.id).await, State::Awaiting);
    while storage.promote(100).await.unwrap().next_in_ms == Some(0) {}
    let shown = storage.job(new.id).await.unwrap().unwrap().job;
    assert_eq!((shown.state, shown.mode), (State::Enqueued, Mode::Async));
    assert!(!namespace.keys().iter().any(|key| key.ends_with(b"rehoming")), "it is done");
}

#[tokio::test]
async fn an_import_that_was_cut_short_leaves_no_job_waiting_for_a_handler_that_is_there() {
    let (from, to) = (Namespace::new(), Namespace::new());
    let (old, storage) = (open(&from).await, open(&to).await);
    let version = version(Mode::Sync);
    old.add_version(version.clone()).await.unwrap();
    old.activate(&version.module, version.digest).await.unwrap();
    let new = NewJob { start: Start::WithHandler, ..job() };
    storage.enqueue(vec![new.clone()], "ann").await.unwrap();
    let records = old.export(None, 100).await.unwrap().items;
    to.set(b"s:2", b"not a sorted set");
    storage.import(records.clone()).await.unwrap_err();
    to.delete(b"s:2");
    assert_eq!(state(&storage, new.id).await, State::Awaiting);
    storage.import(records).await.unwrap();
    assert_eq!(state(&storage, new.id).await, State::Enqueued);
}

#[tokio::test]
async fn jobs_are_handed_over_also_where_a_damaged_one_among_them_cannot_be_set_aside() {
    let redis = Redis::start().unwrap();
    let namespace = Namespace::on(&redis.url());
    let storage = open(&namespace).await;
    let host = server(&*storage).await;
    claim_all(&*storage, host).await;
    let jobs = [job(), job(), job()];
    storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    let wide = [namespace.prefix().as_bytes(), b"p:", jobs[1].id.0.as_bytes()].concat();
    namespace.put(&wide, b"\0\0\0\0\0\x02{}{broken");
    // Scripts that are known already may be called, and the one that sets jobs aside was never called.
    redis.ask(&["ACL", "SETUSER", "default", "-eval"]).unwrap();
    let runs = claim_all(&*storage, host).await;
    assert_eq!(runs.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [jobs[0].id, jobs[2].id]);
    redis.ask(&["ACL", "SETUSER", "default", "+eval"]).unwrap();
    for run in &runs {
        assert_eq!(success(&*storage, run).await.unwrap(), State::Succeeded);
    }
}

#[tokio::test]
async fn a_claim_of_large_jobs_is_cut_into_several() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let host = server(&*storage).await;
    let payload = format!("\"{}\"", "x".repeat(256 * 1024));
    let jobs = (0..70).map(|_| NewJob { payload: payload.parse().unwrap(), ..job() }).collect::<Vec<_>>();
    storage.enqueue(jobs.clone(), "ann").await.unwrap();
    let mut signals = storage.wake().unwrap().signals();
    let mut claimed = Vec::new();
    for most in [31, 31, 8] {
        while signals.try_recv().is_ok() {}
        let runs = claim_all(&*storage, host).await;
        assert_eq!(runs.len(), most);
        let told = std::iter::from_fn(|| signals.try_recv().ok()).any(|signal| signal == Signal::Work);
        assert_eq!(told, most == 31, "whoever has room is told to claim again");
        claimed.extend(runs.iter().map(|run| run.fence.job));
    }
    assert_eq!(claimed, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    // One that is larger than an answer should be comes alone.
    let payload = format!("\"{}\"", "x".repeat(9 * 1024 * 1024));
    let jobs = [NewJob { payload: payload.parse().unwrap(), ..job() }, job()];
    storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
    for job in &jobs {
        assert_eq!(claim_all(&*storage, host).await.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [job.id]);
    }
}

#[tokio::test]
async fn a_version_whose_bytes_were_lost_is_mended_by_deploying_it_again() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    let version = version(Mode::Sync);
    assert!(!storage.add_version(version.clone()).await.unwrap());
    let key = [b"b:".as_slice(), &version.digest.0].concat();
    redis::cmd("HDEL")
        .arg([namespace.prefix().as_bytes(), &key].concat())
        .arg("0")
        .exec(&mut namespace.redis())
        .unwrap();
    assert!(matches!(storage.component(version.digest).await, Err(StorageError::Damaged(_))));
    assert!(storage.add_version(version.clone()).await.unwrap());
    assert_eq!(storage.component(version.digest).await.unwrap().as_ref(), Some(&version.bytes));
    namespace.delete(&key);
    assert!(storage.add_version(version.clone()).await.unwrap());
    assert_eq!(storage.component(version.digest).await.unwrap(), Some(version.bytes));
}

#[tokio::test]
async fn an_import_of_very_many_jobs_of_one_millisecond_keeps_their_order() {
    let (from, to, clock) = (Namespace::new(), Namespace::new(), clock());
    let (old, storage) = (open_on(&from, &clock).await, open_on(&to, &clock).await);
    let jobs = (0..4_200).map(|_| job()).collect::<Vec<_>>();
    old.enqueue(jobs.clone(), "ann").await.unwrap();
    clock.advance_ms(1);
    let last = job();
    old.enqueue(vec![last.clone()], "ann").await.unwrap();
    let mut cursor = None::<String>;
    loop {
        let page = old.export(cursor.as_deref(), 500).await.unwrap();
        storage.import(page.items).await.unwrap();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let newest = storage.jobs(&JobFilter::default(), None, 1).await.unwrap().items;
    assert_eq!(newest[0].id, last.id);
    let host = server(&*storage).await;
    let expected = jobs.iter().map(|job| job.id).chain([last.id]).collect::<Vec<_>>();
    let claimed = claim(&*storage, host, 5_000).await.iter().map(|run| run.fence.job).collect::<Vec<_>>();
    assert!(claimed == expected, "jobs that were made at one instant are claimed in the order of their storing");
}

#[tokio::test]
async fn a_server_of_which_only_the_id_is_left_is_swept() {
    let namespace = Namespace::new();
    let storage = open(&namespace).await;
    for lost in ["all", "the counter"] {
        let host = server(&*storage).await;
        let new = job();
        storage.enqueue(vec![new.clone()], "ann").await.unwrap();
        assert_eq!(claim_all(&*storage, host).await.len(), 1);
        let key = [b"v:".as_slice(), host.0.as_bytes()].concat();
        if lost == "all" {
            namespace.delete(&key);
        } else {
            let key = [namespace.prefix().as_bytes(), &key].concat();
            redis::cmd("HSET").arg(key).arg("beat").arg("nonsense").exec(&mut namespace.redis()).unwrap();
        }
        let pulses = storage.pulses().await.unwrap();
        assert_eq!(pulses.iter().map(|pulse| pulse.server).collect::<Vec<_>>(), [host], "{lost}");
        assert_eq!(storage.sweep(pulses[0]).await.unwrap(), Some(1), "{lost}");
        assert_eq!(state(&storage, new.id).await, State::Enqueued);
        assert!(storage.pulses().await.unwrap().is_empty());
        assert_eq!(storage.sweep(pulses[0]).await.unwrap(), None);
        storage.delete(new.id, "ann").await.unwrap();
    }
}

/// A line of a job's first run.
fn line(at: Timestamp) -> LogLine {
    LogLine { run: 1, at, level: LogLevel::Info, message: "x".repeat(1000), fields: None }
}

#[tokio::test]
async fn a_job_that_is_removed_while_some_of_its_lines_are_young_leaves_nothing_behind() {
    const DAY: i64 = 24 * 3_600_000;
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let before = namespace.keys();
    let host = server(&*storage).await;
    storage.enqueue(vec![job()], "ann").await.unwrap();
    let run = claim_all(&*storage, host).await.remove(0);
    for _ in 0..2 {
        let at = windlass_jobs::Clock::now(&*clock);
        storage.note(vec![Note { fence: run.fence, progress: None, lines: vec![line(at)] }]).await.unwrap();
        clock.advance_ms(8 * DAY);
    }
    clock.advance_ms(-8 * DAY);
    success(&*storage, &run).await.unwrap();
    storage.leave(host).await.unwrap();
    clock.advance_ms(2 * DAY);
    assert_eq!(storage.prune(10).await.unwrap(), 1);
    let left = namespace.new_keys(&before);
    let left = left.iter().filter(|key| !key.starts_with("n:") && !key.starts_with("spans:")).collect::<Vec<_>>();
    assert_eq!(left, ["meta"]);
}

#[tokio::test]
async fn very_many_old_lines_are_removed_step_by_step_and_young_ones_stay() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let host = server(&*storage).await;
    storage.enqueue(vec![job(), job(), job()], "ann").await.unwrap();
    let runs = claim_all(&*storage, host).await;
    let old = windlass_jobs::Clock::now(&*clock);
    clock.advance_ms(8 * 24 * 3_600_000);
    let young = windlass_jobs::Clock::now(&*clock);
    for (n, run) in runs.iter().enumerate() {
        // The last one has old lines only.
        let young = vec![line(young); 3 * usize::from(n < 2)];
        let lines = [vec![line(old); 700], young].concat();
        storage.note(vec![Note { fence: run.fence, progress: None, lines }]).await.unwrap();
    }
    let mut steps = 1;
    while storage.prune(10).await.unwrap() > 0 {
        steps += 1;
    }
    assert!(steps > 3, "{steps} steps removed it all");
    let mut left = Vec::new();
    for run in &runs {
        let lines = storage.logs(run.fence.job, None, 1000).await.unwrap().items;
        assert!(lines.iter().all(|line| line.at == young));
        left.push(lines.len());
    }
    left.sort_unstable();
    assert_eq!(left, [0, 3, 3]);
}
