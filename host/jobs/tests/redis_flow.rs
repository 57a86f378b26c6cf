//! Continuations, unique jobs, expiry and limits on Redis: many of them, damaged ones, what they cost and what they leave.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::Arc;

use redis_help::{Namespace, claim, claim_all, job, server, settle, success};
use windlass_jobs::{
    Conditions, NewJob, Start, TestClock,
    api::{
        After, ContinueOn, Digest, JobFilter, JobId, LimitRule, LimitTarget, OnConflict, Rate, RequeueRequest, State,
        Timestamp, UniqueRule,
    },
    storage::{
        JobStore as _, LimitStore as _, MAX_LIMITS, ServerStore as _, StorageError, Transfer as _,
        redis::{RedisOptions, RedisStorage},
    },
};
use windlass_test_services::Redis;

mod redis_help;

const DAY_MS: i64 = 24 * 3_600_000;

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(Timestamp(1_800_000_000_000)))
}

async fn open_on(namespace: &Namespace, clock: &Arc<TestClock>) -> Arc<RedisStorage> {
    let options = RedisOptions { clock: Some(Arc::<TestClock>::clone(clock)), ..RedisOptions::default() };
    RedisStorage::connect(&namespace.url(), options).await.unwrap()
}

fn after(parents: &[JobId], on: ContinueOn) -> NewJob {
    let after = Some(After { jobs: parents.to_vec(), on });
    NewJob { conditions: Conditions { after, ..Conditions::default() }, ..job() }
}

fn keyed(key: &str) -> NewJob {
    NewJob { conditions: Conditions { limit_key: Some(key.parse().unwrap()), ..Conditions::default() }, ..job() }
}

fn target(text: &str) -> LimitTarget {
    text.parse().unwrap()
}

fn at_once(concurrency: u32) -> LimitRule {
    LimitRule { concurrency: Some(concurrency), rate: None }
}

async fn state(storage: &RedisStorage, job: JobId) -> State {
    storage.job(job).await.unwrap().unwrap().job.state
}

fn named(namespace: &Namespace, kind: &str, id: JobId) -> Vec<u8> {
    [namespace.prefix().as_bytes(), kind.as_bytes(), id.0.as_bytes()].concat()
}

#[tokio::test]
async fn a_chain_of_ten_thousand_is_deleted_in_bounded_steps() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let first = job();
    let (mut last, mut jobs) = (first.id, vec![first.clone()]);
    for _ in 1..10_000 {
        jobs.push(after(&[last], ContinueOn::Success));
        last = jobs.last().unwrap().id;
    }
    storage.enqueue(jobs, "ann").await.unwrap();
    storage.delete(first.id, "ann").await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Deleted), 101, "a step goes no further");
    let mut steps = 0;
    while storage.promote(500).await.unwrap().next_in_ms.is_some() {
        steps += 1;
        assert!(steps < 30);
    }
    assert_eq!(storage.counts().await.unwrap().of(State::Deleted), 10_000);
    assert_eq!(state(&storage, last).await, State::Deleted);
    clock.advance_ms(2 * DAY_MS);
    while storage.prune(500).await.unwrap() > 0 {}
    while storage.promote(500).await.unwrap().next_in_ms.is_some() {}
    let left = namespace.new_keys(&[]);
    let left = left.iter().filter(|key| !key.starts_with("n:") && !key.starts_with("spans:")).collect::<Vec<_>>();
    assert_eq!(left, ["format", "meta"]);
}

#[tokio::test]
async fn a_job_with_a_hundred_thousand_children_is_done_with_in_bounded_steps() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let parent = NewJob { queue: "parents".parse().unwrap(), priority: 0, ..job() };
    storage.enqueue(vec![parent.clone()], "ann").await.unwrap();
    for _ in 0..20 {
        let jobs = (0..5_000).map(|_| after(&[parent.id], ContinueOn::Success)).collect();
        storage.enqueue(jobs, "ann").await.unwrap();
    }
    let host = server(&*storage).await;
    let run = claim(&*storage, host, 1).await.remove(0);
    success(&*storage, &run).await.unwrap();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 100, "a step goes no further");
    let (mut steps, mut moved) = (0, 100);
    loop {
        let promoted = storage.promote(500).await.unwrap();
        (steps, moved) = (steps + 1, moved + promoted.moved);
        if promoted.next_in_ms.is_none() {
            break;
        }
        assert!(steps < 250);
    }
    assert_eq!((moved, storage.counts().await.unwrap().of(State::Enqueued)), (100_000, 100_000));
    let children = storage.relations(parent.id, None, 1_000).await.unwrap().unwrap().children;
    assert!(children.items.len() == 1_000 && children.items.iter().all(|child| child.met) && children.next.is_some());
}

