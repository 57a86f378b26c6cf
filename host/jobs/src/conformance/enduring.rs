//! What is out of the ordinary: large batches, odd content, many at once, and commands at the wrong moment.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;
use windlass_api::{JobFilter, JobId, LogLevel, LogLine, Mode, RequeueRequest, ServerId, State, Usage};

use super::world::{World, failure, job, json, released, retry, success};
use crate::{
    Claimed, Fence, NewJob, Next, Settlement, Start,
    storage::{ClaimRequest, Commanded, Heartbeat, Note, Superseded, Vitals},
};

fn settlement(run: &Claimed, next: Next) -> Settlement {
    Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() }
}

pub async fn a_stale_run_among_good_ones_does_not_keep_them_from_settling(world: World) {
    let server = world.server().await;
    for _ in 0..5 {
        world.add(job()).await;
    }
    let runs = world.claim(server, 5, 0).await;
    world.settle(&runs[2], retry(1)).await.unwrap();
    let nobody = Fence { job: JobId(Uuid::now_v7()), ..runs[0].fence };
    let mut batch = runs.iter().map(|run| settlement(run, success())).collect::<Vec<_>>();
    batch.push(Settlement { fence: nobody, ..settlement(&runs[0], success()) });
    let ok = Ok(State::Succeeded);
    let expected = [ok, ok, Err(Superseded), ok, ok, Err(Superseded)];
    assert_eq!(world.storage.settle(batch).await.unwrap(), expected);
    assert_eq!(world.state(runs[2].fence.job).await, State::Scheduled);
    assert_eq!(world.storage.counts().await.unwrap().of(State::Succeeded), 4);
}

pub async fn what_is_empty_does_nothing(world: World) {
    assert!(world.storage.enqueue(Vec::new(), "ann").await.unwrap().is_empty());
    assert!(world.storage.settle(Vec::new()).await.unwrap().is_empty());
    assert!(world.storage.note(Vec::new()).await.unwrap().is_empty());
    let id = world.add(job()).await;
    assert!(world.claim(world.server().await, 0, 0).await.is_empty());
    assert_eq!(world.state(id).await, State::Enqueued);
    assert_eq!(world.storage.promote(0).await.unwrap().moved, 0);
}

pub async fn a_follow_up_that_is_there_already_stays_as_it_is(world: World) {
    let server = world.server().await;
    world.add(job()).await;
    let run = world.claim_one(server).await;
    let mut known = job();
    known.start = Start::After(1_000);
    world.add(known.clone()).await;
    let before = world.detail(known.id).await;
    let again = NewJob { payload: json("[2]"), start: Start::Now, ..known.clone() };
    let new = job();
    let follow_ups = vec![again, new.clone(), new.clone()];
    let settled = world.storage.settle(vec![Settlement { follow_ups, ..settlement(&run, success()) }]).await.unwrap();
    assert_eq!(settled, [Ok(State::Succeeded)]);
    assert_eq!(world.detail(known.id).await, before);
    assert_eq!(world.state(new.id).await, State::Enqueued);
    assert_eq!(world.storage.counts().await.unwrap().0.values().sum::<u64>(), 3);
}

pub async fn follow_ups_into_a_paused_queue_wait_until_it_is_resumed(world: World) {
    let server = world.server().await;
    world.storage.set_paused(&"later".parse().unwrap(), true).await.unwrap();
    world.add(job()).await;
    let run = world.claim_one(server).await;
    let follow_up = NewJob { queue: "later".parse().unwrap(), ..job() };
    let follow_ups = vec![follow_up.clone()];
    world.storage.settle(vec![Settlement { follow_ups, ..settlement(&run, success()) }]).await.unwrap();
    assert_eq!(world.state(follow_up.id).await, State::Enqueued);
    assert!(world.claim(server, 9, 9).await.is_empty());
    world.storage.set_paused(&"later".parse().unwrap(), false).await.unwrap();
    assert_eq!(world.claim_one(server).await.fence.job, follow_up.id);
}

