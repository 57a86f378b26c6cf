//! A host is suspended until the others take its jobs, and then goes on.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use windlass_tests::{
    Launch, Site,
    chaos::{Expected, Hosts, Kind, LOST_AFTER, Load, Records, Scale, Store, Suspension, check, join, now_ms},
};

/// How much longer than until it is lost the host is suspended: for the others to notice, and to run its jobs.
const LONGER: Duration = Duration::from_secs(4);

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
    let launches = vec![Launch { storage: store.url(), ..Launch::default() }; store.hosts(2)];
    let mut hosts = Hosts::start(&site, &records, launches)?;
    // Long enough that a run is going on in nearly every slot, and goes on after the host does.
    let load = Load::new(scale.of(800, 400), 500..1_500, 100..400);
    let addresses = hosts.addresses();
    let mut suspensions = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        for _ in 0..scale.of(2, 1) {
            thread::sleep(Duration::from_secs(2));
            // The client knows nothing of it: its requests to this host take longer than it waits.
            let from_ms = now_ms();
            hosts.at(0)?.suspend()?;
            thread::sleep(LOST_AFTER + LONGER);
            hosts.at(0)?.resume()?;
            suspensions.push(Suspension { from_ms, to_ms: now_ms() });
        }
        join(client)
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), suspensions, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {} refusals", load.refusals());
    // Alone on its storage it is not lost: nobody is there to notice.
    ensure!(kind == Kind::Sqlite || report.lost > 0, "no run was taken away from the suspended host");
    ensure!(report.broken_off > 0, "the host did not stop its runs when it went on");
    hosts.all_well()
}