#[tokio::test]
async fn several_ends_of_one_job_reach_its_children_in_their_order() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let parent = NewJob { priority: 0, ..job() };
    let jobs = (0..250).map(|_| after(&[parent.id], ContinueOn::Failure)).collect::<Vec<_>>();
    storage.enqueue([vec![parent.clone()], jobs].concat(), "ann").await.unwrap();
    let host = server(&*storage).await;
    let run = claim(&*storage, host, 1).await.remove(0);
    let failure = serde_json::from_value(serde_json::json!({ "cause": "handler", "message": "no" })).unwrap();
    let next = windlass_jobs::Next::Failed { failure };
    let usage = windlass_jobs::api::Usage::default();
    let ended = windlass_jobs::Settlement { fence: run.fence, next, usage, follow_ups: Vec::new() };
    storage.settle(vec![ended]).await.unwrap();
    // 150 of them do not know of the failure yet, when their parent is requeued and succeeds.
    storage.requeue(parent.id, RequeueRequest::default(), "ann").await.unwrap();
    let late = after(&[parent.id], ContinueOn::Failure);
    storage.enqueue(vec![late.clone()], "ann").await.unwrap();
    let run = claim(&*storage, host, 1).await.remove(0);
    assert_eq!(run.fence.job, parent.id);
    success(&*storage, &run).await.unwrap();
    while storage.promote(60).await.unwrap().next_in_ms.is_some() {}
    let counts = storage.counts().await.unwrap();
    assert_eq!((counts.of(State::Enqueued), counts.of(State::Deleted)), (250, 1));
    assert_eq!(state(&storage, late.id).await, State::Deleted, "it was made after the failure");
}

#[tokio::test]
async fn a_damaged_child_keeps_no_other_from_going_on() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let parent = NewJob { priority: 0, ..job() };
    let children = [(); 5].map(|()| after(&[parent.id], ContinueOn::Success));
    storage.enqueue([vec![parent.clone()], children.to_vec()].concat(), "ann").await.unwrap();
    namespace.put(&named(&namespace, "j:", children[0].id), b"nonsense");
    namespace.put(&named(&namespace, "a:", children[1].id), b"nonsense");
    redis::cmd("DEL").arg(named(&namespace, "a:", children[2].id)).exec(&mut namespace.redis()).unwrap();
    let ripples = format!("{}ripples", namespace.prefix());
    redis::cmd("RPUSH").arg(&ripples).arg("nonsense").exec(&mut namespace.redis()).unwrap();
    let host = server(&*storage).await;
    let run = claim(&*storage, host, 1).await.remove(0);
    success(&*storage, &run).await.unwrap();
    assert_eq!(storage.promote(100).await.unwrap().next_in_ms, None);
    let mut claimed = claim_all(&*storage, host).await.iter().map(|run| run.fence.job).collect::<Vec<_>>();
    claimed.sort();
    assert_eq!(claimed, [children[3].id, children[4].id]);
    let error = storage.job(children[1].id).await.unwrap_err();
    assert!(matches!(&error, StorageError::Damaged(text) if text.contains(&children[1].id.to_string())), "{error:?}");
    let part = storage.export_readable(None, 100).await.unwrap();
    assert_eq!(part.skipped.len(), 3, "{:?}", part.skipped);
    let relations = storage.relations(parent.id, None, 9).await.unwrap().unwrap();
    assert_eq!(relations.children.items.len(), 5);
    assert_eq!(relations.children.items[0].state, None);
}

#[tokio::test]
async fn a_holder_that_is_gone_or_damaged_does_not_count() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let states = State::ALL.iter().copied().collect();
    let rule = UniqueRule { key: Digest([1; 32]), states, period_ms: None, on_conflict: OnConflict::Reject };
    let only = || NewJob { conditions: Conditions { unique: Some(rule.clone()), ..Conditions::default() }, ..job() };
    let (first, second, third) = (only(), only(), only());
    storage.enqueue(vec![first.clone()], "ann").await.unwrap();
    assert!(storage.enqueue(vec![second.clone()], "ann").await.is_err());
    namespace.put(&named(&namespace, "j:", first.id), b"nonsense");
    storage.enqueue(vec![second.clone()], "ann").await.unwrap();
    redis::cmd("DEL").arg(named(&namespace, "j:", second.id)).exec(&mut namespace.redis()).unwrap();
    storage.enqueue(vec![third], "ann").await.unwrap();
}