pub async fn many_that_claim_at_once_never_get_the_same_job(world: World) {
    let mut servers = Vec::new();
    for _ in 0..8 {
        servers.push(world.server().await);
    }
    world.storage.enqueue((0..400).map(|_| job()).collect(), "ann").await.unwrap();
    let drain = |server: ServerId| {
        let storage = world.storage.clone();
        tokio::spawn(async move {
            let request = ClaimRequest { server, queues: Vec::new(), sync_free: 7, async_free: 1 };
            let mut runs = Vec::new();
            loop {
                let claimed = storage.claim(&request).await.unwrap();
                if claimed.is_empty() {
                    return runs;
                }
                let ended = claimed.iter().map(|run| settlement(run, success())).collect();
                assert!(storage.settle(ended).await.unwrap().iter().all(Result::is_ok));
                runs.extend(claimed.into_iter().map(|run| run.fence.job));
            }
        })
    };
    let tasks = servers.into_iter().map(drain).collect::<Vec<_>>();
    let mut seen = HashSet::new();
    for task in tasks {
        for id in task.await.unwrap() {
            assert!(seen.insert(id), "claimed twice");
        }
    }
    assert_eq!(seen.len(), 400);
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Succeeded, 400)].into());
}

pub async fn many_that_promote_at_once_move_each_job_once(world: World) {
    let later = || NewJob { start: Start::After(5), ..job() };
    world.storage.enqueue((0..100).map(|_| later()).collect(), "ann").await.unwrap();
    world.clock.advance_ms(5);
    let promote = || {
        let storage = world.storage.clone();
        tokio::spawn(async move {
            let mut moved = 0;
            while let some @ 1.. = storage.promote(9).await.unwrap().moved {
                moved += some;
            }
            moved
        })
    };
    let tasks = [promote(), promote(), promote(), promote()];
    let mut moved = 0;
    for task in tasks {
        moved += task.await.unwrap();
    }
    assert_eq!(moved, 100);
    assert_eq!(world.claim(world.server().await, 200, 0).await.len(), 100);
}

pub async fn a_sweep_while_its_server_claims_leaves_no_job_behind(world: World) {
    for _ in 0..10 {
        let server = world.server().await;
        let id = world.add(job()).await;
        let pulse = world.pulse(server).await;
        let request = ClaimRequest { server, queues: Vec::new(), sync_free: 1, async_free: 0 };
        let (claimed, swept) = tokio::join!(world.storage.claim(&request), world.storage.sweep(pulse));
        let (claimed, swept) = (claimed.unwrap().len(), swept.unwrap());
        assert!(swept == Some(claimed) || (swept, claimed) == (Some(0), 0), "{claimed} claimed, {swept:?} swept");
        let shown = world.detail(id).await.job;
        assert_eq!((shown.state, shown.server), (State::Enqueued, None));
        let next = world.server().await;
        let run = world.claim_one(next).await;
        world.settle(&run, success()).await.unwrap();
    }
}

pub async fn a_server_that_nobody_knows_is_refused_and_may_leave(world: World) {
    let nobody = ServerId(Uuid::new_v4());
    assert_eq!(world.storage.heartbeat(nobody, Vitals::default()).await.unwrap(), Heartbeat::Refused);
    assert_eq!(world.storage.sweep(crate::storage::Pulse { server: nobody, beat: 0 }).await.unwrap(), None);
    world.storage.leave(nobody).await.unwrap();
    let fence = Fence { job: world.add(job()).await, run: 1, server: nobody };
    let note = Note { fence, progress: None, lines: Vec::new() };
    assert_eq!(world.storage.note(vec![note]).await.unwrap(), [Err(Superseded)]);
}

