//! Who waits for work is told when there may be some.

use windlass_api::{Mode, RequeueRequest, Usage};

use super::world::{World, failure, job, json, retry, success, told, version};
use crate::{
    NewJob, Next, Settlement, Start,
    storage::{Record, RecurringEntry, Signal, Wake},
};

pub async fn a_requeue_tells_of_work(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    world.settle(&run, Next::Failed { failure: failure("no") }).await.unwrap();
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    told(&mut signals, Signal::Work).await;
}

pub async fn jobs_whose_instant_has_come_tell_of_work_when_they_are_promoted(world: World) {
    world.add(NewJob { start: Start::After(5), ..job() }).await;
    world.clock.advance_ms(5);
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    assert_eq!(world.promote().await.moved, 1);
    told(&mut signals, Signal::Work).await;
}

pub async fn a_queue_that_is_resumed_tells_of_work(world: World) {
    let queue = "default".parse().unwrap();
    world.storage.set_paused(&queue, true).await.unwrap();
    world.add(job()).await;
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    world.storage.set_paused(&queue, false).await.unwrap();
    told(&mut signals, Signal::Work).await;
}

/// Whoever waits for the next instant must learn that an earlier one has come up.
pub async fn a_run_that_is_to_be_tried_again_tells_of_work(world: World) {
    world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    world.settle(&run, retry(5)).await.unwrap();
    told(&mut signals, Signal::Work).await;
}

pub async fn a_follow_up_tells_of_work(world: World) {
    world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    let settlement = Settlement { fence: run.fence, next: success(), usage: Usage::default(), follow_ups: vec![job()] };
    world.storage.settle(vec![settlement]).await.unwrap()[0].unwrap();
    told(&mut signals, Signal::Work).await;
}

pub async fn jobs_of_a_lost_server_tell_of_work(world: World) {
    world.add(job()).await;
    let server = world.server().await;
    world.claim_one(server).await;
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    world.lose(server).await;
    told(&mut signals, Signal::Work).await;
}

pub async fn an_activation_that_brings_a_handler_tells_of_work(world: World) {
    world.add(NewJob { start: Start::WithHandler, ..job() }).await;
    let new = version(1, &[("bill", Mode::Sync)]);
    world.storage.add_version(new.clone()).await.unwrap();
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    assert!(world.storage.activate(&new.module, new.digest).await.unwrap());
    told(&mut signals, Signal::Work).await;
    world.claim_one(world.server().await).await;
}

pub async fn a_recurring_job_tells_of_work_when_it_has_an_instant_or_is_fired(world: World) {
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
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    let revision = world.storage.put_recurring(entry.clone(), None, Vec::new()).await.unwrap().map(|put| put.revision);
    told(&mut signals, Signal::Work).await;
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    let fired = RecurringEntry { next_at: None, ..entry };
    world.storage.put_recurring(fired, revision, vec![job()]).await.unwrap().unwrap();
    told(&mut signals, Signal::Work).await;
}

pub async fn an_import_tells_of_work(world: World) {
    let source = world.another().await;
    source.add(job()).await;
    let records = source.storage.export(None, 9).await.unwrap().items;
    let Some(mut signals) = world.storage.wake().map(Wake::signals) else { return };
    let jobs = records.iter().filter(|record| matches!(record, Record::Job(_))).count();
    assert_eq!(jobs, 1);
    world.storage.import(records).await.unwrap();
    told(&mut signals, Signal::Work).await;
}
