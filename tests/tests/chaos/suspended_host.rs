//! A host is suspended until the others take its jobs, and then goes on.

use std::{collections::BTreeSet, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use windlass_api::JobId;
use windlass_tests::{
    Launch, Site,
    chaos::{
        AFTER_SUSPENSION_MS, Expected, Hosts, Kind, LOST_AFTER, Load, Records, Scale, Settings, Store, Suspension,
        check, jobs, now_ms, until,
    },
};

/// As many as a host has slots. Each has most of its work before it when its host is suspended.
const JOBS: usize = 8;

/// How much longer than until it is lost the host is suspended: for the others to notice, and to run its jobs.
const LONGER: Duration = Duration::from_secs(2);

#[test]
fn a_host_that_was_suspended_stops_its_runs_on_sqlite() -> Result<()> {
    suspended_host(Kind::Sqlite)
}

#[test]
fn a_host_that_was_suspended_stops_its_runs_and_settles_nothing_on_postgresql() -> Result<()> {
    suspended_host(Kind::Postgres)
}

#[test]
fn a_host_that_was_suspended_stops_its_runs_and_settles_nothing_on_redis() -> Result<()> {
    suspended_host(Kind::Redis)
}

fn suspended_host(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let store = Store::start(kind)?;
    let launch = Launch { storage: store.url(), ..Launch::default() };
    let mut hosts = Hosts::start(&site, &records, Settings::few_slots(), vec![launch.clone()])?;
    let mut acknowledged = BTreeSet::new();
    let mut suspensions = Vec::new();
    let mut names = Vec::new();
    for round in 0..scale.of(2, 1) {
        let load = Load::new(JOBS, scale.of(5_000..15_000, 6_000..9_000), 0..1);
        load.run(&hosts.addresses(), scale.dice(round))?;
        acknowledged.append(&mut load.acknowledged());
        until("runs in most slots", || Ok((records.begun(&hosts.runs_of(0, 0)?) > JOBS / 2).then_some(())))?;
        // Only now does the one come that takes its jobs: it would have taken them before.
        let other = if kind == Kind::Sqlite { 0 } else { hosts.add(launch.clone())? };
        names.push(hosts.name_of(0, other)?);
        let from_ms = now_ms();
        hosts.at(0)?.suspend()?;
        thread::sleep(LOST_AFTER + LONGER);
        // Before it goes on: what it does at once is not suspended any more.
        let to_ms = now_ms();
        hosts.at(0)?.resume()?;
        suspensions.push(Suspension { from_ms, to_ms });
        until("the end of all jobs", || {
            let all = jobs(&hosts.at(other)?.address(), None)?;
            Ok(all.iter().all(|job| job.state.is_final()).then_some(()))
        })?;
        if other > 0 {
            hosts.kill(other)?;
        }
    }
    let bound_ms = AFTER_SUSPENSION_MS;
    let expected = Expected { acknowledged, bound_ms, suspensions: suspensions.clone(), ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}");
    let all = records.all()?;
    for (Suspension { from_ms, to_ms }, name) in suspensions.iter().zip(names) {
        let lost: Vec<_> = report.lost.iter().filter(|(_, server)| **server == name).map(|(run, _)| run).collect();
        // Alone on its storage it is not lost: nobody is there to notice. It lets go of its runs by itself.
        let stopped = if kind == Kind::Sqlite { report.let_go.iter().collect() } else { lost };
        let of = |(job, run): &(JobId, u32)| all.get(job).and_then(|runs| runs.get(run)).copied();
        let written: Vec<_> = stopped.into_iter().filter_map(of).filter(|run| run.first_ms < *from_ms).collect();
        let last_ms = written.iter().map(|run| run.last_ms - to_ms).max().context("the host stopped no run")?;
        let ended = written.iter().filter(|run| run.ends > 0).count();
        println!("{name}: stopped {} runs, {ended} at their end, {last_ms} ms after it went on", written.len());
        ensure!(last_ms <= bound_ms, "a run that was taken away wrote {last_ms} ms after its host went on");
        ensure!(ended * 2 < written.len(), "{ended} of {} runs came to their end all the same", written.len());
    }
    hosts.all_well()
}
