//! Several who have one storage open, and one storage that is opened again. A storage that only one process can ever have,
//! such as a database in memory, has nothing of this to show.

use windlass_api::{JobFilter, Mode, RequeueRequest, State};

use super::{
    moving,
    world::{World, job, json, success, version},
};
use crate::{
    Next,
    storage::{Commanded, Heartbeat, RecurringEntry},
};

pub async fn what_was_acknowledged_is_there_after_it_is_closed_and_opened_again(world: World) {
    moving::fill(&world).await;
    let before = moving::exported(&world, 1_000).await;
    assert!(before.len() > 15, "{}", before.len());
    let (queues, modules) = (world.storage.queues().await.unwrap(), world.storage.modules().await.unwrap());
    let counts = world.storage.counts().await.unwrap();
    let Some(world) = world.again().await else { return };
    assert_eq!(moving::written(&moving::exported(&world, 1_000).await), moving::written(&before));
    assert_eq!(world.storage.queues().await.unwrap(), queues);
    assert_eq!(world.storage.modules().await.unwrap(), modules);
    assert_eq!(world.storage.counts().await.unwrap(), counts);
    // It goes on: what waited is claimed, and new jobs come behind it.
    let waiting = counts.of(State::Enqueued);
    world.add(job()).await;
    let claimed = world.claim(world.server().await, 99, 99).await;
    assert_eq!(claimed.len() as u64, waiting + 1);
    assert_eq!(world.settle(&claimed[0], success()).await, Ok(State::Succeeded));
}

pub async fn a_run_that_went_on_while_it_was_closed_ends_or_comes_back(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    world.storage.put_checkpoint(run.fence, "step", &json("[7]")).await.unwrap().unwrap();
    let Some(world) = world.again().await else { return };
    assert_eq!(world.storage.checkpoint(id, "step").await.unwrap(), Some(json("[7]")));
    // Where only one host can be, the one that opens it knows that the other is gone.
    match world.state(id).await {
        State::Processing => assert_eq!(world.settle(&run, success()).await, Ok(State::Succeeded)),
        State::Enqueued => {
            assert!(world.settle(&run, success()).await.is_err());
            let again = world.claim_one(world.server().await).await;
            assert_eq!((again.fence.job, again.fence.run, again.attempt), (id, 2, 2));
        }
        state => panic!("it is {state}"),
    }
}

pub async fn jobs_that_one_stores_another_sees_claims_and_ends(world: World) {
    let Some(other) = world.beside().await else { return };
    let id = other.add(job()).await;
    assert_eq!(world.state(id).await, State::Enqueued);
    assert_eq!(world.storage.counts().await.unwrap().0, [(State::Enqueued, 1)].into());
    let run = world.claim_one(world.server().await).await;
    assert_eq!(run.fence.job, id);
    assert_eq!(other.detail(id).await, world.detail(id).await);
    assert_eq!(other.storage.pulses().await.unwrap(), world.storage.pulses().await.unwrap());
    assert_eq!(other.storage.cancel(id, "bob").await.unwrap(), Commanded::Requested(run.fence));
    assert_eq!(world.beat(run.fence.server).await, Heartbeat::Alive { cancelled: vec![run.fence] });
    assert_eq!(world.settle(&run, Next::Cancelled).await, Ok(State::Deleted));
    let detail = other.detail(id).await;
    assert_eq!((detail.job.state, detail.history.last().unwrap().by.as_str()), (State::Deleted, "bob"));
    other.storage.requeue(id, RequeueRequest::default(), "bob").await.unwrap();
    assert_eq!(world.claim_one(run.fence.server).await.fence.run, 2);
    assert_eq!(other.storage.jobs(&JobFilter::default(), None, 9).await.unwrap().items.len(), 1);
}

pub async fn what_one_sets_for_queues_modules_and_recurring_jobs_holds_for_another(world: World) {
    let Some(other) = world.beside().await else { return };
    let (queue, server) = ("default".parse().unwrap(), world.server().await);
    world.add(job()).await;
    other.storage.set_paused(&queue, true).await.unwrap();
    assert!(world.claim(server, 9, 9).await.is_empty());
    assert!(world.storage.queues().await.unwrap()[0].paused);
    other.storage.set_paused(&queue, false).await.unwrap();
    let digest = other.deploy(1, &[("bill", Mode::Async)]).await;
    let run = world.claim(server, 0, 9).await.remove(0);
    assert_eq!((run.version, run.mode), (Some(digest), Mode::Async));
    assert_eq!(world.storage.component(digest).await.unwrap(), Some(version(1, &[]).bytes));
    let entry = RecurringEntry {
        name: "nightly".parse().unwrap(),
        definition: json("{}"),
        paused: false,
        next_at: Some(world.now()),
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    };
    let first = other.storage.put_recurring(entry.clone(), None, Vec::new()).await.unwrap().map(|put| put.revision);
    assert_eq!(world.storage.put_recurring(entry.clone(), None, Vec::new()).await.unwrap(), None);
    let next = world.storage.put_recurring(entry.clone(), first, Vec::new()).await.unwrap().map(|put| put.revision);
    assert_eq!(other.storage.put_recurring(entry.clone(), first, vec![job()]).await.unwrap(), None);
    assert_eq!(other.storage.recurring(&entry.name).await.unwrap().map(|entry| entry.revision), next);
}
