//! Recurring jobs.

use windlass_api::{Digest, Enqueued, JobFilter, OnConflict, RecurringName, State, Timestamp, UniqueRule};

use super::world::{World, job, json};
use crate::{
    Conditions, NewJob,
    storage::{Put, RecurringEntry},
};

fn name(text: &str) -> RecurringName {
    text.parse().unwrap()
}

fn entry(of: &str, next_at: Option<Timestamp>) -> RecurringEntry {
    RecurringEntry {
        name: name(of),
        definition: json(r#"{"cron": "0 3 * * *", "zone": "Europe/Zürich"}"#),
        paused: false,
        next_at,
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    }
}

async fn put(world: &World, entry: RecurringEntry, expected: Option<u64>, jobs: Vec<NewJob>) -> Option<u64> {
    world.storage.put_recurring(entry, expected, jobs).await.unwrap().map(|put| put.revision)
}

async fn due(world: &World, limit: usize) -> (Vec<String>, Option<u64>) {
    let due = world.storage.due_recurring(limit).await.unwrap();
    assert_eq!(due.now, world.now(), "whoever fires goes by the storage's clock");
    (due.entries.iter().map(|entry| entry.name.to_string()).collect(), due.next_in_ms)
}

pub async fn an_entry_reads_back_as_it_was_put_with_its_revision(world: World) {
    assert_eq!(world.storage.recurring(&name("nightly")).await.unwrap(), None);
    let fired = job();
    let mut new = entry("nightly", Some(world.now().plus_ms(5)));
    (new.last_at, new.last_job, new.revision) = (Some(world.now()), Some(fired.id), 77);
    let first = put(&world, new.clone(), None, Vec::new()).await.unwrap();
    new.revision = first;
    assert_eq!(world.storage.recurring(&name("nightly")).await.unwrap(), Some(new.clone()));
    (new.paused, new.next_at, new.definition) = (true, None, json("[1]"));
    assert_eq!(put(&world, new.clone(), Some(first), Vec::new()).await, Some(first + 1));
    new.revision = first + 1;
    assert_eq!(world.storage.recurring(&name("nightly")).await.unwrap(), Some(new));
}

pub async fn an_entry_of_another_revision_is_left_alone_and_nothing_enqueued(world: World) {
    let old = entry("nightly", None);
    assert_eq!(put(&world, old.clone(), Some(1), vec![job()]).await, None, "there is none yet");
    let revision = put(&world, old.clone(), None, vec![job()]).await.unwrap();
    let new = entry("nightly", Some(world.now()));
    for expected in [None, Some(0), Some(revision - 1), Some(revision + 1)] {
        assert_eq!(put(&world, new.clone(), expected, vec![job()]).await, None, "{expected:?}");
    }
    assert_eq!(world.storage.recurring(&name("nightly")).await.unwrap().unwrap().next_at, None);
    assert_eq!(
        world.storage.counts().await.unwrap().of(State::Enqueued),
        1,
        "the jobs come with the entry or not at all"
    );
}

pub async fn an_instant_that_two_fire_is_fired_once(world: World) {
    put(&world, entry("nightly", Some(world.now())), None, Vec::new()).await;
    let mut won = 0;
    for _ in 0..20 {
        let seen = world.storage.due_recurring(10).await.unwrap().entries.remove(0);
        let next = RecurringEntry { next_at: seen.next_at.map(|at| at.plus_ms(1)), ..seen.clone() };
        let both = tokio::join!(
            put(&world, next.clone(), Some(seen.revision), vec![job()]),
            put(&world, next.clone(), Some(seen.revision), vec![job()]),
        );
        let fired = [both.0, both.1].into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(fired, [seen.revision + 1]);
        won += 1;
        world.clock.advance_ms(1);
    }
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), won);
}

pub async fn the_jobs_of_an_entry_tell_which_one_made_them(world: World) {
    let mut later = job();
    later.start = crate::Start::After(1_000);
    put(&world, entry("nightly", None), None, vec![later.clone()]).await;
    let history = world.detail(later.id).await.history;
    assert_eq!((history[0].to, history[0].by.as_str()), (State::Scheduled, "recurring nightly"));
}

pub async fn entries_are_due_in_the_order_of_their_instants(world: World) {
    let now = world.now();
    for (of, after_ms) in [("late", 30), ("second", 20), ("first", 10)] {
        put(&world, entry(of, Some(now.plus_ms(after_ms))), None, Vec::new()).await;
    }
    put(&world, entry("never", None), None, Vec::new()).await;
    assert_eq!(due(&world, 10).await, (vec![], Some(10)));
    world.clock.advance_ms(20);
    assert_eq!(due(&world, 10).await, (vec!["first".into(), "second".into()], Some(10)));
    assert_eq!(due(&world, 1).await, (vec!["first".into()], Some(0)), "there is one more already");
    world.clock.advance_ms(10);
    assert_eq!(due(&world, 3).await, (vec!["first".into(), "second".into(), "late".into()], None));
}

pub async fn a_paused_entry_is_not_due(world: World) {
    let mut paused = entry("nightly", Some(world.now()));
    paused.paused = true;
    let revision = put(&world, paused.clone(), None, Vec::new()).await;
    assert_eq!(due(&world, 10).await, (vec![], None));
    paused.paused = false;
    put(&world, paused, revision, Vec::new()).await.unwrap();
    assert_eq!(due(&world, 10).await.0, ["nightly"]);
}

