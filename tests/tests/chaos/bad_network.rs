//! The network between hosts and the storage breaks again and again, each time for less than a host may be silent.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use fastrand::Rng;
use windlass_test_services::Proxy;
use windlass_tests::{
    Launch, Site,
    chaos::{AT_ONCE_MS, BATCH, Expected, Hosts, Kind, Load, Records, Scale, Settings, Store, check, join},
};

#[test]
fn every_job_ends_where_connections_break_again_and_again_on_postgresql() -> Result<()> {
    bad_network(Kind::Postgres)
}

#[test]
fn every_job_ends_where_connections_break_again_and_again_on_redis() -> Result<()> {
    bad_network(Kind::Redis)
}

fn bad_network(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let store = Store::start(kind)?;
    let (proxy, through) = store.proxy()?;
    let launches = vec![Launch { storage: Some(through), ..Launch::default() }; 2];
    // A host lets go of its runs after 15 s of silence: these must not come to that.
    let settings = Settings { lost_after: Duration::from_secs(20), ..Settings::default() };
    let mut hosts = Hosts::start(&site, &records, settings, launches)?;
    let mut load = Load::new(scale.of(4_000, 1_500), 5..300, 0..500);
    load.long_ms = Some(2_000..4_000);
    let addresses = hosts.addresses();
    let mut dice = scale.dice(1);
    let (cuts, stalls) = scale.of((60, 6), (24, 2));
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        load.hold_at(load.jobs - BATCH);
        break_again_and_again(&proxy, cuts, stalls, &mut dice);
        load.hold_at(usize::MAX);
        join(client)
    })?;
    // No run is taken from a server that lives: what it claimed, it runs, also where it was not told so.
    let expected = Expected { acknowledged: load.acknowledged(), bound_ms: AT_ONCE_MS, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {} refusals", load.refusals());
    ensure!(load.refusals() > 0, "no request met a broken connection");
    ensure!(report.lost.is_empty(), "{} runs were taken from hosts that lived", report.lost.len());
    hosts.all_well()
}

/// Cuts all connections so many times, at any moment of what goes over them, with stalls in between.
fn break_again_and_again(proxy: &Proxy, cuts: usize, stalls: usize, dice: &mut Rng) {
    for cut in 1..=cuts {
        thread::sleep(Duration::from_millis(dice.u64(50..350)));
        proxy.cut();
        thread::sleep(Duration::from_millis(dice.u64(25..100)));
        if cut % (cuts / stalls) == 0 {
            proxy.stall();
            thread::sleep(Duration::from_millis(dice.u64(1_000..3_000)));
        }
        proxy.resume();
    }
}