#[tokio::test]
async fn a_replacement_of_a_job_of_the_same_call_leaves_no_trace_of_the_first() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let states = [State::Scheduled, State::Awaiting, State::Enqueued].into();
    let rule = UniqueRule { key: Digest([1; 32]), states, period_ms: None, on_conflict: OnConflict::Replace };
    let with = |start, payload: &str| NewJob {
        start,
        payload: payload.parse().unwrap(),
        conditions: Conditions { unique: Some(rule.clone()), ..Conditions::default() },
        ..job()
    };
    let jobs =
        vec![with(Start::After(50), "1"), with(Start::Now, "2"), with(Start::After(70), "3"), with(Start::Now, "4")];
    let id = jobs[0].id;
    let enqueued = storage.enqueue(jobs, "ann").await.unwrap();
    assert!(enqueued.iter().all(|job| job.id == id) && enqueued[3].replaced);
    let detail = storage.job(id).await.unwrap().unwrap();
    assert_eq!((detail.job.state, detail.payload.as_str(), detail.history.len()), (State::Enqueued, "4", 4));
    let scheduled = JobFilter { state: Some(State::Scheduled), ..JobFilter::default() };
    assert!(storage.jobs(&scheduled, None, 9).await.unwrap().items.is_empty());
    assert_eq!(storage.promote(9).await.unwrap().next_in_ms, None);
    let host = server(&*storage).await;
    let runs = claim_all(&*storage, host).await;
    assert_eq!(runs.iter().map(|run| run.payload.as_str()).collect::<Vec<_>>(), ["4"]);
}

#[tokio::test]
async fn more_limits_than_there_may_be_are_refused() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    for number in 0..MAX_LIMITS {
        storage.put_limit(&target(&format!("key:k{number}")), at_once(1)).await.unwrap();
    }
    storage.put_limit(&target("key:k7"), at_once(2)).await.unwrap();
    let refused = storage.put_limit(&target("key:one-more"), at_once(1)).await;
    assert!(matches!(&refused, Err(StorageError::TooLarge(text)) if text.contains("1000 limits")), "{refused:?}");
    assert_eq!(storage.limits().await.unwrap().len(), MAX_LIMITS);
}

#[tokio::test]
async fn a_damaged_limit_is_named_by_the_export_and_keeps_no_other_from_its_work() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    storage.put_limit(&target("key:a"), at_once(1)).await.unwrap();
    storage.put_limit(&target("key:b"), at_once(1)).await.unwrap();
    let limits = format!("{}limits", namespace.prefix());
    redis::cmd("HSET").arg(&limits).arg("key:b").arg("nonsense").exec(&mut namespace.redis()).unwrap();
    storage.enqueue(vec![keyed("a"), keyed("a"), keyed("b"), keyed("b")], "ann").await.unwrap();
    let host = server(&*storage).await;
    assert_eq!(claim_all(&*storage, host).await.len(), 3, "what is damaged limits nothing");
    assert_eq!(storage.limits().await.unwrap().len(), 1);
    let skipped = storage.export_readable(None, 100).await.unwrap().skipped;
    assert!(skipped.len() == 1 && skipped[0].contains("key:b"), "{skipped:?}");
    storage.put_limit(&target("key:b"), at_once(3)).await.unwrap();
    assert_eq!(storage.limits().await.unwrap()[1].running, 2);
}

#[tokio::test]
async fn many_keys_that_are_let_go_of_at_once_are_looked_at_step_by_step() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    storage.put_limit(&target("key:*"), at_once(1)).await.unwrap();
    let host = server(&*storage).await;
    for number in 0..400 {
        storage.enqueue([(); 3].map(|()| keyed(&format!("k{number}"))).to_vec(), "ann").await.unwrap();
    }
    assert_eq!(claim_all(&*storage, host).await.len(), 400);
    let shown = storage.limits().await.unwrap().remove(0);
    assert_eq!((shown.running, shown.held, shown.keys), (400, 800, Some(400)));
    assert!(storage.remove_limit(&shown.target).await.unwrap());
    let mut steps = 0;
    while storage.promote(100).await.unwrap().next_in_ms.is_some() {
        steps += 1;
        assert!(steps < 20);
    }
    assert!(steps > 4, "{steps}");
    assert_eq!(claim(&*storage, host, 2_000).await.len(), 800);
}

#[tokio::test]
async fn a_place_of_a_run_whose_record_is_damaged_is_given_back_with_its_server() {
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    for limit in ["queue:default", "handler:shop/bill"] {
        storage.put_limit(&target(limit), at_once(1)).await.unwrap();
    }
    let host = server(&*storage).await;
    let (first, second) = (job(), job());
    storage.enqueue(vec![first.clone(), second.clone()], "ann").await.unwrap();
    assert_eq!(claim_all(&*storage, host).await.len(), 1);
    namespace.put(&named(&namespace, "j:", first.id), b"nonsense");
    storage.leave(host).await.unwrap();
    assert!(storage.limits().await.unwrap().iter().all(|limit| limit.running == 0));
    let host = server(&*storage).await;
    assert_eq!(claim_all(&*storage, host).await[0].fence.job, second.id);
}

