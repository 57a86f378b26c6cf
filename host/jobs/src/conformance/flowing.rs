//! Jobs that continue others.

use windlass_api::{After, ContinueOn, JobId, Mode, RequeueRequest, State};

use super::world::{World, failure, job, json, retry, success};
use crate::{
    Conditions, NewJob, Next, Settlement, Start,
    storage::{Commanded, Refusal, Signal, StorageError},
};

const DAY_MS: i64 = 24 * 3_600_000;

/// A job that continues others.
fn after(parents: &[JobId], on: ContinueOn) -> NewJob {
    let after = Some(After { jobs: parents.to_vec(), on });
    NewJob { queue: "children".parse().unwrap(), conditions: Conditions { after, ..Conditions::default() }, ..job() }
}

/// State and reason.
async fn stands(world: &World, job: JobId) -> (State, Option<String>) {
    let shown = world.detail(job).await.job;
    (shown.state, shown.reason)
}

async fn waits(world: &World, job: JobId) -> bool {
    stands(world, job).await == (State::Awaiting, Some("parents".into()))
}

async fn is_gone(world: &World, job: JobId) -> bool {
    stands(world, job).await == (State::Deleted, Some("parent-gone".into()))
}

/// Runs this job, which must be the next one of the queue `default`, to this end.
async fn end(world: &World, job: JobId, next: Next) {
    let server = world.server().await;
    let request =
        crate::storage::ClaimRequest { server, queues: vec!["default".parse().unwrap()], sync_free: 1, async_free: 0 };
    let run = world.storage.claim(&request).await.unwrap().remove(0);
    assert_eq!(run.fence.job, job);
    world.settle(&run, next).await.unwrap();
}

fn failed() -> Next {
    Next::Failed { failure: failure("no") }
}

pub async fn a_continuation_waits_for_all_of_its_parents(world: World) {
    let (first, second) = (world.add(job()).await, world.add(job()).await);
    let child = world.add(after(&[second, first], ContinueOn::Success)).await;
    assert!(waits(&world, child).await);
    end(&world, first, success()).await;
    assert!(waits(&world, child).await);
    let relations = world.storage.relations(child, None, 10).await.unwrap().unwrap();
    let shown = relations.parents.iter().map(|parent| (parent.id, parent.state, parent.met)).collect::<Vec<_>>();
    assert_eq!(shown, [(second, Some(State::Enqueued), false), (first, Some(State::Succeeded), true)]);
    world.clock.advance_ms(5);
    end(&world, second, success()).await;
    let detail = world.detail(child).await;
    assert_eq!((detail.job.state, detail.job.reason), (State::Enqueued, None));
    let line = detail.history.last().unwrap();
    assert_eq!((line.from, line.by.as_str(), line.at), (Some(State::Awaiting), "scheduler", world.now()));
    assert_eq!(detail.history[0].reason.as_deref(), Some("parents"));
    assert_eq!(detail.after, Some(After { jobs: vec![second, first], on: ContinueOn::Success }));
    let run = world.claim_one(world.server().await).await;
    assert_eq!((run.fence.job, run.parents), (child, vec![second, first]));
}

