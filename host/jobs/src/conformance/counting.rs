//! What happened, by minute and hour.

use windlass_api::{CounterQuery, CounterRow, Grain, HandlerName, ModuleName, Timestamp, Usage};

use super::world::{World, failure, job, retry, success};
use crate::{Claimed, NewJob, Next, Settlement};

const MINUTE_MS: i64 = 60_000;

/// All up to now.
fn all(world: &World, grain: Grain) -> CounterQuery {
    CounterQuery { grain, from: Timestamp(0), before: world.now().plus_ms(1), module: None, handler: None }
}

async fn rows(world: &World, query: &CounterQuery) -> Vec<CounterRow> {
    world.storage.counters(query).await.unwrap()
}

async fn end(world: &World, run: &Claimed, next: Next, follow_ups: Vec<NewJob>) {
    let usage = Usage { fuel: 1_000, wall_us: 70, ..Usage::default() };
    let settlement = Settlement { fence: run.fence, next, usage, follow_ups };
    world.storage.settle(vec![settlement]).await.unwrap()[0].unwrap();
}

fn row(at: Timestamp, handler: &str) -> CounterRow {
    CounterRow {
        at,
        module: "shop".parse().unwrap(),
        handler: handler.parse().unwrap(),
        made: 0,
        succeeded: 0,
        failed: 0,
        retried: 0,
        deleted: 0,
        runs: 0,
        run_us: 0,
        fuel: 0,
    }
}

pub async fn the_rows_of_minutes_and_hours_tell_what_was_done(world: World) {
    let server = world.server().await;
    let first = Grain::Minute.start_of(world.now());
    for _ in 0..6 {
        world.add(job()).await;
    }
    let runs = world.claim(server, 9, 0).await;
    let mut follow_up = job();
    follow_up.handler = "ship".parse().unwrap();
    end(&world, &runs[0], success(), vec![follow_up]).await;
    end(&world, &runs[1], retry(1), Vec::new()).await;
    end(&world, &runs[2], Next::Failed { failure: failure("no") }, Vec::new()).await;
    end(&world, &runs[3], Next::Cancelled, Vec::new()).await;
    end(&world, &runs[4], Next::Snooze { delay_ms: 5 }, Vec::new()).await;
    let bill = CounterRow { made: 6, succeeded: 1, failed: 1, retried: 1, deleted: 1, runs: 5, ..row(first, "bill") };
    let bill = CounterRow { run_us: 350, fuel: 5_000, ..bill };
    let ship = CounterRow { made: 1, ..row(first, "ship") };
    assert_eq!(rows(&world, &all(&world, Grain::Minute)).await, [bill.clone(), ship.clone()]);
    world.clock.advance_ms(MINUTE_MS);
    world.lose(server).await;
    let waiting = world.storage.jobs(&windlass_api::JobFilter::default(), None, 9).await.unwrap().items;
    let lost = waiting.iter().find(|shown| shown.id == runs[5].fence.job).unwrap();
    world.storage.cancel(lost.id, "ann").await.unwrap();
    let second = Timestamp(first.0 + MINUTE_MS);
    let later = CounterRow { deleted: 1, ..row(second, "bill") };
    assert_eq!(rows(&world, &all(&world, Grain::Minute)).await, [bill.clone(), ship.clone(), later]);
    let hour = Grain::Hour.start_of(first);
    let bill = CounterRow { at: hour, deleted: 2, ..bill };
    assert_eq!(rows(&world, &all(&world, Grain::Hour)).await, [bill, CounterRow { at: hour, ..ship }]);
}

pub async fn a_job_that_fails_with_its_server_counts_as_failed_but_not_as_a_run(world: World) {
    let mut new = job();
    new.max_attempts = 1;
    world.add(new).await;
    let server = world.server().await;
    world.claim_one(server).await;
    world.lose(server).await;
    let at = Grain::Minute.start_of(world.now());
    assert_eq!(rows(&world, &all(&world, Grain::Minute)).await, [CounterRow { made: 1, failed: 1, ..row(at, "bill") }]);
}

pub async fn what_is_refused_or_repeated_is_not_counted(world: World) {
    let new = job();
    let run = {
        world.add(new.clone()).await;
        world.claim_one(world.server().await).await
    };
    world.storage.enqueue(vec![new], "ann").await.unwrap();
    world.settle(&run, retry(1)).await.unwrap();
    world.settle(&run, success()).await.unwrap_err();
    world.storage.delete(run.fence.job, "ann").await.unwrap();
    world.storage.delete(run.fence.job, "ann").await.unwrap();
    let at = Grain::Minute.start_of(world.now());
    let expected = CounterRow { made: 1, retried: 1, deleted: 1, runs: 1, ..row(at, "bill") };
    assert_eq!(rows(&world, &all(&world, Grain::Minute)).await, [expected]);
}

