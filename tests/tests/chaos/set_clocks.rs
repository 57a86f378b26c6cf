//! The clock of the host is set forth and back while it works.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Result, ensure};
use windlass_test_services::FalseClock;
use windlass_tests::{
    Launch, Site,
    chaos::{Expected, Hosts, Kind, Load, Record, Records, Scale, Settings, Store, check, join, now_ms},
};

/// Further than any delay of Windlass' own, and less than jobs are kept.
const HOUR_S: i64 = 3_600;

#[test]
fn no_job_is_lost_or_run_twice_when_the_clock_is_set_on_sqlite() -> Result<()> {
    set_clocks(Kind::Sqlite)
}

#[test]
fn no_job_is_lost_or_run_twice_when_a_hosts_clock_is_set_on_postgresql() -> Result<()> {
    set_clocks(Kind::Postgres)
}

#[test]
fn no_job_is_lost_or_run_twice_when_a_hosts_clock_is_set_on_redis() -> Result<()> {
    set_clocks(Kind::Redis)
}

fn set_clocks(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let store = Store::start(kind)?;
    let clock = FalseClock::new()?;
    let mut launches = vec![Launch { storage: store.url(), ..Launch::default() }; store.hosts(2)];
    launches[0].environment = clock.environment();
    // Far more than a busy machine stalls: no host lets go of a run here.
    let settings = Settings { lost_after: Duration::from_secs(30), ..Settings::default() };
    let mut hosts = Hosts::start(&site, &records, settings, launches)?;
    // Spread over all settings of the clock: a host notices each within a second.
    let mut load = Load::new(scale.of(1_000, 300), 5..500, scale.of(500..700, 1_000..1_500));
    load.long_ms = Some(2_000..4_000);
    load.delays = true;
    let addresses = hosts.addresses();
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        // Fast at the end: what was put off while the clock was fast is due an hour later where the clock is the storage's.
        for offset_s in [HOUR_S, -HOUR_S, 20, -20, HOUR_S] {
            thread::sleep(scale.of(Duration::from_secs(2), Duration::from_millis(1_500)));
            clock.set(offset_s)?;
        }
        join(client)
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), once: true, clocks_set: true, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}");
    let half_s = HOUR_S / 2;
    let fooled = |record: &Record| (record.first_ms - now_ms()).abs() > half_s * 1_000;
    ensure!(records.all()?.values().flat_map(BTreeMap::values).any(fooled), "the host did not see its clock being set");
    ensure!(report.broken_off == 0, "a run was broken off");
    ensure!(report.failed > 0, "no job was retried");
    hosts.all_well()
}
