//! Limits on how many jobs run at once, and on how many start in a span of time.

use windlass_api::{JobFilter, JobId, LimitRule, LimitTarget, LimitView, Mode, Rate, State};

use super::world::{World, job, released, retry, success};
use crate::{
    Claimed, Conditions, NewJob, Next, Start,
    storage::{Promoted, Signal},
};

fn keyed(key: &str) -> NewJob {
    NewJob { conditions: Conditions { limit_key: Some(key.parse().unwrap()), ..Conditions::default() }, ..job() }
}

fn target(text: &str) -> LimitTarget {
    text.parse().unwrap()
}

fn at_once(concurrency: u32) -> LimitRule {
    LimitRule { concurrency: Some(concurrency), rate: None }
}

fn per(period_ms: u64, count: u32) -> LimitRule {
    LimitRule { concurrency: None, rate: Some(Rate { count, period_ms }) }
}

async fn put(world: &World, on: &str, rule: LimitRule) {
    world.storage.put_limit(&target(on), rule).await.unwrap();
}

async fn view(world: &World, on: &str) -> LimitView {
    let limits = world.storage.limits().await.unwrap();
    limits.into_iter().find(|limit| limit.target == target(on)).expect("the limit should be there")
}

/// Claims until nothing more comes.
async fn drain(world: &World, server: windlass_api::ServerId) -> Vec<Claimed> {
    let mut runs = Vec::new();
    loop {
        let some = world.claim(server, 3, 3).await;
        if some.is_empty() {
            return runs;
        }
        runs.extend(some);
    }
}

fn ids(runs: &[Claimed]) -> Vec<JobId> {
    runs.iter().map(|run| run.fence.job).collect()
}

pub async fn a_limit_reads_back_as_it_was_put(world: World) {
    put(&world, "queue:mail", at_once(5)).await;
    put(&world, "key:tenant:*", LimitRule { concurrency: Some(2), ..per(60_000, 10) }).await;
    put(&world, "handler:shop/bill", per(1_000, 1)).await;
    put(&world, "queue:mail", at_once(7)).await;
    let limits = world.storage.limits().await.unwrap();
    let shown =
        limits.iter().map(|limit| (limit.target.to_string(), limit.rule, limit.running, limit.held, limit.keys));
    let expected = [
        ("queue:mail".to_owned(), at_once(7), 0, 0, None),
        ("handler:shop/bill".to_owned(), per(1_000, 1), 0, 0, None),
        ("key:tenant:*".to_owned(), LimitRule { concurrency: Some(2), ..per(60_000, 10) }, 0, 0, Some(0)),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert!(world.storage.remove_limit(&target("queue:mail")).await.unwrap());
    assert!(!world.storage.remove_limit(&target("queue:mail")).await.unwrap());
    assert_eq!(world.storage.limits().await.unwrap().len(), 2);
}

pub async fn no_more_run_at_once_than_a_limit_allows(world: World) {
    put(&world, "key:a", at_once(2)).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.add(keyed("a")).await);
    }
    let free = world.add(keyed("b")).await;
    let server = world.server().await;
    let runs = drain(&world, server).await;
    let mut claimed = ids(&runs);
    claimed.sort();
    let mut expected = vec![made[0], made[1], free];
    expected.sort();
    assert_eq!(claimed, expected);
    let held = world.detail(made[2]).await.job;
    assert_eq!((held.state, held.held_by), (State::Enqueued, Some(target("key:a"))));
    assert_eq!(world.detail(made[2]).await.history.len(), 1);
    let shown = view(&world, "key:a").await;
    assert_eq!((shown.running, shown.held), (2, 3));
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 3);
    let first = runs.iter().find(|run| run.fence.job == made[0]).unwrap();
    world.settle(first, success()).await.unwrap();
    let next = drain(&world, server).await;
    assert_eq!(ids(&next), [made[2]], "the oldest comes first");
    assert_eq!(world.detail(made[2]).await.job.held_by, None);
}

pub async fn each_way_out_of_a_run_gives_its_place_back(world: World) {
    put(&world, "queue:default", at_once(1)).await;
    let ends = [success(), retry(1), Next::Snooze { delay_ms: 1 }, released(), Next::Cancelled, Next::HandlerMissing];
    for next in ends {
        let first = world.add(job()).await;
        let second = world.add(job()).await;
        let server = world.server().await;
        let run = world.claim_one(server).await;
        assert_eq!(run.fence.job, first);
        world.settle(&run, next).await.unwrap();
        assert_eq!(view(&world, "queue:default").await.running, 0);
        for id in [first, second] {
            world.storage.delete(id, "ann").await.unwrap();
        }
        world.promote().await;
    }
    let (lost, left) = (world.server().await, world.server().await);
    let id = world.add(job()).await;
    world.claim_one(lost).await;
    assert!(world.claim(left, 9, 9).await.is_empty());
    world.lose(lost).await;
    world.claim_one(left).await;
    world.storage.leave(left).await.unwrap();
    assert_eq!(view(&world, "queue:default").await.running, 0);
    assert_eq!(world.claim_one(world.server().await).await.fence.job, id);
}

