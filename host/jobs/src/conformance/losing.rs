//! Servers that are lost, and those that leave.

use windlass_api::{Cause, RequeueRequest, SlotUse, State};

use super::world::{World, job, success, told_of_end};
use crate::storage::{Heartbeat, Wake};

pub async fn a_lost_servers_job_is_enqueued_with_its_attempt_counted(world: World) {
    let id = world.add(job()).await;
    let lost = world.server().await;
    world.claim_one(lost).await;
    assert_eq!(world.lose(lost).await, 1);
    let detail = world.detail(id).await;
    assert_eq!((detail.job.state, detail.job.attempt, detail.job.server), (State::Enqueued, 1, None));
    let last = detail.history.last().unwrap();
    assert_eq!((last.by.as_str(), last.reason.as_deref(), last.run), ("sweeper", Some("server-lost"), Some(1)));
    let again = world.claim_one(world.server().await).await;
    assert_eq!((again.attempt, again.fence.run), (2, 2));
}

pub async fn a_job_that_loses_three_servers_is_poison(world: World) {
    let mut new = job();
    new.max_attempts = 100;
    let id = world.add(new).await;
    for expected in [State::Enqueued, State::Enqueued, State::Failed] {
        let lost = world.server().await;
        world.claim_one(lost).await;
        world.lose(lost).await;
        assert_eq!(world.state(id).await, expected);
    }
    let shown = world.detail(id).await.job;
    assert_eq!((shown.reason.as_deref(), shown.failure.unwrap().cause), (Some("poison"), Cause::Poison));
}

pub async fn a_lost_job_without_attempts_left_fails(world: World) {
    let mut new = job();
    new.max_attempts = 1;
    let id = world.add(new).await;
    let lost = world.server().await;
    world.claim_one(lost).await;
    world.lose(lost).await;
    let shown = world.detail(id).await.job;
    assert_eq!((shown.state, shown.failure.unwrap().cause), (State::Failed, Cause::ServerLost));
}

pub async fn a_lost_job_whose_cancel_was_asked_for_is_deleted(world: World) {
    let id = world.add(job()).await;
    let lost = world.server().await;
    world.claim_one(lost).await;
    world.storage.cancel(id, "ann").await.unwrap();
    world.lose(lost).await;
    let shown = world.detail(id).await.job;
    assert_eq!((shown.state, shown.reason.as_deref()), (State::Deleted, Some("cancelled")));
}

pub async fn a_server_that_has_beaten_again_is_not_swept(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    world.claim_one(server).await;
    let seen = world.pulse(server).await;
    assert_eq!(world.beat(server).await, Heartbeat::Alive { cancelled: Vec::new() });
    assert_ne!(world.pulse(server).await, seen);
    assert_eq!(world.storage.sweep(seen).await.unwrap(), None);
    assert_eq!(world.state(id).await, State::Processing);
}

pub async fn a_swept_server_is_refused_and_gets_no_jobs(world: World) {
    let server = world.server().await;
    let pulse = world.pulse(server).await;
    assert_eq!(world.storage.sweep(pulse).await.unwrap(), Some(0));
    assert_eq!(world.storage.sweep(pulse).await.unwrap(), None);
    assert_eq!(world.beat(server).await, Heartbeat::Refused);
    world.add(job()).await;
    assert!(world.claim(server, 9, 9).await.is_empty());
    assert!(world.storage.pulses().await.unwrap().is_empty());
}

pub async fn a_server_that_leaves_gives_its_attempts_back(world: World) {
    let ids = [world.add(job()).await, world.add(job()).await];
    let server = world.server().await;
    world.claim(server, 9, 0).await;
    world.storage.cancel(ids[1], "ann").await.unwrap();
    world.storage.leave(server).await.unwrap();
    let shown = world.detail(ids[0]).await.job;
    assert_eq!((shown.state, shown.attempt, shown.run), (State::Enqueued, 0, 1));
    assert_eq!(world.state(ids[1]).await, State::Deleted);
    assert_eq!(world.beat(server).await, Heartbeat::Refused);
    for _ in 0..3 {
        let next = world.server().await;
        assert_eq!(world.claim_one(next).await.attempt, 1);
        world.storage.leave(next).await.unwrap();
    }
    assert_eq!(world.state(ids[0]).await, State::Enqueued, "leaving is no loss");
}

pub async fn a_server_is_shown_with_its_slots_until_it_leaves(world: World) {
    let server = world.server().await;
    world.clock.advance_ms(5);
    world.beat(server).await;
    let shown = world.storage.servers().await.unwrap().remove(0);
    assert_eq!((shown.id, shown.host.as_str(), shown.pid), (server, "here", 7));
    assert_eq!((shown.sync_slots, shown.async_slots.total), (SlotUse { total: 4, busy: 1 }, 100));
    assert_eq!(shown.memory_bytes, Some(64 << 20));
    assert_eq!(shown.heartbeat_at.ms_since(shown.started_at), 5);
    world.storage.leave(server).await.unwrap();
    assert!(world.storage.servers().await.unwrap().is_empty());
}

pub async fn the_end_of_a_job_that_ends_with_its_server_is_told(world: World) {
    let mut new = job();
    new.max_attempts = 1;
    let id = world.add(new).await;
    let Some(mut ends) = world.storage.wake().and_then(Wake::ends) else { return };
    let lost = world.server().await;
    world.claim_one(lost).await;
    world.lose(lost).await;
    assert_eq!(world.state(id).await, State::Failed);
    told_of_end(&mut ends, id).await;
}

pub async fn a_requeue_counts_losses_and_attempts_anew(world: World) {
    let mut new = job();
    new.max_attempts = 3;
    let id = world.add(new).await;
    for _ in 0..2 {
        let lost = world.server().await;
        world.claim_one(lost).await;
        world.lose(lost).await;
    }
    let run = world.claim_one(world.server().await).await;
    assert_eq!((run.attempt, run.fence.run), (3, 3));
    world.settle(&run, success()).await.unwrap();
    world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(world.detail(id).await.job.attempt, 0);
    for expected in [(1, 4), (2, 5)] {
        let lost = world.server().await;
        let run = world.claim_one(lost).await;
        assert_eq!((run.attempt, run.fence.run), expected, "attempts start anew, runs never do");
        world.lose(lost).await;
        assert_eq!(world.state(id).await, State::Enqueued, "it has lost fewer than three since");
    }
    let lost = world.server().await;
    world.claim_one(lost).await;
    world.lose(lost).await;
    assert_eq!(world.detail(id).await.job.reason.as_deref(), Some("poison"));
}
