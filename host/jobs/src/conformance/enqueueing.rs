//! New jobs.

use windlass_api::{RetryPolicy, State};

use super::world::{World, job, told};
use crate::{Start, storage::Signal};

pub async fn a_repeated_enqueue_of_the_same_id_makes_one_job(world: World) {
    let first = job();
    world.add(first.clone()).await;
    let mut again = first.clone();
    again.payload = "2".parse().unwrap();
    let both = world.storage.enqueue(vec![again, job()], "ann").await.unwrap();
    assert_eq!((both[0].id, both[0].existing, both[1].existing), (first.id, true, false));
    assert_eq!(world.detail(first.id).await.payload, first.payload);
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 2);
    let twin = job();
    let twins = world.storage.enqueue(vec![twin.clone(), twin], "ann").await.unwrap();
    assert_eq!((twins[0].existing, twins[1].existing), (false, true));
}

pub async fn a_job_starts_now_later_or_when_its_handler_comes(world: World) {
    let now = world.detail(world.add(job()).await).await.job;
    let made_at = now.created_at;
    assert_eq!((now.state, now.run_at, now.attempt, now.run), (State::Enqueued, None, 0, 0));
    let starts = [
        (Start::After(10), State::Scheduled, Some(made_at.plus_ms(10))),
        (Start::At(made_at.plus_ms(20)), State::Scheduled, Some(made_at.plus_ms(20))),
        (Start::At(made_at), State::Enqueued, None),
        (Start::WithHandler, State::Awaiting, None),
    ];
    for (start, state, run_at) in starts {
        let mut new = job();
        new.start = start;
        let stored = world.detail(world.add(new).await).await.job;
        assert_eq!((stored.state, stored.run_at), (state, run_at), "{start:?}");
        assert_eq!(stored.reason.as_deref(), (state == State::Awaiting).then_some("handler-missing"));
    }
}

pub async fn a_job_reads_back_as_it_was_made(world: World) {
    let mut new = job();
    new.payload = r#"{"b": 123456789012345678901234567890, "a": 1.0}"#.parse().unwrap();
    new.headers = [("traceparent".to_owned(), "00-1-2-3".to_owned())].into();
    new.tags = vec!["red".into(), "blue".into()];
    new.retry = RetryPolicy::Delays { delays_ms: vec![1, 2] };
    new.timeout_ms = Some(1234);
    (new.priority, new.max_attempts) = (2, 7);
    let detail = world.detail(world.add(new.clone()).await).await;
    assert_eq!(detail.payload, new.payload);
    assert_eq!((detail.headers, detail.retry, detail.timeout_ms), (new.headers.clone(), new.retry.clone(), Some(1234)));
    let shown = detail.job;
    assert_eq!((shown.module, shown.handler, shown.queue), (new.module, new.handler, new.queue));
    assert_eq!((shown.tags, shown.priority, shown.max_attempts), (new.tags, 2, 7));
    let server = world.server().await;
    let claimed = world.claim_one(server).await;
    assert_eq!((claimed.payload, claimed.headers, claimed.retry), (new.payload, new.headers, new.retry));
    assert_eq!((claimed.timeout_ms, claimed.max_attempts, claimed.created_at), (Some(1234), 7, shown.created_at));
}

pub async fn work_is_signalled_when_a_job_is_stored(world: World) {
    let Some(wake) = world.storage.wake() else { return };
    let mut signals = wake.signals();
    world.add(job()).await;
    told(&mut signals, Signal::Work).await;
}