pub async fn every_limit_that_applies_must_have_room(world: World) {
    put(&world, "queue:default", at_once(3)).await;
    put(&world, "handler:shop/bill", at_once(2)).await;
    put(&world, "key:*", at_once(1)).await;
    let server = world.server().await;
    let first = world.add(keyed("a")).await;
    let same_key = world.add(keyed("a")).await;
    let other_key = world.add(keyed("b")).await;
    let handler_full = world.add(keyed("c")).await;
    let other_handler = world.add(NewJob { handler: "ship".parse().unwrap(), ..job() }).await;
    let queue_full = world.add(NewJob { handler: "ship".parse().unwrap(), ..job() }).await;
    let mut claimed = ids(&drain(&world, server).await);
    claimed.sort();
    let mut expected = vec![first, other_key, other_handler];
    expected.sort();
    assert_eq!(claimed, expected);
    let mut by = Vec::new();
    for id in [handler_full, queue_full] {
        by.push(world.detail(id).await.job.held_by.unwrap().to_string());
    }
    // By the time the queue is full, it is the first that is.
    assert!(by[0] == "handler:shop/bill" || by[0] == "queue:default", "{by:?}");
    assert_eq!(by[1], "queue:default");
    let held = world.detail(same_key).await.job.held_by.unwrap().to_string();
    assert!(["key:a", "handler:shop/bill", "queue:default"].contains(&held.as_str()), "{held}");
    let keys = view(&world, "key:*").await;
    assert_eq!((keys.running, keys.rule), (2, at_once(1)));
}

pub async fn the_longest_start_of_a_key_is_its_limit(world: World) {
    put(&world, "key:*", at_once(1)).await;
    put(&world, "key:big:*", at_once(2)).await;
    put(&world, "key:big:one", at_once(3)).await;
    let server = world.server().await;
    for (key, most) in [("small", 1), ("big:two", 2), ("big:one", 3)] {
        let jobs = (0..5).map(|_| keyed(key)).collect::<Vec<_>>();
        world.storage.enqueue(jobs, "ann").await.unwrap();
        assert_eq!(drain(&world, server).await.len(), most, "{key}");
    }
    let shown = view(&world, "key:*").await;
    assert_eq!((shown.running, shown.held, shown.keys), (1, 4, Some(1)));
    let shown = view(&world, "key:big:one").await;
    assert_eq!((shown.running, shown.held, shown.keys), (3, 2, None));
}

pub async fn no_more_start_in_a_period_than_a_rate_allows(world: World) {
    put(&world, "queue:default", per(60_000, 2)).await;
    let server = world.server().await;
    for _ in 0..5 {
        world.add(job()).await;
    }
    let start = world.now();
    let mut starts = Vec::new();
    for _ in 0..400 {
        // Where it has just made room there is nothing to wait for.
        let wait = world.promote().await.next_in_ms.unwrap_or(1);
        let runs = drain(&world, server).await;
        for run in &runs {
            starts.push(world.now().ms_since(start));
            world.settle(run, success()).await.unwrap();
        }
        if starts.len() == 5 {
            break;
        }
        if runs.is_empty() {
            world.clock.advance_ms(i64::try_from(wait.max(1)).unwrap());
        }
    }
    assert_eq!(starts.len(), 5, "{starts:?}");
    for pair in starts.windows(3) {
        assert!(pair[2] - pair[0] >= 60_000, "{starts:?}");
        assert!(pair[2] - pair[0] <= 61_001, "{starts:?}");
    }
}

pub async fn jobs_that_were_moved_back_are_followed_by_others_when_they_were_taken(world: World) {
    put(&world, "queue:default", per(60_000, 3)).await;
    let server = world.server().await;
    world.storage.enqueue((0..20).map(|_| job()).collect(), "ann").await.unwrap();
    for run in drain(&world, server).await {
        world.settle(&run, success()).await.unwrap();
    }
    assert_eq!(view(&world, "queue:default").await.held, 17);
    world.clock.advance_ms(61_001);
    let mut next_in_ms = world.promote().await.next_in_ms;
    for _ in 0..20 {
        assert_eq!(view(&world, "queue:default").await.held, 14, "nobody has a slot for more of them");
        next_in_ms = world.promote().await.next_in_ms;
    }
    assert!(next_in_ms.is_some_and(|next| (500..=1_000).contains(&next)), "{next_in_ms:?}");
    // What was moved back may have met something else.
    world.clock.advance_ms(1_000);
    world.promote().await;
    assert_eq!(view(&world, "queue:default").await.held, 11);
    assert_eq!(drain(&world, server).await.len(), 3);
    assert_eq!(view(&world, "queue:default").await.held, 14);
}

