//! What a caller finds who repeats a verb, or looks, after its answer was lost.

use std::sync::Arc;

use windlass_api::{RequeueRequest, State, Usage};

use super::{
    faulty::{Faulty, Outcome, scripted},
    world::{World, job, success, version},
};
use crate::{
    Settlement, Start,
    storage::{ClaimRequest, Commanded, RecurringEntry, Storage, StorageError, Superseded},
};

/// The storage of a world, with the first answer lost.
fn losing(world: &World) -> Arc<dyn Storage> {
    Faulty::new(Arc::clone(&world.storage), scripted([Outcome::AnswerLost]))
}

fn lost<T: std::fmt::Debug>(answer: Result<T, StorageError>) {
    let answer = answer.map(drop);
    assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
}

pub async fn a_repeated_enqueue_finds_its_jobs(world: World) {
    let storage = losing(&world);
    let jobs = vec![job(), job()];
    lost(storage.enqueue(jobs.clone(), "ann").await);
    assert!(storage.enqueue(jobs, "bob").await.unwrap().iter().all(|enqueued| enqueued.existing));
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 2);
}

pub async fn a_repeated_settlement_is_superseded_and_made_its_follow_ups_once(world: World) {
    world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    let storage = losing(&world);
    let follow_ups = vec![job()];
    let batch = vec![Settlement { fence: run.fence, next: success(), usage: Usage::default(), follow_ups }];
    lost(storage.settle(batch.clone()).await);
    assert_eq!(storage.settle(batch).await.unwrap(), [Err(Superseded)]);
    assert_eq!(world.state(run.fence.job).await, State::Succeeded);
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Succeeded, 1), (State::Enqueued, 1)].into());
}

pub async fn jobs_whose_claim_was_lost_come_back_when_their_server_leaves(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let storage = losing(&world);
    let request = ClaimRequest { server, queues: Vec::new(), sync_free: 1, async_free: 1 };
    lost(storage.claim(&request).await);
    assert!(storage.claim(&request).await.unwrap().is_empty());
    storage.leave(server).await.unwrap();
    let run = world.claim_one(world.server().await).await;
    assert_eq!((run.fence.job, run.fence.run, run.attempt), (id, 2, 1));
}

pub async fn a_repeated_command_is_refused_with_the_state_that_it_led_to(world: World) {
    let id = world.add(job()).await;
    let storage = losing(&world);
    lost(storage.cancel(id, "ann").await);
    assert_eq!(storage.cancel(id, "ann").await.unwrap(), Commanded::Refused(State::Deleted));
    let storage = losing(&world);
    let how = RequeueRequest { expected_state: Some(State::Deleted), ..RequeueRequest::default() };
    lost(storage.requeue(id, how, "ann").await);
    assert_eq!(storage.requeue(id, how, "ann").await.unwrap(), Commanded::Refused(State::Enqueued));
    assert_eq!(world.detail(id).await.history.len(), 3);
}

pub async fn a_repeated_put_of_an_entry_changes_nothing_and_its_jobs_are_there_once(world: World) {
    let entry = RecurringEntry {
        name: "nightly".parse().unwrap(),
        definition: super::world::json("{}"),
        paused: false,
        next_at: None,
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    };
    let storage = losing(&world);
    lost(storage.put_recurring(entry.clone(), None, vec![job()]).await);
    assert_eq!(storage.put_recurring(entry.clone(), None, vec![job()]).await.unwrap(), None);
    let kept = storage.recurring(&entry.name).await.unwrap().unwrap();
    assert_eq!(RecurringEntry { revision: 0, ..kept.clone() }, entry, "as whoever looks finds");
    let next = world.storage.put_recurring(entry.clone(), Some(kept.revision), Vec::new()).await.unwrap();
    assert_eq!(next.map(|put| put.revision), Some(kept.revision + 1), "it was put once");
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 1);
    let storage = losing(&world);
    lost(storage.remove_recurring(&entry.name, None).await.map(|_| ()));
    assert!(!storage.remove_recurring(&entry.name, None).await.unwrap());
}

pub async fn what_time_or_an_operator_brings_is_done_once(world: World) {
    let mut later = job();
    later.start = Start::After(5);
    let id = world.add(later).await;
    world.clock.advance_ms(5);
    let storage = losing(&world);
    lost(storage.promote(9).await);
    assert_eq!(storage.promote(9).await.unwrap().moved, 0);
    assert_eq!(world.state(id).await, State::Enqueued);
    let server = world.server().await;
    world.claim_one(server).await;
    let pulse = world.pulse(server).await;
    let storage = losing(&world);
    lost(storage.sweep(pulse).await);
    assert_eq!(storage.sweep(pulse).await.unwrap(), None);
    assert_eq!((world.state(id).await, world.detail(id).await.history.len()), (State::Enqueued, 4));
    let storage = losing(&world);
    lost(storage.add_version(version(1, &[])).await);
    assert!(storage.add_version(version(1, &[])).await.unwrap());
    world.storage.delete(id, "ann").await.unwrap();
    let records = world.storage.export(None, 100).await.unwrap().items;
    let other = world.another().await;
    let storage = losing(&other);
    lost(storage.import(records.clone()).await);
    assert_eq!(storage.import(records).await.unwrap(), 0);
    assert_eq!(other.detail(id).await, world.detail(id).await);
    world.clock.advance_ms(24 * 3_600_000);
    let storage = losing(&world);
    lost(storage.prune(9).await);
    assert_eq!(storage.prune(9).await.unwrap(), 0);
}