pub async fn the_children_of_a_job_are_shown_in_the_order_of_their_making(world: World) {
    let parent = world.add(job()).await;
    let mut children = Vec::new();
    for _ in 0..5 {
        world.clock.advance_ms(1);
        children.push(world.add(after(&[parent], ContinueOn::Finished)).await);
    }
    let (mut shown, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let relations = world.storage.relations(parent, cursor.as_deref(), 2).await.unwrap().unwrap();
        assert!(relations.parents.is_empty() && relations.children.items.len() <= 2);
        for child in relations.children.items {
            assert_eq!((child.on, child.met, child.state), (ContinueOn::Finished, false, Some(State::Awaiting)));
            assert_eq!(child.handler.unwrap().as_str(), "bill");
            shown.push(child.id);
        }
        cursor = relations.children.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(shown, children);
    assert!(world.storage.relations(job().id, None, 10).await.unwrap().is_none());
}

pub async fn a_failed_parent_holds_those_that_want_its_success_until_it_is_requeued(world: World) {
    let parent = world.add(job()).await;
    let child = world.add(after(&[parent], ContinueOn::Success)).await;
    end(&world, parent, failed()).await;
    assert!(waits(&world, child).await);
    world.storage.requeue(parent, RequeueRequest::default(), "ann").await.unwrap();
    end(&world, parent, success()).await;
    assert_eq!(world.state(child).await, State::Enqueued);
}

pub async fn a_failure_releases_those_that_want_it_and_a_success_deletes_them(world: World) {
    let (bad, good) = (world.add(job()).await, world.add(job()).await);
    let on_bad = world.add(after(&[bad], ContinueOn::Failure)).await;
    let on_good = world.add(after(&[good], ContinueOn::Failure)).await;
    end(&world, bad, retry(1)).await;
    assert!(waits(&world, on_bad).await, "a failure that is tried again is none yet");
    world.clock.advance_ms(1);
    world.storage.requeue(bad, RequeueRequest::default(), "ann").await.unwrap();
    end(&world, good, success()).await;
    end(&world, bad, failed()).await;
    assert_eq!(world.state(on_bad).await, State::Enqueued);
    assert!(is_gone(&world, on_good).await);
    assert_eq!(world.detail(on_good).await.history.last().unwrap().by, "scheduler");
}

pub async fn whatever_happens_releases_those_that_want_just_the_end(world: World) {
    for next in [success(), failed(), Next::Cancelled] {
        let parent = world.add(job()).await;
        let child = world.add(after(&[parent], ContinueOn::Finished)).await;
        end(&world, parent, next).await;
        assert_eq!(world.state(child).await, State::Enqueued);
    }
    let parent = world.add(job()).await;
    let child = world.add(after(&[parent], ContinueOn::Finished)).await;
    world.storage.cancel(parent, "ann").await.unwrap();
    assert_eq!(world.state(child).await, State::Enqueued);
}

pub async fn a_deleted_parent_deletes_its_children_and_theirs(world: World) {
    let parent = world.add(job()).await;
    let child = world.add(after(&[parent], ContinueOn::Success)).await;
    let grandchild = world.add(after(&[child], ContinueOn::Success)).await;
    let whatever = world.add(after(&[child], ContinueOn::Finished)).await;
    world.storage.delete(parent, "ann").await.unwrap();
    assert!(is_gone(&world, child).await && is_gone(&world, grandchild).await);
    assert_eq!(world.state(whatever).await, State::Enqueued);
}

pub async fn parents_that_have_ended_are_judged_when_the_child_is_made(world: World) {
    let (good, bad, gone) = (world.add(job()).await, world.add(job()).await, world.add(job()).await);
    end(&world, good, success()).await;
    end(&world, bad, failed()).await;
    world.storage.cancel(gone, "ann").await.unwrap();
    let cases = [
        (good, ContinueOn::Success, State::Enqueued),
        (bad, ContinueOn::Success, State::Awaiting),
        (gone, ContinueOn::Success, State::Deleted),
        (good, ContinueOn::Failure, State::Deleted),
        (bad, ContinueOn::Failure, State::Enqueued),
        (gone, ContinueOn::Failure, State::Deleted),
        (good, ContinueOn::Finished, State::Enqueued),
        (bad, ContinueOn::Finished, State::Enqueued),
        (gone, ContinueOn::Finished, State::Enqueued),
    ];
    for (parent, on, state) in cases {
        let child = world.add(after(&[parent], on)).await;
        let detail = world.detail(child).await;
        assert_eq!(detail.job.state, state, "{on}");
        assert_eq!(detail.history.len(), 1);
        assert_eq!(detail.job.finished_at.is_some(), state == State::Deleted);
    }
}

pub async fn a_parent_that_is_not_there_is_refused_and_nothing_stored(world: World) {
    let missing = job().id;
    let first = job();
    let jobs = vec![first.clone(), after(&[missing], ContinueOn::Success)];
    let refused = world.storage.enqueue(jobs, "ann").await;
    let Err(StorageError::Refused { position: 1, refusal: Refusal::UnknownParent { parent } }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(parent, missing);
    assert!(world.storage.job(first.id).await.unwrap().is_none());
}

pub async fn a_job_may_continue_one_of_the_same_call(world: World) {
    let first = job();
    let second = after(&[first.id], ContinueOn::Success);
    let third = after(&[second.id, first.id], ContinueOn::Success);
    let ids = [first.id, second.id, third.id];
    world.storage.enqueue(vec![first, second, third], "ann").await.unwrap();
    assert!(waits(&world, ids[1]).await && waits(&world, ids[2]).await);
    end(&world, ids[0], success()).await;
    assert_eq!((world.state(ids[1]).await, waits(&world, ids[2]).await), (State::Enqueued, true));
}

pub async fn a_continuation_starts_as_asked_from_when_its_parents_are_done(world: World) {
    let parent = world.add(job()).await;
    let delayed = world.add(NewJob { start: Start::After(100), ..after(&[parent], ContinueOn::Success) }).await;
    let at = Start::At(world.now().plus_ms(70));
    let at = world.add(NewJob { start: at, ..after(&[parent], ContinueOn::Success) }).await;
    let past = world.add(NewJob { start: Start::At(world.now()), ..after(&[parent], ContinueOn::Success) }).await;
    let lacking = NewJob {
        start: Start::WithHandler,
        handler: "lacking".parse().unwrap(),
        ..after(&[parent], ContinueOn::Success)
    };
    let lacking = world.add(lacking).await;
    world.clock.advance_ms(50);
    assert_eq!(world.promote().await.moved, 0);
    end(&world, parent, success()).await;
    assert_eq!(world.detail(delayed).await.job.run_at, Some(world.now().plus_ms(100)));
    assert_eq!(world.detail(at).await.job.run_at, Some(world.now().plus_ms(20)));
    assert_eq!(world.state(past).await, State::Enqueued);
    assert_eq!(stands(&world, lacking).await, (State::Awaiting, Some("handler-missing".into())));
    world.clock.advance_ms(100);
    assert_eq!(world.promote().await.moved, 2);
    world.deploy(1, &[("bill", Mode::Sync), ("lacking", Mode::Async)]).await;
    assert_eq!(world.state(lacking).await, State::Enqueued);
    assert_eq!(world.claim(world.server().await, 9, 9).await.len(), 4);
}

pub async fn an_activation_leaves_alone_what_waits_for_its_parents(world: World) {
    let parent = world.add(NewJob { start: Start::After(1_000_000), ..job() }).await;
    let child = world.add(after(&[parent], ContinueOn::Success)).await;
    world.deploy(1, &[("bill", Mode::Async)]).await;
    assert!(waits(&world, child).await);
    world.storage.requeue(parent, RequeueRequest::default(), "ann").await.unwrap();
    let server = world.server().await;
    let run = world.claim(server, 9, 9).await.remove(0);
    world.settle(&run, success()).await.unwrap();
    let run = world.claim(server, 0, 9).await.remove(0);
    assert_eq!((run.fence.job, run.mode), (child, Mode::Async));
}

pub async fn a_child_that_is_requeued_or_deleted_no_longer_waits(world: World) {
    let parent = world.add(job()).await;
    let requeued = world.add(after(&[parent], ContinueOn::Success)).await;
    let deleted = world.add(after(&[parent], ContinueOn::Success)).await;
    let how = RequeueRequest::default();
    assert_eq!(world.storage.requeue(requeued, how, "ann").await.unwrap(), Commanded::Done(State::Enqueued));
    assert_eq!(world.storage.cancel(deleted, "ann").await.unwrap(), Commanded::Done(State::Deleted));
    end(&world, parent, success()).await;
    assert_eq!(world.detail(requeued).await.history.len(), 2, "it is released once");
    assert_eq!(stands(&world, deleted).await, (State::Deleted, Some("cancelled".into())));
    let parents = world.storage.relations(requeued, None, 1).await.unwrap().unwrap().parents;
    assert!(parents[0].met);
}

pub async fn a_follow_up_may_continue_the_job_that_made_it(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    let (own, lost) = (after(&[id], ContinueOn::Success), after(&[job().id], ContinueOn::Success));
    let ids = (own.id, lost.id);
    let settlement = Settlement {
        fence: run.fence,
        next: Next::Succeeded { result: Some(json("[7]")) },
        usage: windlass_api::Usage::default(),
        follow_ups: vec![own, lost],
    };
    assert_eq!(world.storage.settle(vec![settlement]).await.unwrap(), [Ok(State::Succeeded)]);
    assert_eq!(world.state(ids.0).await, State::Enqueued);
    assert!(is_gone(&world, ids.1).await, "a follow-up fails nothing");
}

pub async fn a_lost_servers_jobs_release_their_children_when_they_end(world: World) {
    let parent = world.add(NewJob { max_attempts: 1, ..job() }).await;
    let on_failure = world.add(after(&[parent], ContinueOn::Failure)).await;
    let server = world.server().await;
    world.claim_one(server).await;
    world.lose(server).await;
    assert_eq!((world.state(parent).await, world.state(on_failure).await), (State::Failed, State::Enqueued));
}

pub async fn a_child_that_is_released_tells_of_work_and_one_that_is_deleted_of_its_end(world: World) {
    let Some(wake) = world.storage.wake() else { return };
    let parent = world.add(job()).await;
    let child = world.add(after(&[parent], ContinueOn::Success)).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    let mut signals = wake.signals();
    world.settle(&run, success()).await.unwrap();
    super::world::told(&mut signals, Signal::Work).await;
    let last = world.add(NewJob { start: Start::After(9), ..job() }).await;
    let gone = world.add(after(&[last], ContinueOn::Success)).await;
    let Some(mut ends) = wake.ends() else { return };
    world.storage.delete(last, "ann").await.unwrap();
    let mut told = vec![ends.recv().await.unwrap(), ends.recv().await.unwrap()];
    told.sort();
    let mut expected = vec![last, gone];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(world.state(child).await, State::Enqueued);
}

pub async fn a_long_chain_is_deleted_step_by_step(world: World) {
    let parent = world.add(job()).await;
    let mut jobs = Vec::new();
    let mut last = parent;
    for _ in 0..350 {
        jobs.push(after(&[last], ContinueOn::Success));
        last = jobs.last().unwrap().id;
    }
    world.storage.enqueue(jobs, "ann").await.unwrap();
    world.storage.delete(parent, "ann").await.unwrap();
    let mut steps = 0;
    while world.promote().await.next_in_ms.is_some() {
        steps += 1;
        assert!(steps < 20, "each step goes on with it");
    }
    assert!(is_gone(&world, last).await);
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Deleted, 351)].into());
}

