//! What operators ask of one job.

use uuid::Uuid;
use windlass_api::{After, ContinueOn, JobId, RequeueRequest, State};

use super::world::{World, failure, job, json, released, retry, success, told};
use crate::{
    NewJob, Next, Start, Verdict, decide,
    storage::{Commanded, Heartbeat, Removal, Signal},
};

pub async fn a_waiting_job_is_cancelled_at_once(world: World) {
    let server = world.server().await;
    for start in [Start::Now, Start::After(5), Start::WithHandler] {
        let mut new = job();
        new.start = start;
        let id = world.add(new).await;
        assert_eq!(world.storage.cancel(id, "ann").await.unwrap(), Commanded::Done(State::Deleted));
        let detail = world.detail(id).await;
        assert_eq!((detail.job.state, detail.job.reason.as_deref()), (State::Deleted, Some("cancelled")));
        let last = detail.history.last().unwrap();
        assert_eq!((last.to, last.by.as_str()), (State::Deleted, "ann"));
    }
    world.clock.advance_ms(10);
    assert_eq!(world.promote().await.moved, 0);
    assert!(world.claim(server, 9, 9).await.is_empty());
}

pub async fn a_running_job_is_asked_to_stop_and_deleted_when_it_has(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    let mut signals = world.storage.wake().map(crate::storage::Wake::signals);
    assert_eq!(world.storage.cancel(id, "ann").await.unwrap(), Commanded::Requested(run.fence));
    if let Some(signals) = &mut signals {
        told(signals, Signal::Cancel(run.fence)).await;
    }
    let shown = world.detail(id).await.job;
    assert_eq!((shown.state, shown.cancel_requested), (State::Processing, true));
    assert_eq!(world.beat(server).await, Heartbeat::Alive { cancelled: vec![run.fence] });
    assert_eq!(world.settle(&run, Next::Cancelled).await, Ok(State::Deleted));
    let detail = world.detail(id).await;
    let last = detail.history.last().unwrap();
    assert_eq!((last.reason.as_deref(), last.by.as_str(), last.run), (Some("cancelled"), "ann", Some(1)));
    assert_eq!(world.beat(server).await, Heartbeat::Alive { cancelled: Vec::new() });
}

pub async fn a_cancel_turns_a_retry_a_snooze_and_a_release_into_a_deletion(world: World) {
    let server = world.server().await;
    for next in [retry(5), Next::Snooze { delay_ms: 5 }, released(), Next::HandlerMissing] {
        let id = world.add(job()).await;
        let run = world.claim_one(server).await;
        world.storage.delete(id, "ann").await.unwrap();
        assert_eq!(world.settle(&run, next.clone()).await, Ok(State::Deleted), "{next:?}");
        assert_eq!(world.detail(id).await.job.reason.as_deref(), Some("deleted"));
    }
}

pub async fn a_success_wins_over_a_cancel(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    world.storage.cancel(id, "ann").await.unwrap();
    assert_eq!(world.settle(&run, success()).await, Ok(State::Succeeded));
    assert!(!world.detail(id).await.job.cancel_requested, "nothing is asked of it any more");
}

pub async fn a_cancel_turns_the_failure_of_the_last_attempt_into_a_deletion(world: World) {
    let mut new = job();
    new.max_attempts = 1;
    let id = world.add(new).await;
    let run = world.claim_one(world.server().await).await;
    world.storage.cancel(id, "ann").await.unwrap();
    let verdict = Verdict::Retryable { failure: failure("no"), delay_ms: None };
    assert_eq!(world.settle(&run, decide(verdict, &run, 0.0)).await, Ok(State::Deleted));
    let detail = world.detail(id).await;
    let last = detail.history.last().unwrap();
    assert_eq!((last.reason.as_deref(), last.by.as_str()), (Some("cancelled"), "ann"));
    assert_eq!(last.failure, Some(failure("no")));
}

pub async fn a_finished_job_cannot_be_cancelled_but_deleted(world: World) {
    let server = world.server().await;
    for (next, state) in [(success(), State::Succeeded), (Next::Failed { failure: failure("no") }, State::Failed)] {
        let id = world.add(job()).await;
        let run = world.claim_one(server).await;
        world.settle(&run, next).await.unwrap();
        assert_eq!(world.storage.cancel(id, "ann").await.unwrap(), Commanded::Refused(state));
        assert_eq!(world.storage.delete(id, "ann").await.unwrap(), Commanded::Done(State::Deleted));
        assert_eq!(world.storage.delete(id, "ann").await.unwrap(), Commanded::Refused(State::Deleted));
    }
}

pub async fn a_requeue_starts_the_count_anew(world: World) {
    let mut new = job();
    new.max_attempts = 1;
    let id = world.add(new).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    world.settle(&run, Next::Failed { failure: failure("no") }).await.unwrap();
    let requeued = world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(requeued, Commanded::Done(State::Enqueued));
    let detail = world.detail(id).await;
    let shown = &detail.job;
    assert_eq!((shown.attempt, shown.run, &shown.failure, &shown.usage), (0, 1, &None, &None));
    assert_eq!((shown.finished_at, &detail.result, detail.removed_at), (None, &None, None));
    let last = detail.history.last().unwrap();
    assert_eq!((last.from, last.to, last.by.as_str()), (Some(State::Failed), State::Enqueued, "ann"));
    let again = world.claim_one(server).await;
    assert_eq!((again.attempt, again.fence.run), (1, 2));
    world.settle(&again, Next::Succeeded { result: Some(json("1")) }).await.unwrap();
    world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(world.detail(id).await.result, None);
}

