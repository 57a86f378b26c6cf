//! Hosts are killed in the middle of their work, again and again.

use std::thread;

use anyhow::{Result, ensure};
use fastrand::Rng;
use windlass_api::JobId;
use windlass_tests::{
    Launch, Site,
    chaos::{AT_ONCE_MS, BATCH, Expected, Hosts, Kind, Load, Records, Scale, Settings, Store, check, join, until},
};

/// Hosts on one storage, where it takes more than one.
const HOSTS: usize = 3;

#[test]
fn no_job_is_lost_when_hosts_are_killed_on_sqlite() -> Result<()> {
    killed_hosts(Kind::Sqlite)
}

#[test]
fn no_job_is_lost_when_hosts_are_killed_on_postgresql() -> Result<()> {
    killed_hosts(Kind::Postgres)
}

#[test]
fn no_job_is_lost_when_hosts_are_killed_on_redis() -> Result<()> {
    killed_hosts(Kind::Redis)
}

fn killed_hosts(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let store = Store::start(kind)?;
    let launches = vec![Launch { storage: store.url(), ..Launch::default() }; store.hosts(HOSTS)];
    let mut hosts = Hosts::start(&site, &records, Settings::default(), launches)?;
    let mut load = Load::new(scale.of(10_000, 1_000), 5..150, 0..250);
    load.long_ms = Some(2_000..4_000);
    let mut dice = scale.dice(1);
    let moments = moments(&mut dice, scale.of(20, 3), load.jobs);
    let kills = moments.len();
    let mut hit = Vec::new();
    let addresses = hosts.addresses();
    load.hold_at(0);
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        // Whatever comes of the kills, the client must end for the scope to end.
        let killed = kill_all(&mut hosts, &load, &moments, &mut dice, &mut hit);
        load.hold_at(usize::MAX);
        killed.and(join(client))
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), bound_ms: AT_ONCE_MS, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    let broke_off = hit.iter().filter(|runs| runs.iter().any(|run| report.lost.contains_key(run))).count();
    println!("{kind:?}: {report}; {} refusals; {broke_off} of {kills} kills broke off runs", load.refusals());
    ensure!(broke_off * 2 > kills, "only {broke_off} of {kills} kills broke off a run");
    ensure!(report.broken_off > 0, "no run was broken off");
    hosts.all_well()
}

/// Kills a host at each of these moments, in the middle of its work, and starts it again. Meanwhile the client is held
/// back, so that no kill comes after all is done. Notes what each host was running.
fn kill_all(
    hosts: &mut Hosts<'_>,
    load: &Load,
    moments: &[usize],
    dice: &mut Rng,
    hit: &mut Vec<Vec<(JobId, u32)>>,
) -> Result<()> {
    for moment in moments {
        let mut gate = *moment;
        load.hold_at(gate);
        until("enough acknowledged jobs", || Ok((load.acknowledged().len() >= gate).then_some(())))?;
        let place = dice.usize(0..hosts.places());
        let runs = until("a host that runs jobs", || {
            let runs = hosts.runs_of(place, place)?;
            if runs.is_empty() && load.acknowledged().len() >= gate {
                gate += BATCH;
                ensure!(gate < load.jobs, "all jobs are done, and not all kills");
                load.hold_at(gate);
            }
            Ok((!runs.is_empty()).then_some(runs))
        })?;
        println!("killing the host in place {place} in {} runs, after {gate} acknowledged jobs", runs.len());
        hosts.kill(place)?;
        hit.push(runs);
        hosts.start_in(place)?;
    }
    Ok(())
}

/// After how many acknowledged jobs hosts are killed: at random, one in each part of the load. A host that is killed again
/// and again before it gets anything done makes poison of what it took, which is right and proves little.
fn moments(dice: &mut Rng, kills: usize, jobs: usize) -> Vec<usize> {
    let part = jobs / (kills + 1);
    (0..kills).map(|kill| kill * part + dice.usize(part / 2..part)).collect()
}
