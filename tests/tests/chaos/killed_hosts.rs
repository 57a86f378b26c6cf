//! Hosts are killed in the middle of their work, again and again.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use fastrand::Rng;
use windlass_tests::{
    Launch, Site,
    chaos::{Expected, Hosts, Kind, Load, Records, Scale, Store, check, join},
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
    let mut hosts = Hosts::start(&site, &records, launches)?;
    let load = Load::new(scale.of(10_000, 1_000), 5..150, 0..250);
    let mut dice = scale.dice(1);
    let moments = moments(&mut dice, scale.of(20, 3), load.jobs);
    let addresses = hosts.addresses();
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        for moment in moments {
            while load.acknowledged().len() < moment && !client.is_finished() {
                thread::sleep(Duration::from_millis(dice.u64(1..50)));
            }
            let place = dice.usize(0..hosts.places());
            println!("killing the host in place {place} after {} acknowledged jobs", load.acknowledged().len());
            hosts.kill(place)?;
            hosts.start_in(place)?;
        }
        join(client)
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {} refusals", load.refusals());
    ensure!(report.broken_off > 0, "no kill broke off a run: they came when nothing was going on");
    hosts.all_well()
}

/// After how many acknowledged jobs hosts are killed: at random, one in each part of the load. A host that is killed again
/// and again before it gets anything done makes poison of what it took, which is right and proves little.
fn moments(dice: &mut Rng, kills: usize, jobs: usize) -> Vec<usize> {
    let part = jobs / (kills + 1);
    (0..kills).map(|kill| kill * part + dice.usize(part / 2..part * 3 / 2)).collect()
}
