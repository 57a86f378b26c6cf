//! Everything that a storage holds, moved into another.

use std::collections::BTreeMap;

use windlass_api::{CounterQuery, Grain, JobDetail, JobFilter, JobId, LogLevel, LogLine, Mode, State, Timestamp};

use super::world::{World, failure, job, json, released, retry, success};
use crate::{
    NewJob, Next, Start,
    storage::{Commanded, Note, Record, RecurringEntry, StorageError},
};

/// Exports by parts of this many records.
pub(super) async fn exported(world: &World, limit: usize) -> Vec<Record> {
    let (mut records, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.storage.export(cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        records.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return records;
        }
    }
}

/// Records as they would stand in a file, in an order of their own.
pub(super) fn written(records: &[Record]) -> Vec<String> {
    let mut lines = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect::<Vec<_>>();
    lines.sort();
    lines
}

async fn details(world: &World) -> BTreeMap<JobId, JobDetail> {
    let mut details = BTreeMap::new();
    for item in world.storage.jobs(&JobFilter::default(), None, 100).await.unwrap().items {
        details.insert(item.id, world.detail(item.id).await);
    }
    details
}

async fn order(world: &World) -> Vec<JobId> {
    world.storage.jobs(&JobFilter::default(), None, 100).await.unwrap().items.iter().map(|item| item.id).collect()
}

