//! Handing jobs over.

use std::collections::HashSet;

use uuid::Uuid;
use windlass_api::{JobId, Mode, ServerId};

use super::world::{World, job};
use crate::{NewJob, Start};

async fn add(world: &World, queue: &str, priority: u8, mode: Mode) -> JobId {
    let mut new = job();
    (new.queue, new.priority, new.mode) = (queue.parse().unwrap(), priority, mode);
    // Ages are told apart by the clock, so that the order does not hang on how a storage numbers its jobs.
    world.clock.advance_ms(1);
    world.add(new).await
}

async fn sync_jobs(world: &World, server: ServerId, free: u32) -> Vec<JobId> {
    world.claim(server, free, 0).await.iter().map(|claimed| claimed.fence.job).collect()
}

pub async fn the_first_priority_and_then_the_oldest_is_claimed_first(world: World) {
    let server = world.server().await;
    let mut made = Vec::new();
    for priority in [5, 0, 9, 5, 0] {
        made.push(add(&world, "default", priority, Mode::Sync).await);
    }
    let expected = [made[1], made[4], made[0], made[3], made[2]];
    assert_eq!(sync_jobs(&world, server, 3).await, expected[..3]);
    assert_eq!(sync_jobs(&world, server, 3).await, expected[3..]);
}

pub async fn no_more_are_claimed_of_a_mode_than_it_has_free_slots(world: World) {
    let server = world.server().await;
    for mode in [Mode::Sync, Mode::Async, Mode::Sync, Mode::Async, Mode::Sync] {
        add(&world, "default", 5, mode).await;
    }
    let count = |claimed: &[crate::Claimed], mode| claimed.iter().filter(|claimed| claimed.mode == mode).count();
    let claimed = world.claim(server, 2, 1).await;
    assert_eq!((count(&claimed, Mode::Sync), count(&claimed, Mode::Async)), (2, 1));
    assert!(world.claim(server, 0, 0).await.is_empty());
    let claimed = world.claim(server, 0, 9).await;
    assert_eq!((count(&claimed, Mode::Sync), count(&claimed, Mode::Async)), (0, 1));
}

pub async fn queues_are_taken_in_the_order_asked_for(world: World) {
    let server = world.server().await;
    let slow = add(&world, "slow", 0, Mode::Sync).await;
    let fast = [add(&world, "fast", 9, Mode::Sync).await, add(&world, "fast", 8, Mode::Sync).await];
    add(&world, "other", 0, Mode::Sync).await;
    assert_eq!(world.claim_from(server, &["fast", "unheard-of", "slow"], 1).await, [fast[1]]);
    assert_eq!(world.claim_from(server, &["fast", "unheard-of", "slow"], 9).await, [fast[0], slow]);
    assert!(world.claim_from(server, &["fast", "slow"], 9).await.is_empty());
}

pub async fn without_queues_the_best_of_all_is_taken(world: World) {
    let server = world.server().await;
    let late = add(&world, "a", 5, Mode::Sync).await;
    let first = add(&world, "b", 1, Mode::Sync).await;
    let second = add(&world, "c", 2, Mode::Sync).await;
    let last = add(&world, "a", 5, Mode::Sync).await;
    assert_eq!(sync_jobs(&world, server, 3).await, [first, second, late]);
    assert_eq!(sync_jobs(&world, server, 3).await, [last]);
}

pub async fn a_paused_queue_is_passed_over_until_it_is_resumed(world: World) {
    let server = world.server().await;
    let paused = add(&world, "paused", 0, Mode::Sync).await;
    let open = add(&world, "open", 9, Mode::Sync).await;
    let queue = "paused".parse().unwrap();
    world.storage.set_paused(&queue, true).await.unwrap();
    assert!(world.claim_from(server, &["paused"], 9).await.is_empty());
    assert_eq!(sync_jobs(&world, server, 9).await, [open]);
    assert!(world.storage.queues().await.unwrap().iter().any(|view| view.name == queue && view.paused));
    world.storage.set_paused(&queue, false).await.unwrap();
    assert_eq!(sync_jobs(&world, server, 9).await, [paused]);
}

