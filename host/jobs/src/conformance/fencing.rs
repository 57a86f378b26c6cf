//! A late writer changes nothing.

use windlass_api::{Json, LogLevel, LogLine, Progress, RequeueRequest, State};

use super::world::{World, job, json, retry, success};
use crate::{
    Claimed, Fence, Settlement,
    storage::{Note, Superseded},
};

fn note(fence: Fence, at: windlass_api::Timestamp) -> Note {
    let line = LogLine { run: fence.run, at, level: LogLevel::Info, message: "late".into(), fields: None };
    Note { fence, progress: Some(Progress { percent: 50.0, note: None, at }), lines: vec![line] }
}

/// Tries every write that a run may make, and sees that nothing came of it.
async fn can_write_nothing(world: &World, fence: Fence) {
    let before = world.detail(fence.job).await;
    let late = Settlement { fence, next: success(), usage: windlass_api::Usage::default(), follow_ups: vec![job()] };
    assert_eq!(world.storage.settle(vec![late]).await.unwrap(), [Err(Superseded)]);
    let noted = world.storage.note(vec![note(fence, before.job.created_at)]).await.unwrap();
    assert_eq!(noted, [Err(Superseded)]);
    assert_eq!(world.storage.put_checkpoint(fence, "late", &Json::null()).await.unwrap(), Err(Superseded));
    assert_eq!(world.detail(fence.job).await, before);
    assert_eq!(world.storage.checkpoint(fence.job, "late").await.unwrap(), None);
    assert!(world.storage.logs(fence.job, None, 10).await.unwrap().items.is_empty());
    assert_eq!(world.storage.counts().await.unwrap().0.values().sum::<u64>(), 1, "its follow-up must not be there");
}

async fn running(world: &World) -> Claimed {
    world.add(job()).await;
    let server = world.server().await;
    world.claim_one(server).await
}

pub async fn a_second_settlement_of_a_run_changes_nothing(world: World) {
    let run = running(&world).await;
    let settlement =
        |next| Settlement { fence: run.fence, next, usage: windlass_api::Usage::default(), follow_ups: Vec::new() };
    let batch = vec![settlement(retry(0)), settlement(success())];
    assert_eq!(world.storage.settle(batch).await.unwrap(), [Ok(State::Scheduled), Err(Superseded)]);
    can_write_nothing(&world, run.fence).await;
}

pub async fn a_run_that_was_swept_away_can_write_nothing(world: World) {
    let run = running(&world).await;
    assert_eq!(world.lose(run.fence.server).await, 1);
    can_write_nothing(&world, run.fence).await;
    let other = world.server().await;
    let next = world.claim_one(other).await;
    can_write_nothing(&world, run.fence).await;
    assert_eq!(world.settle(&next, success()).await, Ok(State::Succeeded));
    can_write_nothing(&world, run.fence).await;
}

pub async fn a_run_of_before_a_requeue_can_write_nothing(world: World) {
    let run = running(&world).await;
    world.settle(&run, success()).await.unwrap();
    world.storage.requeue(run.fence.job, RequeueRequest::default(), "me").await.unwrap();
    can_write_nothing(&world, run.fence).await;
    let next = world.claim_one(run.fence.server).await;
    assert_eq!((next.attempt, next.fence.run), (1, 2), "attempts start anew, runs never do");
    can_write_nothing(&world, run.fence).await;
}

pub async fn another_server_with_the_same_run_number_can_write_nothing(world: World) {
    let run = running(&world).await;
    let other = world.server().await;
    can_write_nothing(&world, Fence { server: other, ..run.fence }).await;
    can_write_nothing(&world, Fence { run: run.fence.run + 1, ..run.fence }).await;
    assert_eq!(world.storage.put_checkpoint(run.fence, "a", &json("1")).await.unwrap(), Ok(()));
}
