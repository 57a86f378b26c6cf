//! A step of which a part is refused is refused as a whole.

use windlass_api::{Counts, JobFilter, Mode, RecurringName, State, Usage};

use super::world::{World, job, json, success};
use crate::{
    NewJob, Settlement,
    storage::{QueueRecord, Record, RecurringEntry, StorageError},
};

fn nightly() -> RecurringEntry {
    RecurringEntry {
        name: "nightly".parse::<RecurringName>().unwrap(),
        definition: json("{}"),
        paused: false,
        next_at: None,
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StorageError>) {
    answer.expect_err("it should be refused");
}

async fn counts(world: &World) -> Counts {
    world.storage.counts().await.unwrap()
}

/// What stands beside a job that is refused: one before it, and one behind.
fn around(refused: &NewJob) -> Vec<NewJob> {
    vec![NewJob { tags: vec!["kept".into()], ..job() }, refused.clone(), job()]
}

pub async fn a_batch_with_a_job_that_is_refused_stores_none_of_its_jobs(world: World) {
    let Some(bad) = world.refused().await else { return };
    refused(world.storage.enqueue(around(&bad), "ann").await);
    assert_eq!(counts(&world).await, Counts::default());
    assert!(world.storage.jobs(&JobFilter::default(), None, 9).await.unwrap().items.is_empty());
    assert!(world.claim(world.server().await, 9, 9).await.is_empty());
    let tagged = JobFilter { tag: Some("kept".into()), ..JobFilter::default() };
    assert_eq!(world.storage.count(&tagged).await.unwrap().count, 0);
    let others = around(&bad).into_iter().filter(|new| new.id != bad.id).collect();
    assert_eq!(world.storage.enqueue(others, "ann").await.unwrap().len(), 2, "it takes the others by themselves");
}

pub async fn an_import_with_a_job_that_is_refused_takes_nothing_at_all(world: World) {
    let Some(bad) = world.refused().await else { return };
    let source = world.another().await;
    source.deploy(1, &[("bill", Mode::Sync)]).await;
    source.storage.put_recurring(nightly(), None, around(&bad)).await.unwrap().unwrap();
    source.storage.set_paused(&"mail".parse().unwrap(), true).await.unwrap();
    let records = source.storage.export(None, 100).await.unwrap().items;
    assert_eq!(records.iter().filter(|record| matches!(record, Record::Job(_))).count(), 3);
    assert!(records.iter().any(|record| matches!(record, Record::Queue(QueueRecord { paused: true, .. }))));
    refused(world.storage.import(records).await);
    assert_eq!(counts(&world).await, Counts::default());
    assert!(world.storage.queues().await.unwrap().is_empty());
    assert_eq!(world.storage.recurring(&nightly().name).await.unwrap(), None);
    assert!(world.storage.modules().await.unwrap().is_empty());
    assert!(world.storage.export(None, 100).await.unwrap().items.is_empty());
}

pub async fn a_recurring_job_whose_job_is_refused_is_left_as_it_was(world: World) {
    let Some(bad) = world.refused().await else { return };
    refused(world.storage.put_recurring(nightly(), None, around(&bad)).await);
    assert_eq!(world.storage.recurring(&nightly().name).await.unwrap(), None);
    let revision = world.storage.put_recurring(nightly(), None, Vec::new()).await.unwrap().unwrap().revision;
    let later = RecurringEntry { next_at: Some(world.now()), ..nightly() };
    refused(world.storage.put_recurring(later, Some(revision), around(&bad)).await);
    let kept = world.storage.recurring(&nightly().name).await.unwrap().unwrap();
    assert_eq!((kept.revision, kept.next_at), (revision, None));
    assert_eq!(counts(&world).await, Counts::default());
    assert!(world.storage.due_recurring(9).await.unwrap().entries.is_empty());
}

pub async fn a_settlement_whose_follow_up_is_refused_ends_no_run(world: World) {
    let Some(bad) = world.refused().await else { return };
    world.add(job()).await;
    world.add(job()).await;
    let runs = world.claim(world.server().await, 9, 0).await;
    let settlement = |run: &crate::Claimed, follow_ups| Settlement {
        fence: run.fence,
        next: success(),
        usage: Usage::default(),
        follow_ups,
    };
    let batch = vec![settlement(&runs[0], Vec::new()), settlement(&runs[1], around(&bad))];
    refused(world.storage.settle(batch).await);
    assert_eq!(counts(&world).await.0, [(State::Processing, 2)].into());
    let batch = vec![settlement(&runs[0], Vec::new()), settlement(&runs[1], Vec::new())];
    assert_eq!(world.storage.settle(batch).await.unwrap(), [Ok(State::Succeeded), Ok(State::Succeeded)]);
}