pub async fn an_entry_is_removed_and_its_jobs_stay(world: World) {
    let removed = put(&world, entry("nightly", Some(world.now())), None, vec![job()]).await;
    let other = removed.map(|revision| revision + 1);
    assert!(!world.storage.remove_recurring(&name("nightly"), other).await.unwrap(), "it is of another revision");
    assert!(world.storage.recurring(&name("nightly")).await.unwrap().is_some());
    assert!(world.storage.remove_recurring(&name("nightly"), removed).await.unwrap());
    assert!(!world.storage.remove_recurring(&name("nightly"), None).await.unwrap());
    assert_eq!(world.storage.recurring(&name("nightly")).await.unwrap(), None);
    assert_eq!(due(&world, 10).await, (vec![], None));
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 1);
    assert!(put(&world, entry("nightly", None), None, Vec::new()).await.is_some(), "its name is free");
    let late = put(&world, entry("nightly", Some(world.now())), removed, vec![job()]).await;
    assert_eq!(late, None, "whoever read the one before changes nothing of the one that came after");
}

pub async fn entries_are_listed_by_name_page_by_page(world: World) {
    for of in ["c", "a", "e", "d", "b"] {
        put(&world, entry(of, None), None, Vec::new()).await;
    }
    let (mut cursor, mut names, mut pages) = (None::<String>, String::new(), 0);
    loop {
        let page = world.storage.recurring_entries(cursor.as_deref(), 2).await.unwrap();
        names.extend(page.items.iter().map(|entry| entry.name.to_string()));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((names.as_str(), pages), ("abcde", 3));
    let refused = world.storage.recurring_entries(Some("über"), 2).await;
    assert!(matches!(refused, Err(crate::storage::StorageError::InvalidCursor(given)) if given == "über"));
}

pub async fn a_job_of_an_entry_that_is_there_already_stays_as_it_is(world: World) {
    let first = job();
    world.add(first.clone()).await;
    assert!(put(&world, entry("nightly", None), None, vec![first, job()]).await.is_some());
    let listed = world.storage.jobs(&JobFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(listed.len(), 2);
}

pub async fn an_entry_that_was_removed_and_put_again_takes_no_revision_of_the_old_one(world: World) {
    let mut seen = Vec::new();
    let mut revision = put(&world, entry("nightly", None), None, Vec::new()).await.unwrap();
    for _ in 0..4 {
        seen.push(revision);
        let next = put(&world, entry("nightly", None), Some(revision), Vec::new()).await.unwrap();
        seen.push(next);
        assert!(world.storage.remove_recurring(&name("nightly"), None).await.unwrap());
        assert_eq!(put(&world, entry("nightly", None), Some(next), vec![job()]).await, None, "it is gone");
        revision = put(&world, entry("nightly", None), None, Vec::new()).await.unwrap();
        for old in &seen {
            let late = put(&world, entry("nightly", Some(world.now())), Some(*old), vec![job()]).await;
            assert_eq!(late, None, "{old} was the old one's");
        }
    }
    let kept = world.storage.recurring(&name("nightly")).await.unwrap().unwrap();
    assert_eq!((kept.revision, kept.next_at), (revision, None));
    assert_eq!(world.storage.counts().await.unwrap().0.values().sum::<u64>(), 0);
}

/// What an entry with a job that was made before tells of a unique job, and of what came of it.
async fn fired(world: &World, of: &str, on_conflict: OnConflict) -> (NewJob, RecurringEntry, Put) {
    let rule = UniqueRule {
        key: Digest([7; 32]),
        states: [State::Scheduled, State::Enqueued].into(),
        period_ms: None,
        on_conflict,
    };
    let conditions = Conditions { unique: Some(rule), ..Conditions::default() };
    let unique = NewJob { conditions, payload: json(r#"{"of":"the new one"}"#), ..job() };
    let at = world.now();
    let asked = RecurringEntry { last_at: Some(at), last_job: Some(unique.id), ..entry(of, Some(at)) };
    let put = world.storage.put_recurring(asked, None, vec![job(), unique.clone()]).await.unwrap().unwrap();
    let kept = world.storage.recurring(&name(of)).await.unwrap().unwrap();
    assert_eq!((kept.revision, kept.last_at), (put.revision, Some(at)));
    (unique, kept, put)
}

pub async fn an_entry_whose_job_must_not_stand_beside_another_names_that_one_as_left_out(world: World) {
    let (first, kept, put) = fired(&world, "first", OnConflict::Reject).await;
    assert_eq!((kept.last_job, kept.left_out), (Some(first.id), false), "it was made");
    assert_eq!(put.jobs[1], Enqueued { id: first.id, existing: false, replaced: false });
    for (of, on_conflict, replaced) in [
        ("refused", OnConflict::Reject, false),
        ("given", OnConflict::Existing, false),
        ("replaced", OnConflict::Replace, true),
    ] {
        let (new, kept, put) = fired(&world, of, on_conflict).await;
        assert_eq!(put.jobs[1], Enqueued { id: first.id, existing: true, replaced }, "{of}");
        assert!(!put.jobs[0].existing, "{of}: the others are made");
        assert!(world.storage.job(new.id).await.unwrap().is_none(), "{of}");
        assert_eq!((kept.last_job, kept.left_out), (Some(first.id), !replaced), "{of}");
        // Whoever changes the entry next keeps what it says.
        let paused = RecurringEntry { paused: true, ..kept.clone() };
        let revision = put_again(&world, paused, &kept).await;
        let again = world.storage.recurring(&kept.name).await.unwrap().unwrap();
        assert_eq!(again, RecurringEntry { paused: true, revision, ..kept });
    }
    assert_eq!(world.storage.counts().await.unwrap().of(State::Enqueued), 5);
}

async fn put_again(world: &World, entry: RecurringEntry, read: &RecurringEntry) -> u64 {
    put(world, entry, Some(read.revision), Vec::new()).await.unwrap()
}