pub async fn many_children_are_released_step_by_step(world: World) {
    let parent = world.add(job()).await;
    let jobs = (0..350).map(|_| after(&[parent], ContinueOn::Success)).collect::<Vec<_>>();
    world.storage.enqueue(jobs, "ann").await.unwrap();
    end(&world, parent, success()).await;
    let mut steps = 0;
    while world.promote().await.next_in_ms.is_some() {
        steps += 1;
        assert!(steps < 20, "each step goes on with it");
    }
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 350);
}

pub async fn a_succeeded_parent_is_kept_while_a_child_is_unfinished(world: World) {
    let (kept, plain) = (world.add(job()).await, world.add(job()).await);
    let child =
        world.add(NewJob { start: Start::After(3 * 24 * 3_600_000), ..after(&[kept], ContinueOn::Success) }).await;
    end(&world, kept, success()).await;
    end(&world, plain, success()).await;
    world.clock.advance_ms(2 * DAY_MS);
    while world.storage.prune(100).await.unwrap() > 0 {}
    assert!(world.storage.job(plain).await.unwrap().is_none());
    assert_eq!(world.state(kept).await, State::Succeeded);
    world.storage.delete(child, "ann").await.unwrap();
    world.clock.advance_ms(2 * DAY_MS);
    while world.storage.prune(100).await.unwrap() > 0 {}
    assert!(world.storage.job(kept).await.unwrap().is_none());
    assert!(world.storage.job(child).await.unwrap().is_none());
}

