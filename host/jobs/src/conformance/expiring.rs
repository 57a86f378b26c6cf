//! Jobs that must have been started by an instant.

use windlass_api::{After, ContinueOn, JobId, RequeueRequest, State, Timestamp};

use super::world::{World, job, retry};
use crate::{Conditions, NewJob, Start, storage::Promoted};

fn until(expires_at: Timestamp) -> NewJob {
    NewJob { conditions: Conditions { expires_at: Some(expires_at), ..Conditions::default() }, ..job() }
}

async fn has_expired(world: &World, job: JobId) -> bool {
    let detail = world.detail(job).await;
    let line = detail.history.last().unwrap();
    let told = (detail.job.state, detail.job.reason.as_deref()) == (State::Deleted, Some("expired"));
    told && line.by == "scheduler" && detail.expires_at.is_none()
}

pub async fn a_job_that_was_not_started_in_time_is_deleted(world: World) {
    let at = world.now().plus_ms(100);
    let waiting = world.add(until(at)).await;
    let scheduled = world.add(NewJob { start: Start::After(1_000), ..until(at) }).await;
    let lacking =
        world.add(NewJob { start: Start::WithHandler, handler: "lacking".parse().unwrap(), ..until(at) }).await;
    let parent = world.add(NewJob { start: Start::After(9_000), ..job() }).await;
    let mut child = until(at);
    child.conditions.after = Some(After { jobs: vec![parent], on: ContinueOn::Success });
    let child = world.add(child).await;
    assert_eq!(world.detail(waiting).await.expires_at, Some(at));
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: Some(100) });
    world.clock.advance_ms(99);
    assert_eq!(world.promote().await.next_in_ms, Some(1));
    world.clock.advance_ms(1);
    world.promote().await;
    for job in [waiting, scheduled, lacking, child] {
        assert!(has_expired(&world, job).await);
    }
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: Some(8_900) });
    assert!(world.claim(world.server().await, 9, 9).await.is_empty());
}

pub async fn a_claim_hands_over_nothing_that_has_expired(world: World) {
    let expired = world.add(NewJob { priority: 0, ..until(world.now().plus_ms(10)) }).await;
    let fresh = world.add(job()).await;
    world.clock.advance_ms(10);
    let server = world.server().await;
    let mut claimed = world.claim(server, 1, 0).await;
    if claimed.is_empty() {
        // The slot of the one that had expired may be filled by the next claim.
        claimed = world.claim(server, 1, 0).await;
    }
    assert_eq!(claimed.iter().map(|run| run.fence.job).collect::<Vec<_>>(), [fresh]);
    assert!(has_expired(&world, expired).await);
}

pub async fn a_job_that_has_been_started_no_longer_expires(world: World) {
    let started = world.add(until(world.now().plus_ms(100))).await;
    let run = world.claim_one(world.server().await).await;
    assert_eq!(world.detail(started).await.expires_at, None);
    world.settle(&run, retry(500)).await.unwrap();
    world.clock.advance_ms(200);
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: Some(300) });
    assert_eq!(world.state(started).await, State::Scheduled);
}

pub async fn a_job_that_is_requeued_no_longer_expires(world: World) {
    let at = world.now().plus_ms(100);
    let id = world.add(NewJob { start: Start::After(50), ..until(at) }).await;
    world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    world.clock.advance_ms(200);
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: None });
    assert_eq!(world.claim_one(world.server().await).await.fence.job, id);
}

pub async fn expiries_are_done_in_bounded_steps(world: World) {
    let at = world.now().plus_ms(5);
    let jobs = (0..25).map(|_| until(at)).collect::<Vec<_>>();
    world.storage.enqueue(jobs, "ann").await.unwrap();
    world.clock.advance_ms(5);
    for left in [15, 5, 0] {
        let promoted = world.storage.promote(10).await.unwrap();
        assert_eq!(promoted.next_in_ms, (left > 0).then_some(0));
        assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), left);
    }
}

pub async fn an_expiry_is_moved_with_its_job(world: World) {
    let id = world.add(until(world.now().plus_ms(100))).await;
    let other = world.another().await;
    other.storage.import(super::moving::exported(&world, 1_000).await).await.unwrap();
    assert_eq!(other.detail(id).await, world.detail(id).await);
    world.clock.advance_ms(100);
    other.promote().await;
    assert!(has_expired(&other, id).await);
}
