//! Recurring jobs as operators have them: put on the command line, fired by several hosts, one of which is killed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Enqueued, JobId, Page, RecurringJob, State, Timestamp};
use windlass_tests::{
    Host, Job, Site,
    chaos::{Kind, Store},
    guest,
};

/// How many instants are to be fired before the kill, and how many in all.
const FIRED: (usize, usize) = (4, 15);

#[test]
fn every_instant_is_fired_once_when_a_host_is_killed_on_postgresql() -> Result<()> {
    fired_once(Kind::Postgres)
}

#[test]
fn every_instant_is_fired_once_when_a_host_is_killed_on_redis() -> Result<()> {
    fired_once(Kind::Redis)
}

fn fired_once(kind: Kind) -> Result<()> {
    let site = Site::new()?;
    let store = Store::start(kind)?;
    let url = store.url().context("a storage for several hosts")?;
    let first = site.start_on(&url, &[])?;
    let second = site.start_on(&url, &[])?;
    first.deploy("mixed", &guest("mixed")?)?;
    let put = put(&first, "tick", "every 1s", &["--misfire", "catch-up"])?;

    until_fired(&second, FIRED.0)?;
    first.kill()?;
    let third = site.start_on(&url, &[])?;
    until_fired(&second, FIRED.1)?;
    let paused: RecurringJob = third.json(&["recurring", "pause", "tick"])?;

    let fired = fired(&second)?;
    println!("{kind:?}: {} instants", fired.len());
    let mut expected = put.since;
    for (instant, jobs) in &fired {
        expected = expected.plus_ms(1_000);
        ensure!(*instant == expected, "{instant} was fired, but {expected} not");
        ensure!(jobs.len() == 1, "{instant} was fired {} times, by {jobs:?}", jobs.len());
    }
    let last = paused.last.context("it says nothing of its last run")?;
    ensure!(last.at == expected, "it says that it was fired last for {}, not {expected}", last.at);
    Ok(())
}

fn put(host: &Host<'_>, name: &str, schedule: &str, options: &[&str]) -> Result<RecurringJob> {
    host.json(&[&["recurring", "put", name, schedule, "mixed/add", r#"{"a":1,"b":2}"#], options].concat())
}

fn until_fired(host: &Host<'_>, count: usize) -> Result<()> {
    host.until("enough jobs of the recurring one", || Ok((host.all_jobs()?.len() >= count).then_some(())))
}

/// The jobs of each instant that one was enqueued for.
fn fired(host: &Host<'_>) -> Result<BTreeMap<Timestamp, Vec<JobId>>> {
    let mut fired = BTreeMap::<Timestamp, Vec<JobId>>::new();
    for job in host.all_jobs()? {
        let detail = host.show(Job(job.id))?;
        let instant = detail.headers.get("windlass-instant").context("a job that does not say what it is for")?;
        fired.entry(instant.parse()?).or_default().push(job.id);
    }
    Ok(fired)
}

#[test]
fn an_operator_puts_shows_pauses_triggers_and_removes_recurring_jobs() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let options = ["--time-zone", "Europe/Berlin", "--tag", "sums", "--priority", "2"];
    let put = put(&host, "yearly", "0 3 1 1 *", &options)?;
    ensure!(put.next_runs.len() == 5 && put.last.is_none(), "{put:?}");
    let shown: RecurringJob = host.json(&["recurring", "show", "yearly"])?;
    ensure!(shown == put, "{shown:?}");
    let listed: Page<RecurringJob> = host.json(&["recurring", "list"])?;
    ensure!(listed.items == [put.clone()], "{listed:?}");

    let paused: RecurringJob = host.json(&["recurring", "pause", "yearly"])?;
    ensure!(paused.paused && paused.next_runs.is_empty(), "{paused:?}");
    let triggered: Enqueued = host.json(&["recurring", "trigger", "yearly"])?;
    ensure!(host.result::<i64>(Job(triggered.id))? == 3, "the triggered job did not do its work");
    let detail = host.show(Job(triggered.id))?;
    ensure!(detail.job.tags == ["sums"] && detail.job.priority == 2, "{detail:?}");
    let resumed: RecurringJob = host.json(&["recurring", "resume", "yearly"])?;
    ensure!(resumed.next_runs == put.next_runs, "triggering or pausing moved it: {resumed:?}");
    let last = resumed.last.context("it does not say what came of the trigger")?;
    ensure!((last.job, last.state) == (Some(triggered.id), Some(State::Succeeded)), "{last:?}");

    ensure!(host.windlass(&["recurring", "remove", "yearly"])?.status.success(), "it cannot be removed");
    for verb in ["show", "pause", "resume", "trigger", "remove"] {
        host.windlass(&["recurring", verb, "yearly"])?.complains_of(&["there is no recurring job `yearly`"])?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_followed_is_refused_and_leaves_nothing() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    for (schedule, handler, options, words) in [
        ("30 2 30 2 *", "mixed/add", &[][..], ["`schedule`", "never comes"]),
        ("0 25 * * *", "mixed/add", &[], ["hours", "0-23"]),
        ("every 0s", "mixed/add", &[], ["`schedule`", "at least 1s"]),
        ("@daily", "mixed/add", &["--time-zone", "Europe/Berln"], ["`time_zone`", "`europe/berlin`"]),
        ("@daily", "mixed/add", &["--catch-up-limit", "5"], ["`catch_up_limit`", "catch-up"]),
        ("@daily", "mixed/ad", &[], ["no module has the handler", "`mixed/add`"]),
    ] {
        let arguments = [&["recurring", "put", "wrong", schedule, handler, r#"{"a":1,"b":2}"#], options].concat();
        host.windlass(&arguments)?.complains_of(&words)?;
    }
    host.windlass(&["recurring", "put", "wrong", "@daily", "mixed/add", "7"])?
        .complains_of(&["schema", "mixed/add"])?;
    host.windlass(&["recurring", "put", "a/b", "@daily", "mixed/add"])?.complains_of(&["name of a recurring job"])?;
    let listed: Value = host.json(&["recurring", "list"])?;
    ensure!(listed["items"] == json!([]), "a refused one is there: {listed}");
    Ok(())
}

#[test]
fn an_entry_whose_handler_is_not_there_says_so_and_waits_for_its_next_instant() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let waiting = ["recurring", "put", "early", "every 1s", "mixed/add", r#"{"a":1,"b":2}"#, "--wait-for-handler"];
    host.json::<RecurringJob>(&waiting)?;
    let enqueued = host.until("a job that waits for its handler", || Ok(host.all_jobs()?.pop()))?;
    ensure!(enqueued.state == State::Awaiting, "{enqueued:?}");
    host.windlass(&["recurring", "pause", "early"])?.json::<RecurringJob>()?;
    host.deploy("mixed", &guest("mixed")?)?;
    ensure!(host.result::<i64>(Job(enqueued.id))? == 3, "the job that waited did not do its work");

    put(&host, "late", "every 1s", &[])?;
    // Another module under the same name takes the handler away.
    let _: Value = host.json(&["deploy", &guest("sleeps")?.to_string_lossy(), "--name", "mixed", "--force"])?;
    let refused = host.until("an instant that was refused", || {
        let shown: RecurringJob = host.json(&["recurring", "show", "late"])?;
        Ok(shown.last.filter(|last| last.refused.is_some()))
    })?;
    ensure!(refused.job.is_none() && refused.state.is_none(), "{refused:?}");
    host.until("its next instant", || {
        let shown: RecurringJob = host.json(&["recurring", "show", "late"])?;
        Ok(shown.last.filter(|last| last.at > refused.at))
    })?;
    Ok(())
}