pub async fn counters_are_asked_for_by_time_module_and_handler(world: World) {
    let first = Grain::Minute.start_of(world.now());
    for _ in 0..3 {
        for (module, handler) in [("shop", "bill"), ("shop", "ship"), ("bank", "bill")] {
            let (module, handler) = (module.parse().unwrap(), handler.parse().unwrap());
            world.add(NewJob { module, handler, ..job() }).await;
        }
        world.clock.advance_ms(MINUTE_MS);
    }
    let minute = |n: i64| Timestamp(first.0 + n * MINUTE_MS);
    let whole = rows(&world, &all(&world, Grain::Minute)).await;
    assert_eq!(whole.iter().map(|row| row.at).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2].map(minute));
    let names = whole[..3].iter().map(|row| (row.module.as_str(), row.handler.as_str())).collect::<Vec<_>>();
    assert_eq!(names, [("bank", "bill"), ("shop", "bill"), ("shop", "ship")], "within a span by name");
    // From the span that the instant lies in, and up to before the other one.
    let some = CounterQuery { from: Timestamp(minute(2).0 - 1), before: minute(2), ..all(&world, Grain::Minute) };
    assert!(rows(&world, &some).await.iter().all(|row| row.at == minute(1)));
    assert_eq!(rows(&world, &some).await.len(), 3);
    let up_to = CounterQuery { before: Timestamp(minute(2).0 + 1), ..some };
    assert_eq!(rows(&world, &up_to).await.len(), 6);
    let module = CounterQuery { module: Some("shop".parse::<ModuleName>().unwrap()), ..all(&world, Grain::Minute) };
    assert_eq!(rows(&world, &module).await.len(), 6);
    let handler = CounterQuery { handler: Some("bill".parse::<HandlerName>().unwrap()), ..all(&world, Grain::Minute) };
    assert_eq!(rows(&world, &handler).await.len(), 6);
    assert_eq!(rows(&world, &CounterQuery { handler: handler.handler, ..module }).await.len(), 3);
}

pub async fn no_more_than_the_newest_spans_are_read(world: World) {
    let first = Grain::Minute.start_of(world.now());
    world.add(job()).await;
    world.clock.advance_ms(MINUTE_MS);
    world.add(job()).await;
    let minute = |n: i64| Timestamp(first.0 + n * MINUTE_MS);
    let up_to = |before| CounterQuery { before, ..all(&world, Grain::Minute) };
    assert_eq!(rows(&world, &up_to(minute(3_000))).await.len(), 2);
    assert_eq!(rows(&world, &up_to(minute(3_001))).await.len(), 1);
    assert_eq!(rows(&world, &up_to(Timestamp(minute(3_000).0 + 1))).await.len(), 1);
}

pub async fn old_counters_are_pruned_and_hours_are_kept_longer(world: World) {
    world.add(job()).await;
    let kept_ms = i64::try_from(Grain::Minute.kept_ms()).unwrap();
    world.clock.advance_ms(kept_ms);
    world.storage.prune(10).await.unwrap();
    assert_eq!(rows(&world, &all(&world, Grain::Minute)).await.len(), 1);
    world.clock.advance_ms(MINUTE_MS);
    world.storage.prune(10).await.unwrap();
    assert!(rows(&world, &all(&world, Grain::Minute)).await.is_empty());
    assert_eq!(rows(&world, &all(&world, Grain::Hour)).await.len(), 1);
    world.clock.advance_ms(i64::try_from(Grain::Hour.kept_ms() + Grain::Hour.span_ms()).unwrap());
    world.storage.prune(10).await.unwrap();
    assert!(rows(&world, &all(&world, Grain::Hour)).await.is_empty());
}

pub async fn a_run_that_never_began_is_not_counted_as_one(world: World) {
    let server = world.server().await;
    world.add(job()).await;
    world.add(job()).await;
    let runs = world.claim(server, 9, 0).await;
    let usage = Usage { fuel: 5, wall_us: 5, ..Usage::default() };
    let handed_back = |run: &Claimed, reason: &str| Settlement {
        fence: run.fence,
        next: Next::Released { reason: reason.into(), mode: run.mode },
        usage,
        follow_ups: Vec::new(),
    };
    let batch = vec![handed_back(&runs[0], "not-started"), handed_back(&runs[1], "shutdown")];
    let settled = world.storage.settle(batch).await.unwrap();
    assert!(settled.iter().all(Result::is_ok), "{settled:?}");
    let at = Grain::Minute.start_of(world.now());
    let expected = CounterRow { made: 2, runs: 1, run_us: 5, fuel: 5, ..row(at, "bill") };
    assert_eq!(rows(&world, &all(&world, Grain::Minute)).await, [expected]);
    let again = world.claim(server, 9, 0).await;
    assert!(again.iter().all(|run| (run.fence.run, run.attempt) == (2, 1)), "its number is never given again");
}
