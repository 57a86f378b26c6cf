//! Jobs of which there is to be only one.

use std::collections::BTreeSet;

use windlass_api::{After, ContinueOn, Digest, JobId, OnConflict, RequeueRequest, State, UniqueRule, Usage};

use super::world::{World, failure, job, json, retry, success};
use crate::{
    Conditions, NewJob, Next, Settlement, Start,
    storage::{Commanded, RecurringEntry, Refusal, StorageError},
};

const UNFINISHED: [State; 4] = [State::Scheduled, State::Awaiting, State::Enqueued, State::Processing];

fn rule(key: u8, on_conflict: OnConflict) -> UniqueRule {
    UniqueRule { key: Digest([key; 32]), states: BTreeSet::from(UNFINISHED), period_ms: None, on_conflict }
}

fn with(rule: UniqueRule) -> NewJob {
    NewJob { conditions: Conditions { unique: Some(rule), ..Conditions::default() }, ..job() }
}

fn only(key: u8) -> NewJob {
    with(rule(key, OnConflict::Reject))
}

/// The job that stands in the way of this one; nothing where it was stored.
async fn holder(world: &World, new: NewJob) -> Option<JobId> {
    let id = new.id;
    match world.storage.enqueue(vec![new], "ann").await {
        Ok(enqueued) => {
            assert_eq!((enqueued[0].id, enqueued[0].existing), (id, false));
            None
        }
        Err(StorageError::Refused { position: 0, refusal: Refusal::Conflict { holder } }) => {
            assert!(world.storage.job(id).await.unwrap().is_none(), "what is refused is not stored");
            Some(holder)
        }
        Err(error) => panic!("{error}"),
    }
}

pub async fn a_second_job_of_a_key_is_refused_while_the_first_is_unfinished(world: World) {
    let server = world.server().await;
    let first = world.add(only(1)).await;
    assert_eq!(holder(&world, only(1)).await, Some(first));
    assert_eq!(holder(&world, only(2)).await, None);
    world.storage.delete(world.claim_from(server, &["default"], 2).await[1], "ann").await.unwrap();
    assert_eq!(holder(&world, only(1)).await, Some(first), "it is processing");
    world.lose(server).await;
    let server = world.server().await;
    let run = world.claim(server, 1, 0).await.remove(0);
    assert_eq!(run.fence.job, first);
    world.settle(&run, retry(10)).await.unwrap();
    assert_eq!(holder(&world, only(1)).await, Some(first), "it is scheduled");
    world.clock.advance_ms(10);
    world.promote().await;
    let mut runs = world.claim(server, 9, 0).await;
    runs.retain(|run| run.fence.job == first);
    world.settle(&runs[0], success()).await.unwrap();
    assert_eq!(holder(&world, only(1)).await, None, "it has ended");
    let detail = world.detail(first).await;
    assert_eq!(detail.unique, Some(rule(1, OnConflict::Reject)));
}

pub async fn the_states_and_the_period_of_the_newer_rule_decide(world: World) {
    let server = world.server().await;
    let first = world.add(only(1)).await;
    let run = world.claim_one(server).await;
    world.settle(&run, success()).await.unwrap();
    let counts = |states: &[State], period_ms| UniqueRule {
        states: states.iter().copied().collect(),
        period_ms,
        ..rule(1, OnConflict::Reject)
    };
    world.clock.advance_ms(99);
    assert_eq!(holder(&world, with(counts(&[State::Succeeded], Some(100)))).await, Some(first));
    assert_eq!(holder(&world, with(counts(&[State::Succeeded], None))).await, Some(first));
    world.clock.advance_ms(1);
    assert_eq!(holder(&world, with(counts(&[State::Succeeded], Some(100)))).await, None);
}