pub async fn a_requeue_is_refused_in_another_state_than_expected(world: World) {
    let id = world.add(job()).await;
    world.storage.cancel(id, "ann").await.unwrap();
    let expecting = |state| RequeueRequest { expected_state: Some(state), ..RequeueRequest::default() };
    let refused = world.storage.requeue(id, expecting(State::Failed), "ann").await.unwrap();
    assert_eq!(refused, Commanded::Refused(State::Deleted));
    let done = world.storage.requeue(id, expecting(State::Deleted), "ann").await.unwrap();
    assert_eq!(done, Commanded::Done(State::Enqueued));
}

pub async fn a_job_that_waits_or_runs_is_not_requeued(world: World) {
    let id = world.add(job()).await;
    let how = RequeueRequest::default();
    assert_eq!(world.storage.requeue(id, how, "ann").await.unwrap(), Commanded::Refused(State::Enqueued));
    world.claim_one(world.server().await).await;
    assert_eq!(world.storage.requeue(id, how, "ann").await.unwrap(), Commanded::Refused(State::Processing));
}

pub async fn a_fresh_requeue_forgets_checkpoints_and_another_keeps_them(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    world.storage.put_checkpoint(run.fence, "step", &json("[1]")).await.unwrap().unwrap();
    world.settle(&run, success()).await.unwrap();
    world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(world.storage.checkpoint(id, "step").await.unwrap(), Some(json("[1]")));
    world.storage.cancel(id, "ann").await.unwrap();
    world.storage.requeue(id, RequeueRequest { fresh: true, ..RequeueRequest::default() }, "ann").await.unwrap();
    assert_eq!(world.storage.checkpoint(id, "step").await.unwrap(), None);
}

pub async fn a_command_on_no_job_finds_none(world: World) {
    let nobody = JobId(Uuid::now_v7());
    assert_eq!(world.storage.cancel(nobody, "ann").await.unwrap(), Commanded::NotFound);
    assert_eq!(world.storage.delete(nobody, "ann").await.unwrap(), Commanded::NotFound);
    let requeued = world.storage.requeue(nobody, RequeueRequest::default(), "ann").await.unwrap();
    assert_eq!(requeued, Commanded::NotFound);
    assert_eq!(world.storage.job(nobody).await.unwrap(), None);
}

pub async fn jobs_that_are_removed_in_one_step_become_what_each_by_itself_would(world: World) {
    let server = world.server().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        world.add(NewJob { priority: 0, ..job() }).await;
    }
    for run in world.claim(server, 3, 0).await {
        runs.push(run);
    }
    let success = Next::Succeeded { result: Some("7".parse().unwrap()) };
    world.settle(&runs[0], success).await.unwrap();
    let (succeeded, running, other) = (runs[0].fence.job, runs[1].fence.job, runs[2].fence.job);
    let parent = world.add(job()).await;
    let mut child = job();
    child.conditions.after = Some(After { jobs: vec![parent], on: ContinueOn::Success });
    let child = world.add(child).await;
    let later = world.add(NewJob { start: Start::After(5_000), ..job() }).await;
    let unknown = JobId(Uuid::now_v7());

    let cancels = Removal { deletes_ended: false, expected_state: None };
    let asked = vec![succeeded, later, unknown, running];
    let told = world.storage.remove_all(asked, cancels, "ann").await.unwrap();
    let expected = [
        Commanded::Refused(State::Succeeded),
        Commanded::Done(State::Deleted),
        Commanded::NotFound,
        Commanded::Requested(runs[1].fence),
    ];
    assert_eq!(told, expected);
    assert_eq!(world.detail(later).await.job.reason.as_deref(), Some("cancelled"));
    assert!(world.detail(running).await.job.cancel_requested && !world.detail(other).await.job.cancel_requested);

    let deletes = Removal { deletes_ended: true, expected_state: None };
    let of_enqueued = Removal { expected_state: Some(State::Enqueued), ..deletes };
    let told = world.storage.remove_all(vec![succeeded, parent], of_enqueued, "ann").await.unwrap();
    assert_eq!(told, [Commanded::Refused(State::Succeeded), Commanded::Done(State::Deleted)]);
    let told = world.storage.remove_all(vec![succeeded, parent], deletes, "ann").await.unwrap();
    assert_eq!(told, [Commanded::Done(State::Deleted), Commanded::Refused(State::Deleted)]);
    let detail = world.detail(succeeded).await;
    assert_eq!((detail.job.reason.as_deref(), detail.result.is_some()), (Some("deleted"), true), "its result stays");
    world.promote().await;
    assert_eq!(world.detail(child).await.job.reason.as_deref(), Some("parent-gone"));
    assert_eq!(world.settle(&runs[1], Next::Cancelled).await, Ok(State::Deleted));
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Processing, 1), (State::Deleted, 5)].into());
    assert!(world.storage.remove_all(Vec::new(), deletes, "ann").await.unwrap().is_empty());
}
