//! Lists and counts.

use std::collections::{BTreeMap, HashSet};

use windlass_api::{JobFilter, JobId, State};

use super::world::{World, failure, job, retry, success};
use crate::{NewJob, Next, storage::StorageError};

async fn listed(world: &World, filter: &JobFilter) -> Vec<JobId> {
    let page = world.storage.jobs(filter, None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.items.iter().map(|item| item.id).collect()
}

pub async fn a_filter_lets_pass_what_matches_all_of_it(world: World) {
    let make = |queue: &str, handler: &str, tag: &str| NewJob {
        queue: queue.parse().unwrap(),
        handler: handler.parse().unwrap(),
        tags: vec![tag.to_owned(), "all".to_owned()],
        ..job()
    };
    let a = world.add(make("q1", "bill", "red")).await;
    let b = world.add(make("q1", "ship", "red")).await;
    let c = world.add(make("q2", "bill", "blue")).await;
    let d = world.add(NewJob { module: "bank".parse().unwrap(), ..make("q2", "bill", "blue") }).await;
    world.storage.cancel(b, "ann").await.unwrap();
    let any = JobFilter::default();
    assert_eq!(listed(&world, &any).await, [d, c, b, a]);
    let queue = |name: &str| Some(name.parse().unwrap());
    let cases = [
        (JobFilter { state: Some(State::Deleted), ..any.clone() }, vec![b]),
        (JobFilter { queue: queue("q1"), ..any.clone() }, vec![b, a]),
        (JobFilter { queue: queue("q1"), state: Some(State::Enqueued), ..any.clone() }, vec![a]),
        (JobFilter { module: Some("shop".parse().unwrap()), ..any.clone() }, vec![c, b, a]),
        (JobFilter { handler: Some("bill".parse().unwrap()), ..any.clone() }, vec![d, c, a]),
        (
            JobFilter {
                module: Some("shop".parse().unwrap()),
                handler: Some("bill".parse().unwrap()),
                queue: queue("q2"),
                ..any.clone()
            },
            vec![c],
        ),
        (JobFilter { tag: Some("red".into()), ..any.clone() }, vec![b, a]),
        (JobFilter { tag: Some("all".into()), state: Some(State::Enqueued), ..any.clone() }, vec![d, c, a]),
        (JobFilter { tag: Some("green".into()), ..any.clone() }, vec![]),
        (JobFilter { queue: queue("nowhere"), ..any.clone() }, vec![]),
        (JobFilter { handler: Some("nobody".parse().unwrap()), ..any.clone() }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(listed(&world, &filter).await, expected, "{filter:?}");
    }
}

pub async fn pages_neither_repeat_nor_skip_while_jobs_are_added(world: World) {
    let mut old = HashSet::new();
    for _ in 0..10 {
        old.insert(world.add(job()).await);
    }
    let mut cursor = None;
    let mut seen = Vec::new();
    loop {
        let page = world.storage.jobs(&JobFilter::default(), cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.id));
        world.add(job()).await;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        assert_eq!(page.items.len(), 3);
    }
    assert_eq!(seen.len(), 10);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), old);
}

pub async fn a_cursor_that_is_none_is_refused(world: World) {
    let listed = world.storage.jobs(&JobFilter::default(), Some("über"), 3).await;
    assert!(matches!(listed, Err(StorageError::InvalidCursor(given)) if given == "über"));
}

pub async fn the_counts_agree_with_a_full_listing(world: World) {
    let server = world.server().await;
    world.storage.enqueue((0..12).map(|_| job()).collect(), "ann").await.unwrap();
    let ends = [success(), Next::Failed { failure: failure("no") }, retry(5), Next::HandlerMissing, Next::Cancelled];
    for next in ends {
        let run = world.claim(server, 1, 0).await.remove(0);
        world.settle(&run, next).await.unwrap();
    }
    world.claim(server, 2, 0).await;
    let mut listed = BTreeMap::<State, u64>::new();
    for item in world.storage.jobs(&JobFilter::default(), None, 100).await.unwrap().items {
        *listed.entry(item.state).or_default() += 1;
    }
    assert_eq!(listed.len(), 7, "each state should be there");
    assert_eq!(world.storage.counts().await.unwrap().0, listed);
    for (state, jobs) in listed {
        let filter = JobFilter { state: Some(state), ..JobFilter::default() };
        assert_eq!(world.storage.jobs(&filter, None, 100).await.unwrap().items.len() as u64, jobs);
    }
}

pub async fn queues_are_shown_with_what_waits_in_them(world: World) {
    let first = world.detail(world.add(job()).await).await.job.created_at;
    world.clock.advance_ms(5);
    world.add(job()).await;
    let view = world.storage.queues().await.unwrap().remove(0);
    assert_eq!((view.name.as_str(), view.enqueued, view.processing, view.paused), ("default", 2, 0, false));
    assert_eq!(view.oldest_at, Some(first));
    world.claim(world.server().await, 1, 0).await;
    let view = world.storage.queues().await.unwrap().remove(0);
    assert_eq!((view.enqueued, view.processing, view.oldest_at), (1, 1, Some(first.plus_ms(5))));
}
