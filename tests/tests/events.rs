//! Following a host.

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::{State, StatesChanged, WatchedJob};
use windlass_tests::{SentEvent, Site, guest};

fn tells_of(event: &SentEvent, states: &[State]) -> bool {
    event.kind == "counts"
        && serde_json::from_str::<StatesChanged>(&event.data)
            .is_ok_and(|changed| states.iter().all(|state| changed.states.contains(state)))
}

#[test]
fn a_follower_hears_that_something_changed_and_reads_it_then() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let mut events = host.follow("", &[])?;
    let begun = events.next_event()?;
    ensure!(begun.kind.is_empty() && !begun.id.is_empty(), "{begun:?}");
    // The first look at anything is told; then what is new.
    events.until("the counts at first", |event| tells_of(event, State::ALL))?;
    host.deploy("mixed", &guest("mixed")?)?;
    events.until("the deploy", |event| event.kind == "modules")?;
    let job = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--delay", "1h"])?;
    events.until("the scheduled job", |event| tells_of(event, &[State::Scheduled]))?;

    let mut of_job = host.follow(&format!("?job={}", job.0), &[])?;
    let is_job = |event: &SentEvent| {
        event.kind == "job" && serde_json::from_str::<WatchedJob>(&event.data).is_ok_and(|told| told.id == job.0)
    };
    of_job.until("the job at first", is_job)?;
    host.json::<serde_json::Value>(&["jobs", "requeue", &job.0.to_string()])?;
    of_job.until("the job", is_job)?;
    host.wait(job)?;
    events.until("its success", |event| tells_of(event, &[State::Succeeded]))?;
    host.json::<serde_json::Value>(&["queues", "pause", "mail"])?;
    events.until("the paused queue", |event| event.kind == "queues")?;
    Ok(())
}

#[test]
fn a_follower_that_comes_back_goes_on_where_it_was_or_hears_that_it_missed_something() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let mut events = host.follow("", &[])?;
    let first = events.until("the servers", |event| event.kind == "servers")?;
    drop(events);
    host.deploy("mixed", &guest("mixed")?)?;
    let mut events = host.follow("", &[("Last-Event-ID", &first.id)])?;
    let begun = events.next_event()?;
    ensure!(begun.kind.is_empty() && begun.id == first.id, "{begun:?} after {first:?}");
    events.until("the deploy meanwhile", |event| event.kind == "modules")?;

    host.stop()?;
    ensure!(events.until("nothing", |event| event.kind == "missed").is_err(), "a stopped host goes on to tell");
    let host = site.start(&[])?;
    let mut events = host.follow("", &[("Last-Event-ID", &first.id)])?;
    let told = events.next_event()?;
    ensure!(told.kind == "missed" && told.data == "{}", "{told:?}");
    Ok(())
}

#[test]
fn no_more_follow_than_may_and_wrong_parameters_are_refused() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let followers = (0..256).map(|_| host.follow("", &[])).collect::<Result<Vec<_>>>()?;
    let answer = host.ask("GET", "/api/v1/events", &[], "")?;
    ensure!(answer.status == 503 && answer.body.contains("256"), "{answer:?}");
    drop(followers);
    // It notices when it next sends something.
    host.until("there is room again", || Ok(host.follow("", &[]).ok().map(drop)))?;
    for (query, word) in [("?job=1", "job id"), ("?jobs=1", "jobs")] {
        let answer = host.ask("GET", &format!("/api/v1/events{query}"), &[], "")?;
        ensure!(answer.status == 400 && answer.body.contains(word), "{answer:?}");
    }
    Ok(())
}
