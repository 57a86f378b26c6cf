//! Recurring jobs on a clock that runs fast, while hosts are killed: each instant is fired once.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use windlass_api::{JobDetail, JobId, RecurringJob, State, Timestamp};
use windlass_test_services::FalseClock;
use windlass_tests::{
    Launch, Site,
    chaos::{Hosts, Kind, Records, Scale, Settings, Store, jobs, join, request, until},
};

const HOSTS: usize = 2;

/// How many times as fast as the true clock that of hosts and storages runs.
const RATE: u64 = 20;

/// How often it is set: at this rate it runs in steps of a second.
const TICK: Duration = Duration::from_millis(50);

/// How long a host lives before it is killed, and how long its place is empty, in true milliseconds.
const LIVES_MS: std::ops::Range<u64> = 300..2_500;
const EMPTY_MS: std::ops::Range<u64> = 0..1_000;

/// Name, schedule, time zone, and how far its instants are apart in seconds.
const SCHEDULES: [(&str, &str, &str, u64); 5] = [
    ("second", "every 1s", "UTC", 1),
    ("seven", "every 7s", "UTC", 7),
    ("five", "*/5 * * * * *", "Europe/Berlin", 5),
    ("half", "30 * * * * *", "Asia/Kathmandu", 60),
    ("minute", "* * * * *", "Australia/Lord_Howe", 60),
];

#[test]
fn every_instant_of_a_fast_clock_is_fired_once_when_hosts_are_killed_on_sqlite() -> Result<()> {
    fired_once(Kind::Sqlite)
}

#[test]
fn every_instant_of_a_fast_clock_is_fired_once_when_hosts_are_killed_on_postgresql() -> Result<()> {
    fired_once(Kind::Postgres)
}

#[test]
fn every_instant_of_a_fast_clock_is_fired_once_when_hosts_are_killed_on_redis() -> Result<()> {
    fired_once(Kind::Redis)
}

fn fired_once(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    // On the fast clock: five minutes, or ten.
    let span_s: u64 = scale.of(600, 300);
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let clock = FalseClock::new()?;
    let store = Store::start_with(kind, clock.environment_at_once())?;
    let launch = Launch { storage: store.url(), environment: clock.environment_at_once(), ..Launch::default() };
    let mut hosts = Hosts::start(&site, &records, Settings::default(), vec![launch; store.hosts(HOSTS)])?;
    let put: Vec<_> = SCHEDULES.iter().map(|(name, schedule, zone, _)| put(&hosts, name, schedule, zone)).collect();
    let put = put.into_iter().collect::<Result<Vec<RecurringJob>>>()?;

    let is_over = AtomicBool::new(false);
    let kills = thread::scope(|scope| {
        let running = scope.spawn(|| run(&clock, &is_over));
        let killed = kill_some(&mut hosts, span_s, scale.dice(1)).and_then(|kills| {
            // Whatever the last kill has held up.
            let end = put[0].since.plus_ms(span_s * 1_000);
            caught_up(&hosts, end).map(|()| kills)
        });
        is_over.store(true, Ordering::Relaxed);
        join(running)?;
        killed
    })?;
    let paused: Vec<_> = SCHEDULES.iter().map(|(name, ..)| command(&hosts, &["pause", name])).collect();
    let host = hosts.at(0)?.address();
    let ended = || Ok(jobs(&host, None)?.iter().all(|job| job.state.is_final()).then_some(()));
    until("the end of all jobs", ended)?;

    let fired = fired(&host)?;
    for ((put, paused), (name, _, _, apart_s)) in put.iter().zip(paused).zip(SCHEDULES) {
        let fired = fired.get(name).with_context(|| format!("`{name}` was never fired"))?;
        let mut expected = *put.next_runs.first().context("it says no next instant")?;
        for (instant, jobs) in fired {
            ensure!(*instant == expected, "`{name}` was fired for {instant}, but not for {expected}");
            ensure!(jobs.len() == 1, "`{name}` was fired {} times for {instant}, by {jobs:?}", jobs.len());
            expected = expected.plus_ms(apart_s * 1_000);
        }
        let last = paused?.last.context("it says nothing of its last instant")?.at;
        ensure!(fired.last_key_value().is_some_and(|(instant, _)| *instant == last), "`{name}`: {last} was not fired");
        // What is due next, of the same clock, was not due yet when the hosts had caught up.
        ensure!(expected >= put.since.plus_ms(span_s * 1_000), "`{name}` ends with {last}");
    }
    let instants: usize = fired.values().map(BTreeMap::len).sum();
    println!("{kind:?}: {instants} instants over {span_s} s of a clock {RATE} times as fast, {kills} kills");
    hosts.all_well()
}

/// Lets the clock run until it is over.
fn run(clock: &FalseClock, is_over: &AtomicBool) -> Result<()> {
    let begun = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let ahead_ms = begun.elapsed().as_millis() * u128::from(RATE - 1);
        clock.set(i64::try_from(ahead_ms / 1_000)?)?;
        thread::sleep(TICK);
    }
    Ok(())
}

/// Kills one host after the other, at random, until the span is over on the fast clock.
fn kill_some(hosts: &mut Hosts<'_>, span_s: u64, mut dice: Rng) -> Result<u32> {
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed().as_secs() * RATE < span_s {
        thread::sleep(Duration::from_millis(dice.u64(LIVES_MS)));
        let place = dice.usize(0..hosts.places());
        hosts.kill(place)?;
        kills += 1;
        thread::sleep(Duration::from_millis(dice.u64(EMPTY_MS)));
        hosts.start_in(place)?;
    }
    Ok(kills)
}

/// Waits until the instants up to this one have been fired.
fn caught_up(hosts: &Hosts<'_>, end: Timestamp) -> Result<()> {
    let host = hosts.at(0)?.address();
    for (name, _, _, apart_s) in SCHEDULES {
        let last = end.plus_ms(apart_s * 1_000);
        until("the last instant", || {
            let shown: RecurringJob = request(&host, "GET", &format!("/api/v1/recurring/{name}"), "")?.json()?;
            Ok(shown.next_runs.first().is_some_and(|next| *next >= last).then_some(()))
        })?;
    }
    Ok(())
}

fn put(hosts: &Hosts<'_>, name: &str, schedule: &str, zone: &str) -> Result<RecurringJob> {
    let job = ["witness/wait", r#"{"ms":1}"#, "--time-zone", zone];
    // Where there is one host alone, a long start of it would make instants missed ones.
    let misfire = ["--misfire", "catch-up", "--catch-up-limit", "1000"];
    command(hosts, &[&["put", name, schedule], &job[..], &misfire].concat())
}

fn command(hosts: &Hosts<'_>, arguments: &[&str]) -> Result<RecurringJob> {
    hosts.at(0)?.json(&[&["recurring"], arguments].concat())
}

/// The jobs of each instant of each recurring job, all of which have succeeded.
fn fired(host: &str) -> Result<BTreeMap<String, BTreeMap<Timestamp, Vec<JobId>>>> {
    let mut fired = BTreeMap::<String, BTreeMap<Timestamp, Vec<JobId>>>::new();
    for job in jobs(host, None)? {
        ensure!(job.state == State::Succeeded, "a job did not succeed: {job:?}");
        let detail: JobDetail = request(host, "GET", &format!("/api/v1/jobs/{}", job.id), "")?.json()?;
        let header = |name: &str| detail.headers.get(name).with_context(|| format!("a job without `{name}`"));
        let instants = fired.entry(header("windlass-recurring")?.clone()).or_default();
        instants.entry(header("windlass-instant")?.parse()?).or_default().push(job.id);
    }
    Ok(fired)
}
