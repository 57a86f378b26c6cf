//! Lists by time and by text, and how many jobs pass a filter.

use windlass_api::{JobFilter, JobId, Page, State, Timestamp};

use super::world::{World, failure, job, json};
use crate::{NewJob, Next, Start, storage::MAX_COUNTED};

async fn listed(world: &World, filter: &JobFilter) -> Vec<JobId> {
    let page = world.storage.jobs(filter, None, 100).await.unwrap();
    page.items.iter().map(|item| item.id).collect()
}

/// Follows the cursors to the end.
async fn whole_list(world: &World, filter: &JobFilter, limit: usize) -> Vec<JobId> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.storage.jobs(filter, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items.iter().map(|item| item.id));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn count(world: &World, filter: &JobFilter) -> (u64, bool) {
    let counted = world.storage.count(filter).await.unwrap();
    (counted.count, counted.more)
}

pub async fn a_list_is_bounded_by_when_jobs_were_made(world: World) {
    let start = world.now();
    let mut made = Vec::new();
    for at in 0..6 {
        let mut new = job();
        new.queue = if at % 2 == 0 { "even".parse().unwrap() } else { "odd".parse().unwrap() };
        new.tags = vec!["t".into()];
        made.push(world.add(new).await);
        world.clock.advance_ms(1_000);
    }
    let any = JobFilter::default();
    let at = |second: u64| Some(start.plus_ms(second * 1_000));
    let after = |instant: Option<Timestamp>| instant.map(|at| Timestamp(at.0 + 1));
    let cases = [
        (JobFilter { created_from: at(3), ..any.clone() }, vec![5, 4, 3]),
        (JobFilter { created_from: after(at(3)), ..any.clone() }, vec![5, 4]),
        (JobFilter { created_before: at(2), ..any.clone() }, vec![1, 0]),
        (JobFilter { created_before: after(at(2)), ..any.clone() }, vec![2, 1, 0]),
        (JobFilter { created_from: at(1), created_before: at(4), ..any.clone() }, vec![3, 2, 1]),
        (JobFilter { created_from: at(4), created_before: at(4), ..any.clone() }, vec![]),
        (JobFilter { created_from: at(9), ..any.clone() }, vec![]),
        (JobFilter { created_from: at(1), queue: Some("even".parse().unwrap()), ..any.clone() }, vec![4, 2]),
        (JobFilter { created_from: at(1), state: Some(State::Enqueued), ..any.clone() }, vec![5, 4, 3, 2, 1]),
        (JobFilter { created_before: at(4), tag: Some("t".into()), ..any.clone() }, vec![3, 2, 1, 0]),
        (JobFilter { created_before: at(4), module: Some("shop".parse().unwrap()), ..any.clone() }, vec![3, 2, 1, 0]),
    ];
    for (filter, expected) in cases {
        let expected = expected.into_iter().map(|n: usize| made[n]).collect::<Vec<_>>();
        assert_eq!(listed(&world, &filter).await, expected, "{filter:?}");
        assert_eq!(whole_list(&world, &filter, 2).await, expected, "{filter:?}, by pages of 2");
        assert_eq!(count(&world, &filter).await, (expected.len() as u64, false), "{filter:?}");
    }
}

