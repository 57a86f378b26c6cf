//! The network between a host and the storage swallows everything.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use windlass_tests::{
    Launch, Site,
    chaos::{Expected, Hosts, Kind, LOST_AFTER, Load, Records, Scale, Store, check, join},
};

/// How much longer than until it is lost the host is cut off: for the other to notice, and to run its jobs.
const LONGER: Duration = Duration::from_secs(4);

#[test]
fn a_host_that_is_cut_off_stops_its_runs_before_others_begin_them_on_postgresql() -> Result<()> {
    black_hole(Kind::Postgres)
}

#[test]
fn a_host_that_is_cut_off_stops_its_runs_before_others_begin_them_on_redis() -> Result<()> {
    black_hole(Kind::Redis)
}

fn black_hole(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let store = Store::start(kind)?;
    let (proxy, through) = store.proxy()?;
    let launches = [Some(through), store.url()].map(|storage| Launch { storage, ..Launch::default() });
    let mut hosts = Hosts::start(&site, &records, launches.into())?;
    // Some of the runs are longer than a host may live without a heartbeat.
    let load = Load::new(scale.of(800, 300), 500..10_000, 100..400);
    let addresses = hosts.addresses();
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        for round in 0..scale.of(2, 1) {
            thread::sleep(Duration::from_secs(2));
            // One that sends late what it held back is another failure than one that loses it.
            if round % 2 == 0 {
                proxy.black_hole();
            } else {
                proxy.stall();
            }
            thread::sleep(LOST_AFTER + LONGER);
            proxy.resume();
        }
        join(client)
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), ..Expected::default() };
    let report = check(&hosts.at(1)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {} refusals", load.refusals());
    ensure!(report.lost > 0, "no run was taken away from the host that was cut off");
    // It works again by itself.
    hosts.all_well()
}
