//! The storage's server is killed under load and started again.

use std::{thread, time::Duration};

use anyhow::Result;
use windlass_tests::{
    Launch, Site,
    chaos::{Expected, Hosts, Kind, Load, Records, Scale, Store, check, join},
};

#[test]
fn no_job_is_lost_when_postgresql_is_killed() -> Result<()> {
    killed_storage(Kind::Postgres)
}

#[test]
fn no_job_is_lost_when_redis_is_killed() -> Result<()> {
    killed_storage(Kind::Redis)
}

fn killed_storage(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let mut store = Store::start(kind)?;
    let launches = vec![Launch { storage: store.url(), ..Launch::default() }; 2];
    let mut hosts = Hosts::start(&site, &records, launches)?;
    let load = Load::new(scale.of(4_000, 600), 5..300, scale.of(0..400, 0..500));
    let addresses = hosts.addresses();
    let mut dice = scale.dice(1);
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        for kill in 1..=scale.of(5, 2) {
            thread::sleep(Duration::from_millis(dice.u64(500..2_500)));
            let away = Duration::from_millis(dice.u64(0..2_000));
            store.kill()?;
            thread::sleep(away);
            store.restart()?;
            let acknowledged = load.acknowledged().len();
            println!("kill {kill}: away for {} ms and more, after {acknowledged} jobs", away.as_millis());
        }
        join(client)
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {} refusals", load.refusals());
    hosts.all_well()
}
