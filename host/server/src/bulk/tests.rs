//! Bulk actions on a storage in memory.

use std::time::Duration;

use windlass_api::{
    BulkState, BulkVerb, Enqueued, JobFilter, JobId, JobRequest, Json, RequeueRequest, SkipReason, State,
};
use windlass_jobs::{Clock as _, SystemClock, storage::sqlite::SqliteStorage};

use super::*;

/// Jobs that wait for a handler which nobody has: nothing happens to them by itself.
async fn with_jobs(count: usize) -> (Client, Vec<JobId>) {
    let client = Client::new(SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap());
    let mut request = JobRequest::new("images/thumbnail".parse().unwrap(), Json::null());
    request.wait_for_handler = true;
    request.tags = vec!["old".to_owned()];
    let jobs = client.enqueue_many(vec![request; count]).await.unwrap();
    (client, jobs.into_iter().map(|Enqueued { id, .. }| id).collect())
}

fn tagged() -> JobFilter {
    JobFilter { tag: Some("old".to_owned()), ..JobFilter::default() }
}

async fn run(client: &Client, request: BulkActionRequest) -> BulkAction {
    let operation = Operation::new(BulkActionId(Uuid::now_v7()), request, "test".to_owned(), SystemClock.now());
    operation.run(client, &Semaphore::new(1)).await;
    operation.view()
}