/// Promotes, claims and settles until nothing comes any more.
async fn drain(storage: &RedisStorage, clock: &TestClock) -> usize {
    let host = server(storage).await;
    let (mut done, mut idle) = (0, 0);
    while idle < 70 {
        let promoted = storage.promote(50).await.unwrap();
        let runs = claim(storage, host, 7).await;
        for run in &runs {
            settle(storage, run).await.unwrap();
        }
        done += runs.len();
        idle = if runs.is_empty() && promoted.moved == 0 { idle + 1 } else { 0 };
        if runs.is_empty() && promoted.next_in_ms != Some(0) {
            clock.advance_ms(i64::try_from(promoted.next_in_ms.unwrap_or(100)).unwrap());
        }
    }
    done
}

#[tokio::test]
async fn whatever_limits_are_put_and_removed_everything_drains() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (namespace, clock) = (Namespace::new(), clock());
    let storage = open_on(&namespace, &clock).await;
    let targets = ["queue:default", "queue:b", "handler:shop/bill", "key:a", "key:b", "key:*", "key:a*"];
    let mut made = 0;
    for _ in 0..60 {
        let limit = target(targets[random.usize(..targets.len())]);
        match random.u8(..6) {
            0 => drop(storage.remove_limit(&limit).await.unwrap()),
            1 => storage.put_limit(&limit, at_once(random.u32(1..4))).await.unwrap(),
            2 => {
                let rate = Some(Rate { count: random.u32(1..5), period_ms: 1_000 });
                storage.put_limit(&limit, LimitRule { concurrency: None, rate }).await.unwrap();
            }
            3 | 4 => {
                let mut jobs = [(); 5].map(|()| keyed(["a", "b", "ab", "c"][random.usize(..4)]));
                for job in &mut jobs {
                    job.queue = ["default", "b"][random.usize(..2)].parse().unwrap();
                    job.priority = random.u8(..10);
                }
                made += jobs.len();
                storage.enqueue(jobs.to_vec(), "ann").await.unwrap();
            }
            _ => {
                let host = server(&*storage).await;
                claim(&*storage, host, 3).await;
                storage.leave(host).await.unwrap();
            }
        }
        clock.advance_ms(random.i64(1..300));
    }
    assert_eq!(drain(&storage, &clock).await, made);
    assert_eq!(storage.counts().await.unwrap().of(State::Succeeded), u64::try_from(made).unwrap());
    let shown = storage.limits().await.unwrap();
    assert!(shown.iter().all(|limit| (limit.running, limit.held) == (0, 0)), "{shown:?}");
    clock.advance_ms(2 * DAY_MS);
    while storage.prune(500).await.unwrap() > 0 {}
    for limit in shown {
        storage.remove_limit(&limit.target).await.unwrap();
    }
    storage.promote(9).await.unwrap();
    for left in namespace.new_keys(&[]) {
        let known = ["format", "meta", "servers"].contains(&left.as_str());
        let of_others = ["n:", "spans:", "v:"].iter().any(|start| left.starts_with(start));
        assert!(known || of_others, "{left} is left behind");
    }
}

/// How often a command was called since the last look, by scripts too.
fn calls_of(redis: &Redis, command: &str) -> u64 {
    let stats = redis.ask(&["INFO", "commandstats"]).unwrap();
    redis.ask(&["CONFIG", "RESETSTAT"]).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn without_limits_a_claim_or_a_settlement_looks_once_whether_there_are_any_and_an_enqueue_never() {
    let redis = Redis::start().unwrap();
    let storage = RedisStorage::connect(&redis.url(), RedisOptions::default()).await.unwrap();
    let host = server(&*storage).await;
    calls_of(&redis, "hgetall");
    storage.enqueue((0..100).map(|_| job()).collect(), "ann").await.unwrap();
    assert_eq!(calls_of(&redis, "hgetall"), 0);
    let runs = claim(&*storage, host, 100).await;
    assert_eq!((runs.len(), calls_of(&redis, "hgetall")), (100, 1));
    for run in &runs[..10] {
        success(&*storage, run).await.unwrap();
    }
    assert_eq!(calls_of(&redis, "hgetall"), 10);
    // Nothing of jobs with relatives is looked at for jobs that have none.
    success(&*storage, &runs[10]).await.unwrap();
    assert_eq!(calls_of(&redis, "lrange"), 0);
}
