//! Followers of a storage in memory.

use std::time::Duration;

use tokio::time::timeout;
use windlass_api::{JobRequest, Json};
use windlass_jobs::{Client, SystemClock, storage::sqlite::SqliteStorage};

use super::*;

fn events() -> (Events, Client) {
    let storage = SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap();
    let client = Client::new(storage);
    (Events::new(Arc::clone(client.storage())), client)
}

/// A job that waits for a handler which nobody has.
async fn job(client: &Client) -> JobId {
    let mut request = JobRequest::new("images/thumbnail".parse().unwrap(), Json::null());
    request.wait_for_handler = true;
    client.enqueue(request).await.unwrap().id
}

async fn until(reader: &mut Reader, wanted: impl Fn(&Said) -> bool) -> (String, Said) {
    let look = async {
        loop {
            let (id, said) = reader.next().await.expect("the host does not stop");
            if wanted(&said) {
                return (id, said);
            }
        }
    };
    timeout(Duration::from_secs(30), look).await.expect("it is told")
}

#[tokio::test]
async fn a_reader_hears_which_counts_changed_and_of_the_jobs_that_it_watches() {
    let (events, client) = events();
    let (watched, other) = (job(&client).await, job(&client).await);
    let mut reader = events.follow(None, BTreeSet::from([watched])).unwrap();
    assert_eq!(reader.next().await.unwrap().1, Said::Begun);
    // The first look at anything is told.
    until(&mut reader, |said| matches!(said, Said::Hint(Hint::Counts(states)) if states.len() == State::ALL.len()))
        .await;
    until(&mut reader, |said| *said == Said::Job(watched)).await;
    client.delete(other).await.unwrap();
    let states = BTreeSet::from([State::Awaiting, State::Deleted]);
    until(&mut reader, |said| {
        assert_ne!(*said, Said::Job(other), "nobody watches it");
        *said == Said::Hint(Hint::Counts(states.clone()))
    })
    .await;
    client.delete(watched).await.unwrap();
    until(&mut reader, |said| *said == Said::Job(watched)).await;
}

#[tokio::test]
async fn one_that_comes_back_hears_what_it_missed_or_that_it_did() {
    let (events, _) = events();
    let mut reader = events.follow(None, BTreeSet::new()).unwrap();
    let (begun, _) = reader.next().await.unwrap();
    events.tell(Hint::Modules);
    let (id, _) = until(&mut reader, |said| *said == Said::Hint(Hint::Modules)).await;
    drop(reader);

    let mut again = events.follow(Some(&begun), BTreeSet::new()).unwrap();
    assert_eq!(again.next().await.unwrap(), (begun, Said::Begun));
    until(&mut again, |said| *said == Said::Hint(Hint::Modules)).await;
    for unknown in ["0123456789abcdef-1", "nonsense", &format!("{id}999")] {
        let mut lost = events.follow(Some(unknown), BTreeSet::new()).unwrap();
        assert_eq!(lost.next().await.unwrap().1, Said::Missed, "{unknown}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_that_it_missed_something_and_goes_on() {
    let (events, _) = events();
    let mut reader = events.follow(None, BTreeSet::new()).unwrap();
    reader.next().await.unwrap();
    {
        let mut following = events.shared.following();
        for _ in 0..=MAX_BEHIND {
            following.add(Hint::Servers);
            following.flush();
        }
    }
    let (id, said) = reader.next().await.unwrap();
    assert_eq!(said, Said::Missed);
    assert_eq!(id, events.shared.id(MAX_BEHIND as u64 + 1));
    events.tell(Hint::Modules);
    until(&mut reader, |said| *said == Said::Hint(Hint::Modules)).await;
}

#[tokio::test]
async fn whoever_comes_back_is_told_each_kind_once() {
    let (events, client) = events();
    let watched = BTreeSet::from([job(&client).await, job(&client).await]);
    let mut reader = events.follow(None, watched.clone()).unwrap();
    let (begun, _) = reader.next().await.unwrap();
    {
        let mut following = events.shared.following();
        for _ in 0..10 {
            following.add(Hint::Servers);
            following.add(Hint::Counts(BTreeSet::from([State::Failed])));
            following.add(Hint::Counts(BTreeSet::from([State::Deleted])));
            following.add(Hint::Jobs(watched.clone()));
            following.flush();
        }
    }
    let last = events.shared.id(events.shared.following().ring.last());
    let mut again = events.follow(Some(&begun), watched.clone()).unwrap();
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(again.next().await.unwrap());
    }
    let ids: Vec<&str> = told.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        [&*begun, &*begun, &*begun, &*begun, &*last],
        "all are told again where it breaks off between them"
    );
    let states = BTreeSet::from([State::Failed, State::Deleted]);
    let mut said: Vec<Said> = told.into_iter().map(|(_, said)| said).collect();
    let jobs: Vec<Said> = watched.into_iter().map(Said::Job).collect();
    assert_eq!(said.split_off(3), jobs);
    assert_eq!(said, [Said::Begun, Said::Hint(Hint::Servers), Said::Hint(Hint::Counts(states))]);
}

#[tokio::test]
async fn there_are_no_more_readers_than_there_may_be_and_a_closed_host_ends_them() {
    let (events, _) = events();
    let mut readers: Vec<Reader> = (0..MAX_READERS).map(|_| events.follow(None, BTreeSet::new()).unwrap()).collect();
    assert!(events.follow(None, BTreeSet::new()).is_err());
    drop(readers.pop());
    assert_eq!(events.readers(), MAX_READERS - 1);
    let mut last = events.follow(None, BTreeSet::new()).unwrap();
    events.close();
    while last.next().await.is_some() {}
}

#[tokio::test]
async fn one_that_reads_nothing_for_a_minute_loses_its_place_where_others_want_one() {
    let (events, client) = events();
    let watched = job(&client).await;
    let mut stalled = events.follow(None, BTreeSet::from([watched])).unwrap();
    while stalled.next().await.unwrap().1 == Said::Begun {}
    {
        let mut following = events.shared.following();
        following.free_stalled(Instant::now());
        assert_eq!((following.seats.len(), following.watched.len()), (1, 1), "it has just read");
        following.free_stalled(Instant::now() + STALLED);
        assert_eq!((following.seats.len(), following.watched.len()), (0, 0));
    }
    while stalled.next().await.is_some() {}
    drop(stalled);
    assert_eq!(events.readers(), 0);
}

#[tokio::test]
async fn where_nobody_follows_nothing_is_watched() {
    let (events, _) = events();
    events.tell(Hint::Modules);
    let following = events.shared.following();
    assert!(!following.is_watched && following.pending.is_empty());
}