pub async fn a_server_that_is_not_known_gets_nothing(world: World) {
    add(&world, "default", 5, Mode::Sync).await;
    assert!(world.claim(ServerId(Uuid::new_v4()), 9, 9).await.is_empty());
}

pub async fn no_job_is_claimed_twice(world: World) {
    let servers = [world.server().await, world.server().await, world.server().await];
    world.storage.enqueue((0..100).map(|_| job()).collect(), "ann").await.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let claims =
            tokio::join!(world.claim(servers[0], 2, 0), world.claim(servers[1], 2, 0), world.claim(servers[2], 2, 0),);
        for claimed in [claims.0, claims.1, claims.2].concat() {
            assert!(seen.insert(claimed.fence.job), "claimed twice");
        }
    }
    assert_eq!(seen.len(), 100);
}

/// Whatever changes a line, a claim for one job must find the best of many queues.
pub async fn the_best_of_many_queues_is_found_whatever_has_changed_them(world: World) {
    let server = world.server().await;
    let queue = |n: u64| format!("queue-{n:02}");
    let mut jobs = Vec::new();
    for n in 0..20 {
        world.clock.advance_ms(1);
        // The first of the list comes last in the order of names.
        let priority = if n == 19 { 0 } else { 5 };
        jobs.push(world.add(NewJob { queue: queue(19 - n).parse().unwrap(), priority, ..job() }).await);
        world.clock.advance_ms(1);
        world.add(NewJob { queue: queue(19 - n).parse().unwrap(), priority: 9, ..job() }).await;
    }
    let one = async |free: (u32, u32)| world.claim(server, free.0, free.1).await.first().map(|run| run.fence.job);
    assert_eq!(one((1, 0)).await, Some(jobs[19]), "its priority is the best");
    let pause = async |n: u64, paused| world.storage.set_paused(&queue(n).parse().unwrap(), paused).await.unwrap();
    pause(19, true).await;
    pause(18, true).await;
    assert_eq!(one((1, 0)).await, Some(jobs[2]), "two queues are paused");
    // A job that comes to a paused queue waits with it.
    world.clock.advance_ms(1);
    let urgent = world.add(NewJob { queue: queue(18).parse().unwrap(), priority: 0, ..job() }).await;
    assert_eq!(one((1, 0)).await, Some(jobs[3]));
    pause(18, false).await;
    assert_eq!(one((1, 0)).await, Some(urgent));
    assert_eq!(one((1, 0)).await, Some(jobs[1]));
    pause(19, false).await;
    assert_eq!(one((1, 0)).await, Some(jobs[0]));
    world.storage.delete(jobs[4], "ann").await.unwrap();
    assert_eq!(one((1, 0)).await, Some(jobs[5]));
    // It stands at the end of its line, before those of a worse priority.
    world.clock.advance_ms(1);
    world.storage.requeue(jobs[4], windlass_api::RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(one((1, 0)).await, Some(jobs[6]));
    let lost = world.server().await;
    assert_eq!(world.claim(lost, 1, 0).await[0].fence.job, jobs[7]);
    world.lose(lost).await;
    assert_eq!(one((1, 0)).await, Some(jobs[7]), "it kept its place");
    let later = NewJob { start: Start::After(5), priority: 0, queue: queue(50).parse().unwrap(), ..job() };
    let later = world.add(later).await;
    world.clock.advance_ms(5);
    world.promote().await;
    assert_eq!(one((1, 0)).await, Some(later));
    // All that is left goes to another storage, and there to the other line.
    let other = world.another().await;
    let mut cursor = None::<String>;
    loop {
        let page = world.storage.export(cursor.as_deref(), 7).await.unwrap();
        other.storage.import(page.items).await.unwrap();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    other.deploy(1, &[("bill", Mode::Async)]).await;
    let server = other.server().await;
    assert!(other.claim(server, 9, 0).await.is_empty(), "they are all in the other line");
    // Those that ran when all was moved have come back to their places.
    let mut claimed = Vec::new();
    for _ in 0..6 {
        claimed.extend(other.claim(server, 0, 1).await.iter().map(|run| run.fence.job));
    }
    assert_eq!(claimed, [jobs[19], urgent, later, jobs[0], jobs[1], jobs[2]]);
}
