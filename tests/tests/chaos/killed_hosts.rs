//! Hosts are killed in the middle of their work, again and again.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
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
    let load = Load::new(scale.of(10_000, 1_000), 5..150, scale.of(0..250, 0..200));
    let kills = scale.of(20, 3);
    let mut dice = scale.dice(1);
    let mut in_the_middle = 0;
    let addresses = hosts.addresses();
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        for kill in 1..=kills {
            thread::sleep(Duration::from_millis(dice.u64(200..1_500)));
            let place = dice.usize(0..hosts.places());
            let acknowledged = load.acknowledged().len();
            in_the_middle += usize::from(0 < acknowledged && !client.is_finished());
            hosts.kill(place)?;
            println!("kill {kill}: the host in place {place}, after {acknowledged} acknowledged jobs");
            hosts.start_in(place)?;
        }
        join(client)
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {in_the_middle} of {kills} kills while jobs came in, {} refusals", load.refusals());
    ensure!(in_the_middle > kills / 2, "most kills came when the load was over");
    ensure!(report.broken_off > 0, "no kill broke off a run: they came when nothing was going on");
    hosts.all_well()
}