pub async fn a_job_is_deleted_and_requeued_from_every_state_that_allows_it(world: World) {
    let server = world.server().await;
    let ends = [
        (success(), State::Succeeded),
        (Next::Failed { failure: failure("no") }, State::Failed),
        (retry(1_000), State::Scheduled),
        (Next::HandlerMissing, State::Awaiting),
        (Next::Cancelled, State::Deleted),
        (released(), State::Enqueued),
    ];
    for deletes in [true, false] {
        for (next, state) in &ends {
            let id = world.add(job()).await;
            let run = world.claim_one(server).await;
            assert_eq!(world.settle(&run, next.clone()).await, Ok(*state));
            if deletes {
                let expected = match state {
                    State::Deleted => Commanded::Refused(State::Deleted),
                    _ => Commanded::Done(State::Deleted),
                };
                assert_eq!(world.storage.delete(id, "ann").await.unwrap(), expected, "{state}");
            } else {
                let how = RequeueRequest { expected_state: Some(*state), ..RequeueRequest::default() };
                let expected = match state {
                    State::Enqueued => Commanded::Refused(State::Enqueued),
                    _ => Commanded::Done(State::Enqueued),
                };
                assert_eq!(world.storage.requeue(id, how, "ann").await.unwrap(), expected, "{state}");
                let again = world.claim_one(server).await;
                assert_eq!((again.fence.job, again.fence.run), (id, 2));
                world.settle(&again, success()).await.unwrap();
            }
            world.clock.advance_ms(2_000);
            assert_eq!(world.promote().await.moved, 0, "nothing of it is left in a line");
            assert!(world.claim(server, 9, 9).await.is_empty());
        }
    }
    let delayed = world.add(NewJob { start: Start::After(10), ..job() }).await;
    assert_eq!(world.storage.delete(delayed, "ann").await.unwrap(), Commanded::Done(State::Deleted));
    let awaiting = world.add(NewJob { start: Start::WithHandler, ..job() }).await;
    assert_eq!(world.storage.delete(awaiting, "ann").await.unwrap(), Commanded::Done(State::Deleted));
}

pub async fn a_large_payload_and_result_come_back_as_they_were(world: World) {
    let quarter = 256 * 1024;
    let large = json(&format!("\"{}\"", "ä".repeat(quarter / 2 - 1)));
    let id = world.add(NewJob { payload: large.clone(), ..job() }).await;
    let run = world.claim_one(world.server().await).await;
    assert_eq!(run.payload, large);
    world.settle(&run, Next::Succeeded { result: Some(large.clone()) }).await.unwrap();
    let detail = world.detail(id).await;
    assert_eq!((detail.payload, detail.result), (large.clone(), Some(large)));
}

pub async fn odd_text_comes_back_as_it_was(world: World) {
    let odd = "\u{1f980} \u{202e}rtl\u{2028} é e\u{301} ' \" \\ \r\n\t %_ $1 {} \u{7f} \u{feff}";
    let escaped = r#"{"nul": "a\u0000b", "lone": "\ud83e\udd80", "key \u0000": [1e300, -0.0, 1.10], "a": 1, "a": 2}"#;
    let mut new = job();
    new.payload = json(escaped);
    new.headers = [(odd.to_owned(), odd.to_owned())].into();
    new.tags = vec![odd.to_owned()];
    let id = new.id;
    let enqueued = world.storage.enqueue(vec![new.clone()], odd).await.unwrap();
    assert!(!enqueued[0].existing);
    let run = world.claim_one(world.server().await).await;
    assert_eq!((&run.payload, &run.headers), (&new.payload, &new.headers));
    let line = |message: &str| LogLine {
        run: 1,
        at: world.now(),
        level: LogLevel::Trace,
        message: message.into(),
        fields: Some(new.payload.clone()),
    };
    let lines = vec![line(odd), line("")];
    world.storage.note(vec![Note { fence: run.fence, progress: None, lines: lines.clone() }]).await.unwrap();
    assert_eq!(world.storage.logs(id, None, 9).await.unwrap().items, lines);
    world.storage.put_checkpoint(run.fence, odd, &new.payload).await.unwrap().unwrap();
    assert_eq!(world.storage.checkpoint(id, odd).await.unwrap(), Some(new.payload.clone()));
    let failed = Next::Failed { failure: failure(odd) };
    world.settle(&run, failed).await.unwrap();
    let detail = world.detail(id).await;
    assert_eq!((detail.payload, detail.headers, detail.job.tags), (new.payload, new.headers, new.tags));
    assert_eq!((detail.history[0].by.as_str(), detail.job.failure), (odd, Some(failure(odd))));
    let tagged = JobFilter { tag: Some(odd.into()), ..JobFilter::default() };
    assert_eq!(world.storage.jobs(&tagged, None, 9).await.unwrap().items.len(), 1);
}