#[tokio::test]
async fn all_jobs_that_pass_the_filter_are_deleted_chunk_by_chunk() {
    let (client, _) = with_jobs(250).await;
    let ended = run(&client, BulkActionRequest::new(BulkVerb::Delete, tagged())).await;
    assert_eq!((ended.state, ended.looked_at, ended.done, ended.failed), (BulkState::Finished, 250, 250, 0));
    assert_eq!(ended.matched.unwrap().count, 250);
    assert!(ended.ended_at.is_some() && !ended.limit_reached);
    assert_eq!(client.counts().await.unwrap().of(State::Deleted), 250);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_tells_what_would_be_done() {
    let (client, ids) = with_jobs(5).await;
    client.delete(ids[0]).await.unwrap();
    let request = BulkActionRequest { dry_run: true, ..BulkActionRequest::new(BulkVerb::Delete, tagged()) };
    let ended = run(&client, request).await;
    assert_eq!((ended.done, ended.skipped.len(), ended.matched.map(|matched| matched.count)), (4, 0, Some(4)));
    assert_eq!(client.counts().await.unwrap().of(State::Awaiting), 4);
}

#[tokio::test]
async fn no_more_jobs_than_the_limit_are_looked_at() {
    let (client, _) = with_jobs(150).await;
    let request = BulkActionRequest { limit: Some(120), ..BulkActionRequest::new(BulkVerb::Cancel, tagged()) };
    let ended = run(&client, request).await;
    assert_eq!((ended.looked_at, ended.done, ended.limit_reached), (120, 120, true));
    assert_eq!(client.counts().await.unwrap().of(State::Awaiting), 30);
}

#[tokio::test]
async fn jobs_that_the_action_is_not_for_are_passed_over_and_count_for_no_limit() {
    let (client, _) = with_jobs(1_250).await;
    let some = |verb, limit| BulkActionRequest { limit: Some(limit), ..BulkActionRequest::new(verb, tagged()) };
    for left in [200, 50] {
        // The newest are deleted already after the first time.
        let limit = if left == 200 { 1_050 } else { 150 };
        let ended = run(&client, some(BulkVerb::Delete, limit)).await;
        assert_eq!((ended.done, ended.looked_at), (limit.into(), limit.into()));
        assert!(ended.skipped.is_empty() && ended.limit_reached);
        assert_eq!(client.counts().await.unwrap().of(State::Awaiting), left);
    }
    let ended = run(&client, some(BulkVerb::Delete, 60)).await;
    assert_eq!((ended.done, ended.limit_reached, ended.matched.map(|matched| matched.count)), (50, false, Some(50)));
    let ended = run(&client, some(BulkVerb::Cancel, 2)).await;
    assert_eq!((ended.done, ended.looked_at, ended.state), (0, 0, BulkState::Finished));
    let ended = run(&client, some(BulkVerb::Requeue, 2)).await;
    assert_eq!((ended.done, ended.limit_reached), (2, true));
    let ended = run(&client, some(BulkVerb::Requeue, 2)).await;
    assert_eq!((ended.done, client.counts().await.unwrap().of(State::Enqueued)), (2, 4));
}

#[tokio::test]
async fn a_job_that_has_left_the_state_of_the_filter_is_left_alone() {
    let (client, ids) = with_jobs(1).await;
    let filter = JobFilter { state: Some(State::Awaiting), ..tagged() };
    for action in [BulkVerb::Delete, BulkVerb::Requeue] {
        let operation = Operation::new(
            BulkActionId(Uuid::now_v7()),
            BulkActionRequest::new(action, filter.clone()),
            "test".to_owned(),
            SystemClock.now(),
        );
        let listed = client.get(ids[0]).await.unwrap().unwrap().job;
        // Somebody else is quicker.
        client.delete(ids[0]).await.unwrap();
        assert!(matches!(
            operation.command(&client, listed).await,
            Ok(operation::Outcome::Skipped(SkipReason::OtherState))
        ));
        client.requeue(ids[0], RequeueRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn jobs_that_are_named_are_looked_at_once_each_and_what_is_gone_or_elsewhere_is_told() {
    let (client, ids) = with_jobs(230).await;
    client.delete(ids[0]).await.unwrap();
    let gone = JobId(Uuid::now_v7());
    let mut named: Vec<_> = ids[..220].to_vec();
    named.extend([gone, ids[1]]);
    let ended = run(&client, BulkActionRequest::on(BulkVerb::Delete, named, Some(State::Awaiting))).await;
    assert_eq!((ended.state, ended.named, ended.looked_at, ended.done), (BulkState::Finished, Some(221), 221, 219));
    assert_eq!(ended.skipped, [(SkipReason::OtherState, 1), (SkipReason::Gone, 1)].into());
    assert_eq!(client.counts().await.unwrap().of(State::Awaiting), 10);
    let some = BulkActionRequest { limit: Some(150), ..BulkActionRequest::on(BulkVerb::Requeue, ids, None) };
    let ended = run(&client, some).await;
    assert_eq!((ended.looked_at, ended.limit_reached), (150, true));
}

#[tokio::test]
async fn one_that_is_told_to_stop_does_not_go_on() {
    let (client, _) = with_jobs(10).await;
    let operation = Operation::new(
        BulkActionId(Uuid::now_v7()),
        BulkActionRequest::new(BulkVerb::Delete, tagged()),
        "test".to_owned(),
        SystemClock.now(),
    );
    operation.stop();
    assert_eq!(operation.view().state, BulkState::Stopping);
    operation.run(&client, &Semaphore::new(1)).await;
    assert_eq!((operation.view().state, operation.view().looked_at), (BulkState::Stopped, 0));
}

#[tokio::test]
async fn no_more_than_four_go_on_at_once_and_ended_ones_are_forgotten_in_time() {
    let (client, _) = with_jobs(0).await;
    let actions = BulkActions::default();
    let start = || {
        let request = BulkActionRequest::new(BulkVerb::Delete, tagged());
        actions.start(request, client.clone(), "test".to_owned(), SystemClock.now())
    };
    // Nothing of them runs before this task waits for something.
    let first: Vec<_> = (0..MAX_RUNNING).map(|_| start().unwrap()).collect();
    assert!(start().is_err());
    while actions.list().iter().any(|action| !action.state.is_final()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(actions.get(first[0].id).unwrap().state, BulkState::Finished);
    for _ in 0..MAX_ENDED {
        start().unwrap();
        while actions.list().iter().any(|action| !action.state.is_final()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    start().unwrap();
    assert!(actions.get(first[0].id).is_none(), "the oldest is forgotten");
    assert_eq!(actions.list().len(), MAX_ENDED + 1);
    actions.stop_all();
    assert!(matches!(start(), Err(NotBegun::Stopping)), "it would end with the host");
}