pub async fn a_job_that_meets_another_limit_makes_way_for_the_next_at_once(world: World) {
    put(&world, "queue:default", at_once(1)).await;
    put(&world, "key:a", at_once(1)).await;
    let server = world.server().await;
    world.add(NewJob { queue: "other".parse().unwrap(), ..keyed("a") }).await;
    assert_eq!(drain(&world, server).await.len(), 1);
    world.add(job()).await;
    let run = world.claim_one(server).await;
    let blocked = (0..5).map(|_| keyed("a")).collect::<Vec<_>>();
    world.storage.enqueue(blocked, "ann").await.unwrap();
    world.clock.advance_ms(1);
    let last = world.add(job()).await;
    assert!(drain(&world, server).await.is_empty());
    assert_eq!(view(&world, "queue:default").await.held, 6);
    world.settle(&run, success()).await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.extend(drain(&world, server).await);
        world.promote().await;
    }
    assert_eq!(ids(&runs), [last], "no time has to pass for that");
}

pub async fn a_limit_on_very_many_keys_changes_in_bounded_steps(world: World) {
    const KEYS: usize = 300;
    put(&world, "key:t:*", at_once(1)).await;
    let server = world.server().await;
    let jobs = (0..2 * KEYS).map(|number| keyed(&format!("t:{}", number % KEYS))).collect::<Vec<_>>();
    world.storage.enqueue(jobs, "ann").await.unwrap();
    let mut running = 0;
    for _ in 0..4 {
        running += world.claim(server, 1_000, 0).await.len();
    }
    assert_eq!((running, view(&world, "key:t:*").await.held), (KEYS, 300));
    put(&world, "key:t:*", at_once(2)).await;
    let at_once = world.claim(server, 1_000, 0).await.len();
    // A call may have been repeated, and so the step.
    assert!(at_once <= 200, "{at_once} were let go in the step that put it");
    let mut later = 0;
    for _ in 0..20 {
        world.promote().await;
        later += world.claim(server, 1_000, 0).await.len();
    }
    assert_eq!(at_once + later, KEYS);
    // Removed, it lets go of all of them too.
    let jobs = (0..KEYS).map(|number| keyed(&format!("t:{number}"))).collect::<Vec<_>>();
    world.storage.enqueue(jobs, "ann").await.unwrap();
    assert!(world.claim(server, 1_000, 0).await.is_empty());
    assert!(world.storage.remove_limit(&target("key:t:*")).await.unwrap());
    // The lines that let jobs go above may rest for a second.
    world.clock.advance_ms(1_000);
    let mut last = 0;
    for _ in 0..20 {
        world.promote().await;
        last += world.claim(server, 1_000, 0).await.len();
    }
    assert_eq!(last, KEYS);
}

pub async fn a_limit_that_is_put_counts_what_runs_already(world: World) {
    let server = world.server().await;
    world.add(keyed("a")).await;
    let run = world.claim_one(server).await;
    world.add(keyed("a")).await;
    put(&world, "key:a", at_once(1)).await;
    assert_eq!(view(&world, "key:a").await.running, 1);
    assert!(drain(&world, server).await.is_empty());
    put(&world, "key:*", at_once(9)).await;
    assert!(drain(&world, server).await.is_empty(), "the key's own limit stands before");
    world.settle(&run, success()).await.unwrap();
    assert_eq!(drain(&world, server).await.len(), 1);
}

pub async fn a_limit_that_is_raised_or_removed_lets_go_of_what_it_held(world: World) {
    put(&world, "queue:default", at_once(1)).await;
    let server = world.server().await;
    let jobs = (0..10).map(|_| job()).collect::<Vec<_>>();
    world.storage.enqueue(jobs, "ann").await.unwrap();
    assert_eq!(drain(&world, server).await.len(), 1);
    assert_eq!(view(&world, "queue:default").await.held, 9);
    let told = world.storage.wake().map(crate::storage::Wake::signals);
    put(&world, "queue:default", at_once(4)).await;
    if let Some(mut signals) = told {
        super::world::told(&mut signals, Signal::Work).await;
    }
    assert_eq!(drain(&world, server).await.len(), 3);
    put(&world, "queue:default", at_once(2)).await;
    assert_eq!((view(&world, "queue:default").await.running, drain(&world, server).await.len()), (4, 0));
    assert!(world.storage.remove_limit(&target("queue:default")).await.unwrap());
    world.promote().await;
    assert_eq!(drain(&world, server).await.len(), 6);
}