pub async fn a_job_may_have_very_many_tags_and_each_finds_it(world: World) {
    let mut new = job();
    new.tags = (0..500).map(|n| format!("tag {n}")).collect();
    let id = world.add(new.clone()).await;
    assert_eq!(world.detail(id).await.job.tags, new.tags);
    for n in [0, 250, 499] {
        let tagged = JobFilter { tag: Some(format!("tag {n}")), ..JobFilter::default() };
        assert_eq!(world.storage.jobs(&tagged, None, 9).await.unwrap().items[0].id, id);
    }
    world.storage.delete(id, "ann").await.unwrap();
    world.clock.advance_ms(24 * 3_600_000);
    assert_eq!(world.storage.prune(9).await.unwrap(), 1);
    let tagged = JobFilter { tag: Some("tag 499".into()), ..JobFilter::default() };
    assert!(world.storage.jobs(&tagged, None, 9).await.unwrap().items.is_empty());
}

pub async fn every_priority_is_taken_in_its_turn_whatever_the_age(world: World) {
    let mut made = BTreeMap::new();
    for priority in (0..=9).rev() {
        world.clock.advance_ms(1);
        made.insert(priority, world.add(NewJob { priority, ..job() }).await);
    }
    let claimed = world.claim_from(world.server().await, &[], 10).await;
    assert_eq!(claimed, made.into_values().collect::<Vec<_>>());
}

pub async fn a_thousand_jobs_are_claimed_and_settled_at_once(world: World) {
    let server = world.server().await;
    let jobs = (0..1_000).map(|n| NewJob { mode: if n % 2 == 0 { Mode::Sync } else { Mode::Async }, ..job() });
    world.storage.enqueue(jobs.collect(), "ann").await.unwrap();
    let runs = world.claim(server, 1_000, 1_000).await;
    assert_eq!(runs.iter().map(|run| run.fence.job).collect::<HashSet<_>>().len(), 1_000);
    let settled = world.storage.settle(runs.iter().map(|run| settlement(run, success())).collect()).await.unwrap();
    assert!(settled.len() == 1_000 && settled.iter().all(|state| *state == Ok(State::Succeeded)));
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Succeeded, 1_000)].into());
}

pub async fn whoever_makes_a_job_stands_in_the_first_line_of_its_history(world: World) {
    for by in ["ann", "api key 7", "", "bob <bob@example.org>"] {
        let new = job();
        let id = new.id;
        world.storage.enqueue(vec![new], by).await.unwrap();
        let history = world.detail(id).await.history;
        assert_eq!((history.len(), history[0].from, history[0].by.as_str()), (1, None, by));
    }
}

pub async fn a_pruned_job_leaves_nothing_behind_for_another_of_its_id(world: World) {
    let new = NewJob { tags: vec!["kept".into()], ..job() };
    let server = world.server().await;
    for _ in 0..2 {
        world.add(new.clone()).await;
        assert!(world.storage.logs(new.id, None, 9).await.unwrap().items.is_empty());
        assert_eq!(world.storage.checkpoint(new.id, "step").await.unwrap(), None);
        let run = world.claim_one(server).await;
        assert_eq!((run.fence.run, run.attempt), (1, 1));
        let line = LogLine { run: 1, at: world.now(), level: LogLevel::Info, message: "x".into(), fields: None };
        let progress = windlass_api::Progress { percent: 50.0, note: None, at: world.now() };
        let note = Note { fence: run.fence, progress: Some(progress), lines: vec![line] };
        world.storage.note(vec![note]).await.unwrap();
        world.storage.put_checkpoint(run.fence, "step", &json("1")).await.unwrap().unwrap();
        world.settle(&run, Next::Succeeded { result: Some(json("1")) }).await.unwrap();
        world.clock.advance_ms(24 * 3_600_000);
        assert_eq!(world.storage.prune(9).await.unwrap(), 1);
        assert!(world.storage.queues().await.unwrap().is_empty());
        assert!(world.storage.counts().await.unwrap().0.is_empty());
    }
    world.add(new.clone()).await;
    let shown = world.detail(new.id).await;
    assert_eq!((shown.job.progress, shown.result, shown.history.len()), (None, None, 1));
}

pub async fn findings_are_sentences_the_worst_first(world: World) {
    let findings = world.storage.findings().await.unwrap();
    assert!(findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.severity)), "{findings:?}");
    for finding in findings {
        assert!(finding.what.len() > 10 && !finding.what.ends_with('.'), "{finding:?}");
        assert!(!finding.mend.ends_with('.'), "{finding:?}");
    }
}