pub async fn a_text_is_found_in_a_payload_and_in_the_message_of_a_failure(world: World) {
    let mut new = job();
    new.payload = json(r#"{"file": "Überblick 100%_x.pdf", "n": 12}"#);
    new.tags = vec!["red".into()];
    let with_payload = world.add(new).await;
    let server = world.server().await;
    world.claim_one(server).await;
    let failed = world.add(job()).await;
    let run = world.claim_one(server).await;
    world.settle(&run, Next::Failed { failure: failure(r#"cannot open "Überblick""#) }).await.unwrap();
    world.add(job()).await;
    let text = |text: &str| JobFilter { text: Some(text.into()), ..JobFilter::default() };
    let both = vec![failed, with_payload];
    let cases = [
        (text("Überblick"), both.clone()),
        (text("überblick"), vec![]),
        (text("100%_x"), vec![with_payload]),
        (text("100__x"), vec![]),
        (text(r#""n": 12"#), vec![with_payload]),
        (text(r#"open "Über"#), vec![failed]),
        (text("server"), vec![]),
        (JobFilter { state: Some(State::Failed), ..text("Überblick") }, vec![failed]),
        (JobFilter { tag: Some("red".into()), ..text("Überblick") }, vec![with_payload]),
        (JobFilter { queue: Some("default".parse().unwrap()), ..text("Überblick") }, both),
        (JobFilter { queue: Some("other".parse().unwrap()), ..text("Überblick") }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(listed(&world, &filter).await, expected, "{filter:?}");
        assert_eq!(count(&world, &filter).await, (expected.len() as u64, false), "{filter:?}");
    }
}

pub async fn a_search_goes_on_where_it_was_cut_short_and_misses_nothing(world: World) {
    let mut wanted = Vec::new();
    for slice in 0..10 {
        let mut jobs = Vec::new();
        for n in 0..200 {
            let mut new = job();
            let word = if n == 100 { "needle" } else { "hay" };
            new.payload = json(&format!(r#"{{"word": "{word}", "fill": "{}"}}"#, "x".repeat(4_000)));
            if n == 100 {
                wanted.push(new.id);
            }
            jobs.push(new);
        }
        world.storage.enqueue(jobs, "ann").await.unwrap();
        world.clock.advance_ms(1_000 + slice);
    }
    wanted.reverse();
    let filter = JobFilter { text: Some("needle".into()), ..JobFilter::default() };
    let (mut found, mut cursor, mut reached) = (Vec::new(), None::<String>, Timestamp(i64::MAX));
    loop {
        let Page { items, next, searched_to, .. } = world.storage.jobs(&filter, cursor.as_deref(), 4).await.unwrap();
        found.extend(items.iter().map(|item| item.id));
        if let Some(to) = searched_to {
            assert!(to <= reached && next.is_some(), "a search that was cut short goes back in time and on");
            reached = to;
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, wanted);
    let (counted, more) = count(&world, &filter).await;
    assert!(counted == 10 || (more && counted < 10), "{counted} of 10, more: {more}");
}

pub async fn a_count_agrees_with_the_list(world: World) {
    let server = world.server().await;
    for n in 0..12 {
        let mut new = job();
        new.queue = if n % 3 == 0 { "third".parse().unwrap() } else { new.queue };
        new.handler = if n % 2 == 0 { "ship".parse().unwrap() } else { new.handler };
        new.tags = if n < 5 { vec!["early".into()] } else { Vec::new() };
        world.add(new).await;
    }
    world.claim(server, 4, 0).await;
    let any = JobFilter::default();
    let third = JobFilter { queue: Some("third".parse().unwrap()), ..any.clone() };
    let ship = JobFilter { handler: Some("ship".parse().unwrap()), ..any.clone() };
    let filters = [
        any.clone(),
        JobFilter { state: Some(State::Processing), ..any.clone() },
        JobFilter { state: Some(State::Failed), ..any.clone() },
        JobFilter { state: Some(State::Enqueued), ..third.clone() },
        JobFilter { handler: ship.handler.clone(), ..third.clone() },
        JobFilter { tag: Some("early".into()), ..any.clone() },
        JobFilter { tag: Some("early".into()), ..ship.clone() },
        JobFilter { module: Some("shop".parse().unwrap()), ..any.clone() },
        JobFilter { module: Some("nobody".parse().unwrap()), ..any },
        third,
        ship,
    ];
    for filter in filters {
        let listed = listed(&world, &filter).await.len() as u64;
        assert_eq!(count(&world, &filter).await, (listed, false), "{filter:?}");
    }
}

pub async fn a_count_stops_at_its_limit_and_says_so(world: World) {
    let mut new = job();
    (new.payload, new.tags) = (json("0"), vec!["many".into()]);
    let limit = usize::try_from(MAX_COUNTED).unwrap();
    let jobs = |n: usize| (0..n).map(|_| NewJob { id: job().id, ..new.clone() }).collect::<Vec<_>>();
    for _ in 0..10 {
        world.storage.enqueue(jobs(limit / 10), "ann").await.unwrap();
    }
    let any = JobFilter::default();
    assert_eq!(count(&world, &any).await, (MAX_COUNTED, false));
    world.storage.enqueue(jobs(1), "ann").await.unwrap();
    let tagged = JobFilter { tag: Some("many".into()), ..any.clone() };
    for filter in [JobFilter { state: Some(State::Enqueued), ..any.clone() }, any] {
        assert_eq!(count(&world, &filter).await, (MAX_COUNTED, true), "{filter:?}");
    }
    let (counted, more) = count(&world, &tagged).await;
    assert!(counted <= MAX_COUNTED && more, "{counted}");
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), MAX_COUNTED + 1, "the counts have no limit");
}

pub async fn pages_under_a_filter_neither_repeat_nor_skip_while_jobs_move(world: World) {
    let server = world.server().await;
    let mut old = Vec::new();
    for n in 0..20 {
        let mut new = job();
        new.queue = if n % 2 == 0 { "even".parse().unwrap() } else { "odd".parse().unwrap() };
        old.push((n, world.add(new).await));
    }
    let filter = JobFilter { queue: Some("even".parse().unwrap()), ..JobFilter::default() };
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.storage.jobs(&filter, cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.id));
        // Neither new jobs nor steps of old ones move the list.
        world.add(NewJob { queue: "even".parse().unwrap(), ..job() }).await;
        world.claim_from(server, &["even"], 1).await;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected = old.iter().rev().filter(|(n, _)| n % 2 == 0).map(|(_, id)| *id).collect::<Vec<_>>();
    assert_eq!(seen, expected);
}

/// A job's time stays what it was when a clock was set back, and what is made then is found by its own.
pub async fn jobs_are_found_by_their_time_also_after_the_clock_was_set_back(world: World) {
    const HOUR: i64 = 3_600_000;
    let before = world.add(job()).await;
    world.clock.advance_ms(-HOUR);
    let start = world.now();
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(world.add(job()).await);
        world.clock.advance_ms(1_000);
    }
    world.clock.advance_ms(2 * HOUR);
    let after = world.add(job()).await;
    let newest_first = [after, before, made[2], made[1], made[0]];
    assert_eq!(listed(&world, &JobFilter::default()).await, newest_first, "by when they were made");
    let within = |from: i64, before: i64| JobFilter {
        created_from: Some(Timestamp(start.0 + from)),
        created_before: Some(Timestamp(start.0 + before)),
        ..JobFilter::default()
    };
    for (filter, expected) in [
        (within(0, 1), vec![made[0]]),
        (within(1_000, 1_001), vec![made[1]]),
        (within(2_000, HOUR), vec![made[2]]),
        (within(HOUR, HOUR + 1), vec![before]),
        (within(HOUR + 1, 3 * HOUR), vec![after]),
    ] {
        assert_eq!(listed(&world, &filter).await, expected);
        assert_eq!(count(&world, &filter).await, (1, false));
    }
}

pub async fn where_two_filters_meet_what_passes_is_found_behind_ten_thousand_that_do_not(world: World) {
    const LOT: usize = 2_000;
    const HALF: usize = 5 * LOT;
    let store = async |of: &NewJob| {
        for _ in 0..HALF / LOT {
            let lot = (0..LOT).map(|_| NewJob { id: job().id, ..of.clone() }).collect::<Vec<_>>();
            world.storage.enqueue(lot, "ann").await.unwrap();
            world.clock.advance_ms(1);
        }
    };
    let later = NewJob { tags: vec!["cnt".into()], start: Start::After(1_000_000), ..job() };
    store(&later).await;
    // Others that are in the state but not of the tag, so that neither index alone leads to what is looked for.
    store(&NewJob { tags: Vec::new(), ..later.clone() }).await;
    let mut gone = later.clone();
    gone.conditions.expires_at = Some(world.now().plus_ms(100));
    store(&gone).await;
    world.clock.advance_ms(100);
    while world.storage.counts().await.unwrap().of(State::Deleted) < HALF as u64 {
        world.storage.promote(2_000).await.unwrap();
    }
    let any = JobFilter { state: Some(State::Scheduled), ..JobFilter::default() };
    let tagged = JobFilter { tag: Some("cnt".into()), ..any.clone() };
    let half = HALF as u64;
    for (filter, expected) in [
        (tagged.clone(), half),
        (JobFilter { created_before: Some(world.now()), ..tagged.clone() }, half),
        (JobFilter { queue: Some(later.queue.clone()), ..tagged.clone() }, half),
        (
            JobFilter { module: Some(later.module.clone()), handler: Some(later.handler.clone()), ..tagged.clone() },
            half,
        ),
        (JobFilter { queue: Some(later.queue.clone()), ..any.clone() }, 2 * half),
        (JobFilter { module: Some(later.module.clone()), ..any }, 2 * half),
        (JobFilter { state: Some(State::Deleted), ..tagged.clone() }, half),
        (JobFilter { state: Some(State::Failed), ..tagged }, 0),
    ] {
        let page = world.storage.jobs(&filter, None, 20).await.unwrap();
        let there = expected.min(20);
        assert_eq!((page.items.len() as u64, page.searched_to), (there, None), "{filter:?}");
        assert!(page.items.iter().all(|job| Some(job.state) == filter.state), "{filter:?}");
        assert_eq!(count(&world, &filter).await, (expected, false), "{filter:?}");
    }
}

pub async fn two_filters_that_meet_here_and_there_give_each_job_once(world: World) {
    let mut expected = Vec::new();
    for n in 0..90 {
        let mut new = job();
        if n % 2 == 0 {
            new.tags = vec!["even".into()];
        }
        if n % 3 == 0 {
            new.queue = "third".parse().unwrap();
        }
        if n % 5 == 0 {
            new.start = Start::After(1_000);
        }
        let id = world.add(new).await;
        if n % 2 == 0 && n % 3 == 0 && n % 5 != 0 {
            expected.push(id);
        }
        if n % 7 == 0 {
            world.clock.advance_ms(1);
        }
    }
    expected.reverse();
    let filter = JobFilter {
        state: Some(State::Enqueued),
        queue: Some("third".parse().unwrap()),
        tag: Some("even".into()),
        ..JobFilter::default()
    };
    for limit in [1, 2, 5, 100] {
        assert_eq!(whole_list(&world, &filter, limit).await, expected, "in pages of {limit}");
    }
    assert_eq!(count(&world, &filter).await, (expected.len() as u64, false));
}