/// Fills a storage with one of everything, but with nothing that a server holds. Gives a job that logged.
pub(super) async fn fill(world: &World) -> JobId {
    world.deploy(1, &[("bill", Mode::Sync), ("ship", Mode::Async)]).await;
    world.storage.add_version(super::world::version(2, &[("bill", Mode::Async)])).await.unwrap();
    let server = world.server().await;
    let mut logged = None;
    let ends = [
        success(),
        Next::Succeeded { result: Some(json(r#"{"sum": 12345678901234567890}"#)) },
        retry(500),
        Next::Snooze { delay_ms: 900 },
        Next::Failed { failure: failure("done for") },
        released(),
        Next::Cancelled,
    ];
    for next in ends {
        world.clock.advance_ms(7);
        let mut new = job();
        new.tags = vec!["red".into(), "ünï".into()];
        new.headers = [("traceparent".to_owned(), "00-1".to_owned())].into();
        new.timeout_ms = Some(77);
        let id = world.add(new).await;
        let run = world.claim_one(server).await;
        let line = |message: &str| LogLine {
            run: run.fence.run,
            at: world.now(),
            level: LogLevel::Warn,
            message: message.into(),
            fields: Some(json("[1]")),
        };
        let progress = windlass_api::Progress { percent: 12.5, note: Some("on it".into()), at: world.now() };
        let note = Note { fence: run.fence, progress: Some(progress), lines: vec![line("one"), line("two")] };
        world.storage.note(vec![note]).await.unwrap();
        world.storage.put_checkpoint(run.fence, "step", &json(r#"{"at": 3}"#)).await.unwrap().unwrap();
        world.clock.advance_ms(7);
        let is_released = matches!(next, Next::Released { .. });
        world.settle(&run, next).await.unwrap();
        logged = Some(id);
        if is_released {
            // It would be claimed again by the next round.
            world.storage.cancel(id, "ann").await.unwrap();
            world.storage.requeue(id, windlass_api::RequeueRequest::default(), "bob").await.unwrap();
            world.storage.set_paused(&"default".parse().unwrap(), true).await.unwrap();
            world.storage.set_paused(&"default".parse().unwrap(), false).await.unwrap();
            world.storage.delete(id, "ann").await.unwrap();
        }
    }
    for (priority, mode, queue) in
        [(5, Mode::Sync, "a"), (0, Mode::Sync, "b"), (9, Mode::Async, "a"), (5, Mode::Sync, "a")]
    {
        world.clock.advance_ms(3);
        world.add(NewJob { priority, mode, queue: queue.parse().unwrap(), ..job() }).await;
    }
    world.add(NewJob { start: Start::WithHandler, handler: "nobody".parse().unwrap(), ..job() }).await;
    world.add(NewJob { start: Start::After(10_000), ..job() }).await;
    world.storage.set_paused(&"later".parse().unwrap(), true).await.unwrap();
    let entry = RecurringEntry {
        name: "nightly".parse().unwrap(),
        definition: json(r#"{"cron": "0 3 * * *"}"#),
        paused: false,
        next_at: Some(world.now().plus_ms(50_000)),
        last_at: Some(world.now()),
        last_job: logged,
        left_out: true,
        revision: 0,
    };
    let revision = world.storage.put_recurring(entry.clone(), None, Vec::new()).await.unwrap().map(|put| put.revision);
    assert!(world.storage.put_recurring(entry, revision, Vec::new()).await.unwrap().is_some());
    world.storage.leave(server).await.unwrap();
    logged.unwrap()
}

pub async fn an_import_into_an_empty_storage_makes_it_equal(world: World) {
    let logged = fill(&world).await;
    for limit in [1, 1_000] {
        let records = exported(&world, limit).await;
        let other = world.another().await;
        for part in records.chunks(5) {
            assert_eq!(other.storage.import(part.to_vec()).await.unwrap(), part.len());
        }
        assert_eq!(details(&other).await, details(&world).await);
        assert_eq!(order(&other).await, order(&world).await);
        assert_eq!(other.storage.counts().await.unwrap(), world.storage.counts().await.unwrap());
        assert_eq!(other.storage.queues().await.unwrap(), world.storage.queues().await.unwrap());
        assert_eq!(other.storage.modules().await.unwrap(), world.storage.modules().await.unwrap());
        for id in order(&world).await {
            let logs = |of: &World| {
                let storage = of.storage.clone();
                async move { storage.logs(id, None, 10).await.unwrap().items }
            };
            assert_eq!(logs(&other).await, logs(&world).await);
            let value = other.storage.checkpoint(id, "step").await.unwrap();
            assert_eq!(value, world.storage.checkpoint(id, "step").await.unwrap());
        }
        assert_eq!(other.storage.logs(logged, None, 10).await.unwrap().items.len(), 2);
        let name = "nightly".parse().unwrap();
        let entry = other.storage.recurring(&name).await.unwrap();
        assert!(entry.is_some());
        assert_eq!(entry, world.storage.recurring(&name).await.unwrap());
        for grain in [Grain::Minute, Grain::Hour] {
            let all =
                CounterQuery { grain, from: Timestamp(0), before: world.now().plus_ms(1), module: None, handler: None };
            let counted = other.storage.counters(&all).await.unwrap();
            assert!(!counted.is_empty());
            assert_eq!(counted, world.storage.counters(&all).await.unwrap());
        }
        let tagged = JobFilter { tag: Some("ünï".into()), ..JobFilter::default() };
        assert_eq!(other.storage.count(&tagged).await.unwrap().count, 7);
        let again = exported(&other, 1_000).await;
        assert_eq!(written(&again), written(&records), "what was imported is exported again as it was");
    }
}

pub async fn what_was_imported_is_claimed_in_the_same_order_and_goes_on(world: World) {
    fill(&world).await;
    let other = world.another().await;
    other.storage.import(exported(&world, 1_000).await).await.unwrap();
    world.clock.advance_ms(10_000);
    assert_eq!(other.promote().await, world.promote().await);
    let mut claimed = Vec::new();
    for of in [&world, &other] {
        let server = of.server().await;
        let mut runs = Vec::new();
        loop {
            let some = of.claim(server, 1, 1).await;
            if some.is_empty() {
                break;
            }
            for run in some {
                of.settle(&run, success()).await.unwrap();
                let mut run = run;
                run.fence.server = windlass_api::ServerId(uuid::Uuid::nil());
                runs.push(run);
            }
        }
        claimed.push(runs);
    }
    assert!(claimed[0].len() >= 7, "{}", claimed[0].len());
    assert_eq!(claimed[0], claimed[1]);
    other.deploy(3, &[("nobody", Mode::Sync)]).await;
    assert_eq!(other.claim(other.server().await, 9, 9).await.len(), 1, "it waited for its handler");
    world.clock.advance_ms(100 * 24 * 3_600_000);
    while other.storage.prune(100).await.unwrap() > 0 {}
    assert_eq!(other.storage.counts().await.unwrap().0, [(State::Processing, 1)].into());
}

pub async fn importing_twice_changes_nothing(world: World) {
    fill(&world).await;
    let records = exported(&world, 1_000).await;
    let other = world.another().await;
    assert_eq!(other.storage.import(records.clone()).await.unwrap(), records.len());
    // What has happened since stays.
    let server = other.server().await;
    let run = other.claim(server, 1, 0).await.remove(0);
    other.settle(&run, success()).await.unwrap();
    let before = details(&other).await;
    let counts = other.storage.counts().await.unwrap();
    assert_eq!(other.storage.import(records).await.unwrap(), 0);
    assert_eq!(details(&other).await, before);
    assert_eq!(other.storage.counts().await.unwrap(), counts);
}

pub async fn a_job_that_was_processing_comes_back_to_its_line(world: World) {
    let waiting = world.add(job()).await;
    world.clock.advance_ms(5);
    let second = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim(server, 1, 0).await.remove(0);
    assert_eq!(run.fence.job, waiting);
    let third = world.add(job()).await;
    let cancelled = world.claim(server, 1, 0).await.remove(0);
    assert_eq!(world.storage.cancel(second, "ann").await.unwrap(), Commanded::Requested(cancelled.fence));
    world.clock.advance_ms(5);
    let other = world.another().await;
    other.storage.import(exported(&world, 10).await).await.unwrap();
    let detail = other.detail(waiting).await;
    assert_eq!((detail.job.state, detail.job.attempt, detail.job.run), (State::Enqueued, 0, 1));
    assert_eq!(detail.job.server, None);
    let last = detail.history.last().unwrap();
    assert_eq!((last.by.as_str(), last.reason.as_deref(), last.run), ("import", Some("imported"), Some(1)));
    assert_eq!(detail.history[1].by, format!("server {server}"), "who ran it stays known");
    let detail = other.detail(second).await;
    assert_eq!((detail.job.state, detail.job.reason.as_deref()), (State::Deleted, Some("cancelled")));
    // It has kept its place at the head of its line, and its runs go on counting.
    let runs = other.claim(other.server().await, 9, 0).await;
    let told = runs.iter().map(|run| (run.fence.job, run.fence.run, run.attempt)).collect::<Vec<_>>();
    assert_eq!(told, [(waiting, 2, 1), (third, 1, 1)]);
    assert_eq!(other.settle(&run, success()).await, Err(crate::storage::Superseded), "the old run is over");
}

pub async fn losses_are_moved_too(world: World) {
    let mut new = job();
    new.max_attempts = 100;
    let id = world.add(new).await;
    for _ in 0..2 {
        let lost = world.server().await;
        world.claim_one(lost).await;
        world.lose(lost).await;
    }
    let other = world.another().await;
    other.storage.import(exported(&world, 10).await).await.unwrap();
    let lost = other.server().await;
    other.claim_one(lost).await;
    other.lose(lost).await;
    assert_eq!(other.detail(id).await.job.reason.as_deref(), Some("poison"), "it is the third that it lost");
}

pub async fn an_import_into_a_storage_that_is_used_keeps_to_the_order_of_making(world: World) {
    let other = world.another().await;
    let first = world.add(job()).await;
    world.clock.advance_ms(5);
    let second = other.add(job()).await;
    world.clock.advance_ms(5);
    let third = world.add(job()).await;
    assert_eq!(other.storage.import(exported(&world, 10).await).await.unwrap(), 2, "its own counters stay");
    assert_eq!(order(&other).await, [third, second, first]);
    assert_eq!(other.claim_from(other.server().await, &["default"], 9).await, [first, second, third]);
}

pub async fn an_import_is_taken_wholly_or_not_at_all_and_a_cursor_that_is_none_refused(world: World) {
    let refused = world.storage.export(Some("über"), 3).await;
    assert!(matches!(refused, Err(StorageError::InvalidCursor(given)) if given == "über"));
    let page = world.storage.export(None, 3).await.unwrap();
    assert_eq!((page.items, page.next), (vec![], None));
    assert_eq!(world.storage.import(Vec::new()).await.unwrap(), 0);
}
