//! The network between a host and the storage swallows everything, or holds everything back.

use std::{collections::BTreeSet, thread, time::Duration};

use anyhow::{Result, ensure};
use windlass_api::JobId;
use windlass_test_services::Proxy;
use windlass_tests::{
    Launch, Site,
    chaos::{Expected, Hosts, Kind, LOST_AFTER, Load, Records, Scale, Settings, Store, check, jobs, now_ms, until},
};

/// Fewer than the two hosts have slots, and more than one has, so that both get some.
const JOBS: usize = 14;

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
    let (proxies, launches): (Vec<_>, Vec<_>) = [store.proxy()?, store.proxy()?]
        .into_iter()
        .map(|(proxy, through)| (proxy, Launch { storage: Some(through), ..Launch::default() }))
        .unzip();
    let mut hosts = Hosts::start(&site, &records, Settings::few_slots(), launches)?;
    // Every run that is cut off goes on until others take its job, unless its host stops it.
    let mut acknowledged = BTreeSet::new();
    let mut expected_lost = Vec::new();
    for round in 0..scale.of(2, 1) {
        let load = Load::new(JOBS, scale.of(12_000..20_000, 10_000..13_000), 0..1);
        load.run(&hosts.addresses(), scale.dice(round))?;
        acknowledged.append(&mut load.acknowledged());
        for place in 0..proxies.len() {
            let begun = || Ok((records.begun(&hosts.runs_of(place, place)?) > JOBS / 4).then_some(()));
            until("runs on both hosts", begun)?;
        }
        // Only now does the one come that takes their jobs, all of them: it would have taken them before.
        let room = ("WINDLASS_ASYNC_SLOTS".to_owned(), JOBS.to_string());
        let launch = Launch { storage: store.url(), environment: vec![room], ..Launch::default() };
        let healthy = hosts.add(launch)?;
        let names = [hosts.name_of(0, healthy)?, hosts.name_of(1, healthy)?];
        // One that sends late what it held back is another failure than one that loses it.
        proxies[0].black_hole();
        proxies[1].stall();
        thread::sleep(LOST_AFTER + LONGER);
        let resumed_ms = now_ms();
        proxies.iter().for_each(Proxy::resume);
        expected_lost.extend(names.map(|name| (name, resumed_ms)));
        until("the end of all jobs", || {
            let running = jobs(&hosts.at(healthy)?.address(), None)?;
            Ok(running.iter().all(|job| job.state.is_final()).then_some(()))
        })?;
        hosts.kill(healthy)?;
    }
    // Every run of a host that was cut off wrote its last before the next run of its job wrote its first.
    let expected = Expected { acknowledged, bound_ms: 0, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}");
    ensure!(report.longest_ms > i64::try_from(LOST_AFTER.as_millis())?, "no run was long enough to be caught twice");
    let all = records.all()?;
    for (name, resumed_ms) in expected_lost {
        let lost: Vec<_> = report.lost.iter().filter(|(_, server)| **server == name).map(|(run, _)| run).collect();
        let next =
            |(job, run): &(JobId, u32)| all.get(job).and_then(|runs| runs.get(&(run + 1))).map(|next| next.first_ms);
        let meanwhile = lost.iter().filter(|run| next(run).is_some_and(|at_ms| at_ms < resumed_ms)).count();
        println!("{name}: {} runs taken away, {meanwhile} begun again while it was cut off", lost.len());
        ensure!(!lost.is_empty(), "no run was taken away from {name}, which was cut off");
        ensure!(meanwhile > 0, "no job of {name} began again while it was cut off");
    }
    // They work again by themselves.
    hosts.all_well()
}