pub async fn a_conflict_within_a_call_refuses_the_whole_call(world: World) {
    let (first, second) = (only(1), only(1));
    let ids = (first.id, second.id);
    let refused = world.storage.enqueue(vec![job(), first, job(), second], "ann").await;
    let Err(StorageError::Refused { position: 3, refusal: Refusal::Conflict { holder } }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(holder, ids.0);
    assert!(world.storage.counts().await.unwrap().0.values().all(|count| *count == 0));
    assert_eq!(self::holder(&world, only(1)).await, None, "nothing is left of it");
}

pub async fn the_existing_job_is_given_instead_where_that_is_asked_for(world: World) {
    let first = world.add(only(1)).await;
    let (second, plain) = (with(rule(1, OnConflict::Existing)), job());
    let (id, plain_id) = (second.id, plain.id);
    let enqueued = world.storage.enqueue(vec![second, plain], "ann").await.unwrap();
    assert_eq!((enqueued[0].id, enqueued[0].existing, enqueued[0].replaced), (first, true, false));
    assert_eq!((enqueued[1].id, enqueued[1].existing), (plain_id, false));
    assert!(world.storage.job(id).await.unwrap().is_none());
}

pub async fn a_repeated_enqueue_of_a_unique_job_finds_itself(world: World) {
    let new = only(1);
    world.add(new.clone()).await;
    let again = world.storage.enqueue(vec![new.clone()], "ann").await.unwrap();
    assert_eq!((again[0].id, again[0].existing), (new.id, true));
}

pub async fn a_replacement_gives_the_waiting_job_its_payload_and_time(world: World) {
    let replacing = |payload: &str, start| NewJob {
        payload: json(payload),
        start,
        ..with(UniqueRule { states: BTreeSet::from(UNFINISHED), ..rule(1, OnConflict::Replace) })
    };
    let first = world.add(replacing("1", Start::After(100))).await;
    world.clock.advance_ms(60);
    let enqueued = world.storage.enqueue(vec![replacing("2", Start::After(100))], "bob").await.unwrap();
    assert_eq!((enqueued[0].id, enqueued[0].existing, enqueued[0].replaced), (first, true, true));
    let detail = world.detail(first).await;
    assert_eq!((detail.payload.as_str(), detail.job.run_at), ("2", Some(world.now().plus_ms(100))));
    let line = detail.history.last().unwrap();
    assert_eq!((line.to, line.by.as_str(), line.reason.as_deref()), (State::Scheduled, "bob", Some("replaced")));
    world.clock.advance_ms(60);
    assert_eq!(world.promote().await.moved, 0, "its time was put off");
    let filter = windlass_api::JobFilter { text: Some("2".into()), ..windlass_api::JobFilter::default() };
    assert_eq!(world.storage.jobs(&filter, None, 10).await.unwrap().items.len(), 1);
    world.storage.enqueue(vec![replacing("3", Start::Now)], "bob").await.unwrap();
    assert_eq!(world.state(first).await, State::Enqueued);
    let lines = world.detail(first).await.history.len();
    let enqueued = world.storage.enqueue(vec![replacing("4", Start::Now)], "bob").await.unwrap();
    assert!(enqueued[0].replaced);
    assert_eq!(world.detail(first).await.history.len(), lines, "it keeps its place");
    let run = world.claim_one(world.server().await).await;
    assert_eq!((run.fence.job, run.payload.as_str()), (first, "4"));
    let enqueued = world.storage.enqueue(vec![replacing("5", Start::Now)], "bob").await.unwrap();
    assert_eq!((enqueued[0].id, enqueued[0].existing, enqueued[0].replaced), (first, true, false), "it runs");
    assert_eq!(world.detail(first).await.payload.as_str(), "4");
    world.settle(&run, retry(10)).await.unwrap();
    let enqueued = world.storage.enqueue(vec![replacing("6", Start::Now)], "bob").await.unwrap();
    assert_eq!((enqueued[0].existing, enqueued[0].replaced), (true, false), "it has run");
}

pub async fn a_requeue_is_refused_where_another_job_holds_the_key(world: World) {
    let server = world.server().await;
    let first = world.add(only(1)).await;
    let run = world.claim_one(server).await;
    world.settle(&run, Next::Failed { failure: failure("no") }).await.unwrap();
    let second = world.add(only(1)).await;
    let how = RequeueRequest::default();
    assert_eq!(world.storage.requeue(first, how, "ann").await.unwrap(), Commanded::Conflict(second));
    assert_eq!(world.state(first).await, State::Failed);
    world.storage.delete(second, "ann").await.unwrap();
    assert_eq!(world.storage.requeue(first, how, "ann").await.unwrap(), Commanded::Done(State::Enqueued));
    assert_eq!(holder(&world, only(1)).await, Some(first), "it holds its key again");
    assert_eq!(world.storage.requeue(second, how, "ann").await.unwrap(), Commanded::Conflict(first));
}

pub async fn a_follow_up_or_a_recurring_job_that_conflicts_is_left_out(world: World) {
    let holder = world.add(only(1)).await;
    let parent = world.add(NewJob { priority: 0, ..job() }).await;
    let server = world.server().await;
    let run = world.claim(server, 1, 0).await.remove(0);
    assert_eq!(run.fence.job, parent);
    let (refused, plain) = (only(1), job());
    let ids = (refused.id, plain.id);
    let settlement =
        Settlement { fence: run.fence, next: success(), usage: Usage::default(), follow_ups: vec![refused, plain] };
    assert_eq!(world.storage.settle(vec![settlement]).await.unwrap(), [Ok(State::Succeeded)]);
    assert!(world.storage.job(ids.0).await.unwrap().is_none());
    assert_eq!(world.state(ids.1).await, State::Enqueued);
    let entry = RecurringEntry {
        name: "nightly".parse().unwrap(),
        definition: json("{}"),
        paused: false,
        next_at: None,
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    };
    let skipped = only(1);
    let id = skipped.id;
    let put = world.storage.put_recurring(entry, None, vec![skipped]).await.unwrap().unwrap();
    assert_eq!(put.jobs[0].id, holder);
    assert!(world.storage.job(id).await.unwrap().is_none());
    assert_eq!(world.state(holder).await, State::Enqueued);
}

pub async fn a_job_that_replaces_another_brings_its_own_expiry(world: World) {
    let now = world.now();
    let replacing = |key, start, expires_at| {
        let new = with(rule(key, OnConflict::Replace));
        NewJob { start, conditions: Conditions { expires_at, ..new.conditions }, ..new }
    };
    let parent = world.add(NewJob { start: Start::After(90_000), ..job() }).await;
    let child = |mut new: NewJob| {
        new.conditions.after = Some(After { jobs: vec![parent], on: ContinueOn::Success });
        new
    };
    for (key, start) in [(1, Start::After(2_000)), (2, Start::Now), (3, Start::WithHandler)] {
        let first = world.add(replacing(key, start, Some(now.plus_ms(4_000)))).await;
        let later = Some(now.plus_ms(6_000));
        let told = world.storage.enqueue(vec![replacing(key, start, later)], "ann").await.unwrap();
        assert_eq!((told[0].id, told[0].replaced), (first, true));
        assert_eq!(world.detail(first).await.expires_at, later, "{start:?}");
    }
    let waiting = world.add(child(replacing(4, Start::Now, Some(now.plus_ms(4_000))))).await;
    let never = world.add(replacing(5, Start::After(9_000), Some(now.plus_ms(4_000)))).await;
    let from_never = world.add(replacing(6, Start::After(9_000), None)).await;
    let again = vec![
        child(replacing(4, Start::Now, Some(now.plus_ms(6_000)))),
        replacing(5, Start::After(9_000), None),
        replacing(6, Start::After(9_000), Some(now.plus_ms(6_000))),
    ];
    assert!(world.storage.enqueue(again, "ann").await.unwrap().iter().all(|told| told.replaced));
    assert_eq!(world.detail(never).await.expires_at, None);
    world.clock.advance_ms(5_999);
    world.promote().await;
    let deleted = async || world.storage.counts().await.unwrap().of(State::Deleted);
    assert_eq!(deleted().await, 0, "none expires when the first call said");
    world.clock.advance_ms(1);
    world.promote().await;
    assert_eq!(deleted().await, 5);
    for expired in [waiting, from_never] {
        assert_eq!(world.detail(expired).await.job.reason.as_deref(), Some("expired"));
    }
    assert_eq!(world.state(never).await, State::Scheduled);
}

pub async fn a_removed_job_leaves_its_key_free(world: World) {
    let any = UniqueRule { states: State::ALL.iter().copied().collect(), ..rule(1, OnConflict::Reject) };
    let first = world.add(with(any.clone())).await;
    world.storage.delete(first, "ann").await.unwrap();
    assert_eq!(holder(&world, with(any.clone())).await, Some(first));
    world.clock.advance_ms(24 * 3_600_000);
    assert_eq!(world.storage.prune(100).await.unwrap(), 1);
    assert_eq!(holder(&world, with(any)).await, None);
}

pub async fn many_that_enqueue_at_once_make_one_job_of_a_key(world: World) {
    let calls = (0..20).map(|n| {
        let storage = world.storage.clone();
        // Keys in different orders, so that whoever locks them must not wait in a circle.
        let jobs = if n % 2 == 0 { vec![only(1), only(2)] } else { vec![only(2), only(1)] };
        async move { storage.enqueue(jobs, "ann").await }
    });
    let made = futures::future::join_all(calls).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    for refused in made.iter().filter_map(|made| made.as_ref().err()) {
        assert!(matches!(refused, StorageError::Refused { .. }), "{refused}");
    }
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 2);
}

pub async fn a_unique_job_that_is_moved_holds_its_key_there(world: World) {
    let first = world.add(only(1)).await;
    let other = world.another().await;
    other.storage.import(super::moving::exported(&world, 1_000).await).await.unwrap();
    assert_eq!(holder(&other, only(1)).await, Some(first));
    assert_eq!(other.detail(first).await, world.detail(first).await);
}
