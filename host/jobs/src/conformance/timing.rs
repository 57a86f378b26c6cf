//! What time brings.

use windlass_api::State;

use super::world::{World, failure, job, success};
use crate::{Next, Start, storage::Promoted};

const DAY_MS: i64 = 24 * 3_600_000;

pub async fn a_scheduled_job_is_promoted_to_the_millisecond(world: World) {
    let mut new = job();
    new.start = Start::After(100);
    let id = world.add(new).await;
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: Some(100) });
    world.clock.advance_ms(99);
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: Some(1) });
    assert_eq!(world.state(id).await, State::Scheduled);
    world.clock.advance_ms(1);
    assert_eq!(world.promote().await, Promoted { moved: 1, next_in_ms: None });
    assert_eq!(world.state(id).await, State::Enqueued);
    world.claim_one(world.server().await).await;
}

pub async fn no_more_are_promoted_than_asked_for(world: World) {
    for delay in 1..=5 {
        let mut new = job();
        new.start = Start::After(delay);
        world.add(new).await;
    }
    world.clock.advance_ms(4);
    assert_eq!(world.storage.promote(3).await.unwrap(), Promoted { moved: 3, next_in_ms: Some(0) });
    assert_eq!(world.storage.promote(3).await.unwrap(), Promoted { moved: 1, next_in_ms: Some(1) });
}

pub async fn ended_jobs_are_pruned_when_their_time_is_over(world: World) {
    let server = world.server().await;
    let mut ids = Vec::new();
    for next in [success(), Next::Failed { failure: failure("no") }, Next::Cancelled] {
        let mut new = job();
        new.tags = vec!["kept".into()];
        ids.push(world.add(new).await);
        let run = world.claim_one(server).await;
        world.settle(&run, next).await.unwrap();
    }
    let waiting = world.add(job()).await;
    world.clock.advance_ms(DAY_MS - 1);
    assert_eq!(world.storage.prune(100).await.unwrap(), 0);
    world.clock.advance_ms(1);
    assert_eq!(world.storage.prune(100).await.unwrap(), 2);
    assert_eq!(world.storage.job(ids[0]).await.unwrap(), None);
    assert_eq!(world.state(ids[1]).await, State::Failed);
    world.clock.advance_ms(29 * DAY_MS);
    assert_eq!(world.storage.prune(100).await.unwrap(), 1);
    assert_eq!(world.state(waiting).await, State::Enqueued);
    let filter = windlass_api::JobFilter { tag: Some("kept".into()), ..windlass_api::JobFilter::default() };
    assert!(world.storage.jobs(&filter, None, 10).await.unwrap().items.is_empty());
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Enqueued, 1)].into());
}

pub async fn a_prune_removes_no_more_than_asked_for(world: World) {
    for _ in 0..5 {
        let id = world.add(job()).await;
        world.storage.cancel(id, "ann").await.unwrap();
    }
    world.clock.advance_ms(DAY_MS);
    let mut removed = Vec::new();
    for _ in 0..4 {
        removed.push(world.storage.prune(2).await.unwrap());
    }
    assert_eq!(removed, [2, 2, 1, 0]);
}