pub async fn with_a_failed_parent_that_is_removed_those_that_wait_for_it_are_deleted(world: World) {
    let parent = world.add(job()).await;
    let child = world.add(after(&[parent], ContinueOn::Success)).await;
    end(&world, parent, failed()).await;
    world.clock.advance_ms(30 * DAY_MS);
    while world.storage.prune(100).await.unwrap() > 0 {}
    world.promote().await;
    assert!(world.storage.job(parent).await.unwrap().is_none());
    assert!(is_gone(&world, child).await);
    let parents = world.storage.relations(child, None, 1).await.unwrap().unwrap().parents;
    assert_eq!((parents[0].id, parents[0].state, parents[0].module.clone()), (parent, None, None));
}

pub async fn what_waits_for_its_parents_waits_for_them_where_it_is_moved(world: World) {
    let (first, second) = (world.add(job()).await, world.add(job()).await);
    let child = world.add(NewJob { start: Start::After(40), ..after(&[first, second], ContinueOn::Success) }).await;
    end(&world, first, success()).await;
    let other = world.another().await;
    other.storage.import(super::moving::exported(&world, 1_000).await).await.unwrap();
    assert!(waits(&other, child).await);
    assert_eq!(other.detail(child).await, world.detail(child).await);
    let relations = other.storage.relations(child, None, 10).await.unwrap();
    assert_eq!(relations, world.storage.relations(child, None, 10).await.unwrap());
    end(&other, second, success()).await;
    assert_eq!(other.detail(child).await.job.run_at, Some(world.now().plus_ms(40)));
    let third = world.another().await;
    let mut records = super::moving::exported(&world, 1_000).await;
    records.retain(|record| !matches!(record, crate::storage::Record::Job(job) if job.detail.job.id == second));
    third.storage.import(records).await.unwrap();
    assert!(is_gone(&third, child).await, "its parent is not here");
}