pub async fn jobs_behind_a_full_limit_hold_up_no_others(world: World) {
    put(&world, "key:a", at_once(1)).await;
    let jobs = (0..2_500).map(|_| keyed("a")).collect::<Vec<_>>();
    world.storage.enqueue(jobs, "ann").await.unwrap();
    world.clock.advance_ms(1);
    let other = world.add(job()).await;
    let server = world.server().await;
    let mut claimed = Vec::new();
    for _ in 0..8 {
        claimed.extend(world.claim(server, 2, 0).await);
    }
    assert_eq!(claimed.len(), 2);
    assert!(ids(&claimed).contains(&other));
    assert_eq!(view(&world, "key:a").await.held, 2_499);
}

pub async fn a_job_that_is_held_is_commanded_and_listed_like_any_other(world: World) {
    put(&world, "queue:default", at_once(1)).await;
    let server = world.server().await;
    world.add(job()).await;
    let run = world.claim_one(server).await;
    let (cancelled, urgent, expiring) = (
        world.add(job()).await,
        world.add(NewJob { priority: 0, ..job() }).await,
        world
            .add(NewJob {
                conditions: Conditions { expires_at: Some(world.now().plus_ms(50)), ..Conditions::default() },
                ..job()
            })
            .await,
    );
    assert!(drain(&world, server).await.is_empty());
    assert_eq!(view(&world, "queue:default").await.held, 3);
    let filter = JobFilter { state: Some(State::Enqueued), ..JobFilter::default() };
    assert_eq!(world.storage.jobs(&filter, None, 10).await.unwrap().items.len(), 3);
    world.storage.cancel(cancelled, "ann").await.unwrap();
    world.clock.advance_ms(50);
    world.promote().await;
    assert_eq!((world.state(cancelled).await, world.state(expiring).await), (State::Deleted, State::Deleted));
    assert_eq!(view(&world, "queue:default").await.held, 1);
    world.deploy(1, &[("bill", Mode::Async)]).await;
    world.settle(&run, success()).await.unwrap();
    let next = world.claim(server, 0, 9).await;
    assert_eq!(ids(&next), [urgent], "it has gone to the line of its handler's new mode");
}

pub async fn a_held_job_of_a_paused_queue_waits_until_that_is_resumed(world: World) {
    put(&world, "key:a", at_once(1)).await;
    let server = world.server().await;
    world.add(keyed("a")).await;
    let run = world.claim_one(server).await;
    let held = world.add(keyed("a")).await;
    assert!(drain(&world, server).await.is_empty());
    let queue = "default".parse().unwrap();
    world.storage.set_paused(&queue, true).await.unwrap();
    world.settle(&run, success()).await.unwrap();
    world.promote().await;
    assert!(drain(&world, server).await.is_empty());
    world.storage.set_paused(&queue, false).await.unwrap();
    assert_eq!(ids(&drain(&world, server).await), [held]);
}

pub async fn limits_are_moved_and_held_jobs_with_them(world: World) {
    put(&world, "key:a", at_once(1)).await;
    let server = world.server().await;
    let first = world.add(keyed("a")).await;
    let second = world.add(keyed("a")).await;
    assert_eq!(ids(&drain(&world, server).await), [first]);
    let other = world.another().await;
    let records = super::moving::exported(&world, 1_000).await;
    assert_eq!(other.storage.import(records.clone()).await.unwrap(), records.len());
    assert_eq!(view(&other, "key:a").await.rule, at_once(1));
    let runs = drain(&other, other.server().await).await;
    assert_eq!(ids(&runs), [first], "what ran comes back to its line, and one runs at once here too");
    other.settle(&runs[0], success()).await.unwrap();
    assert_eq!(ids(&drain(&other, other.server().await).await), [second]);
}

pub async fn what_has_no_limit_is_as_it_was(world: World) {
    put(&world, "queue:other", at_once(1)).await;
    let server = world.server().await;
    for _ in 0..5 {
        world.add(keyed("a")).await;
    }
    world.add(NewJob { start: Start::After(10), ..job() }).await;
    assert_eq!(drain(&world, server).await.len(), 5);
    assert_eq!(world.promote().await, Promoted { moved: 0, next_in_ms: Some(10) });
}
