//! The ends of runs.

use windlass_api::{Cause, Mode, State, Usage};

use super::world::{World, failure, job, json, released, retry, success, told_of_end};
use crate::{Next, Settlement};

pub async fn a_success_keeps_its_result(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    assert_eq!((run.attempt, run.fence.run), (1, 1));
    world.clock.advance_ms(30);
    let result = Some(json(r#"{"sum": 12345678901234567890}"#));
    assert_eq!(world.settle(&run, Next::Succeeded { result: result.clone() }).await, Ok(State::Succeeded));
    let detail = world.detail(id).await;
    assert_eq!((detail.result, detail.job.state, detail.job.server), (result, State::Succeeded, None));
    assert_eq!(detail.job.finished_at.unwrap().ms_since(detail.job.started_at.unwrap()), 30);
    assert!(detail.removed_at > detail.job.finished_at);
}

pub async fn a_retry_counts_and_comes_back_after_its_delay(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let first = world.claim_one(server).await;
    assert_eq!(world.settle(&first, retry(500)).await, Ok(State::Scheduled));
    let shown = world.detail(id).await.job;
    assert_eq!((shown.state, shown.reason.as_deref(), shown.attempt), (State::Scheduled, Some("retry"), 1));
    assert_eq!(shown.failure, Some(failure("again")));
    assert_eq!(shown.run_at.unwrap().ms_since(shown.created_at), 500);
    world.clock.advance_ms(500);
    assert_eq!(world.promote().await.moved, 1);
    let second = world.claim_one(server).await;
    assert_eq!((second.attempt, second.fence.run), (2, 2));
}

pub async fn a_snooze_gives_its_attempt_back_but_never_its_run(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    for run in 1..=5 {
        let claimed = world.claim_one(server).await;
        assert_eq!((claimed.attempt, claimed.fence.run), (1, run));
        assert_eq!(world.settle(&claimed, Next::Snooze { delay_ms: 10 }).await, Ok(State::Scheduled));
        let shown = world.detail(id).await.job;
        assert_eq!((shown.reason.as_deref(), shown.attempt, shown.failure), (Some("snooze"), 0, None));
        world.clock.advance_ms(10);
        world.promote().await;
    }
}

pub async fn a_failure_keeps_its_cause(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    assert_eq!(world.settle(&run, Next::Failed { failure: failure("done for") }).await, Ok(State::Failed));
    let shown = world.detail(id).await.job;
    assert_eq!((shown.state, shown.failure), (State::Failed, Some(failure("done for"))));
    assert_eq!(shown.reason.as_deref(), Some(Cause::Handler.as_str()));
}

pub async fn a_released_job_goes_back_to_the_head_of_its_line(world: World) {
    let first = world.add(job()).await;
    world.clock.advance_ms(5);
    world.add(job()).await;
    let server = world.server().await;
    let run = world.claim(server, 1, 0).await.remove(0);
    world.clock.advance_ms(5);
    assert_eq!(world.settle(&run, released()).await, Ok(State::Enqueued));
    let again = world.claim(server, 1, 0).await.remove(0);
    assert_eq!((again.fence.job, again.attempt, again.fence.run), (first, 1, 2));
}

pub async fn a_job_of_the_other_mode_goes_to_the_other_line(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim(server, 1, 1).await.remove(0);
    assert_eq!(run.mode, Mode::Sync);
    let other = Next::Released { reason: "other-mode".into(), mode: Mode::Async };
    assert_eq!(world.settle(&run, other).await, Ok(State::Enqueued));
    assert!(world.claim(server, 9, 0).await.is_empty());
    let again = world.claim(server, 0, 9).await.remove(0);
    assert_eq!((again.fence.job, again.mode, again.attempt), (id, Mode::Async, 1));
}

pub async fn follow_ups_come_with_the_success_and_only_with_it(world: World) {
    let server = world.server().await;
    let ends = [
        (success(), State::Succeeded, true),
        (retry(1), State::Scheduled, false),
        (Next::Failed { failure: failure("no") }, State::Failed, false),
        (Next::Cancelled, State::Deleted, false),
    ];
    for (next, state, comes) in ends {
        world.add(job()).await;
        let run = world.claim_one(server).await;
        let mut follow_up = job();
        follow_up.start = crate::Start::After(1_000_000);
        let settlement =
            Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: vec![follow_up.clone()] };
        assert_eq!(world.storage.settle(vec![settlement]).await.unwrap(), [Ok(state)]);
        let stored = world.storage.job(follow_up.id).await.unwrap();
        assert_eq!(stored.is_some(), comes, "after {state}");
        if let Some(stored) = stored {
            assert_eq!(stored.history[0].by, format!("job {}", run.fence.job));
        }
    }
}

pub async fn the_history_tells_the_life_of_a_job_in_order(world: World) {
    let mut new = job();
    new.start = crate::Start::After(10);
    let id = world.add(new).await;
    let server = world.server().await;
    world.clock.advance_ms(10);
    world.promote().await;
    world.clock.advance_ms(10);
    let run = world.claim_one(server).await;
    world.clock.advance_ms(10);
    world.settle(&run, retry(10)).await.unwrap();
    world.clock.advance_ms(10);
    world.promote().await;
    world.clock.advance_ms(10);
    world.claim_one(server).await;
    let history = world.detail(id).await.history;
    let by = format!("server {server}");
    let told = history.iter().map(|line| (line.from, line.to, line.by.as_str(), line.reason.as_deref(), line.run));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (None, State::Scheduled, "ann", None, None),
            (Some(State::Scheduled), State::Enqueued, "scheduler", None, None),
            (Some(State::Enqueued), State::Processing, &by, None, Some(1)),
            (Some(State::Processing), State::Scheduled, &by, Some("retry"), Some(1)),
            (Some(State::Scheduled), State::Enqueued, "scheduler", None, None),
            (Some(State::Enqueued), State::Processing, &by, None, Some(2)),
        ]
    );
    let spans = history.windows(2).map(|pair| pair[1].at.ms_since(pair[0].at));
    assert!(spans.eq([10; 5]));
    assert_eq!(history[3].failure, Some(failure("again")));
    assert_eq!((history[3].attempt, history[5].attempt), (Some(1), Some(2)));
}

pub async fn what_a_run_used_is_kept(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    let usage = Usage {
        fuel: 1,
        peak_memory_bytes: 2,
        wall_us: 3,
        log_bytes: 4,
        sent_bytes: 5,
        received_bytes: u64::from(u32::MAX) * 2,
    };
    let settlement = Settlement { fence: run.fence, next: success(), usage, follow_ups: Vec::new() };
    world.storage.settle(vec![settlement]).await.unwrap();
    let detail = world.detail(id).await;
    assert_eq!((detail.job.usage, detail.history.last().unwrap().usage), (Some(usage), Some(usage)));
}

pub async fn the_end_of_a_job_is_told(world: World) {
    let Some(mut ends) = world.storage.wake().and_then(crate::storage::Wake::ends) else { return };
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    world.settle(&run, success()).await.unwrap();
    told_of_end(&mut ends, id).await;
}
