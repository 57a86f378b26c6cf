//! The storage's server is killed under load and started again.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use fastrand::Rng;
use windlass_api::State;
use windlass_tests::{
    Launch, Site,
    chaos::{
        AT_ONCE_MS, BATCH, Expected, Hosts, Kind, Load, Records, Scale, Settings, Store, check, jobs, join, until,
    },
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
    let mut hosts = Hosts::start(&site, &records, Settings::default(), launches)?;
    let mut load = Load::new(scale.of(4_000, 600), 5..300, 0..400);
    load.long_ms = Some(2_000..4_000);
    let addresses = hosts.addresses();
    let mut dice = scale.dice(1);
    load.hold_at(0);
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        // Whatever comes of the kills, the client must end for the scope to end.
        let killed = kill_all(&mut store, &hosts, &load, scale.of(5, 2), &mut dice);
        load.hold_at(usize::MAX);
        killed.and(join(client))
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), bound_ms: AT_ONCE_MS, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    println!("{kind:?}: {report}; {} refusals", load.refusals());
    hosts.all_well()
}

/// Kills the storage's server so many times, each time while jobs run and the client sends, and starts it again.
fn kill_all(store: &mut Store, hosts: &Hosts<'_>, load: &Load, kills: usize, dice: &mut Rng) -> Result<()> {
    let part = load.jobs / (kills + 1);
    for kill in 0..kills {
        let mut gate = kill * part + dice.usize(part / 2..part);
        load.hold_at(gate);
        until("enough acknowledged jobs", || Ok((load.acknowledged().len() >= gate).then_some(())))?;
        until("jobs that run", || {
            let runs = jobs(&hosts.at(0)?.address(), Some(State::Processing))?;
            if runs.is_empty() && load.acknowledged().len() >= gate {
                gate += BATCH;
                ensure!(gate < load.jobs, "all jobs are done, and not all kills");
                load.hold_at(gate);
            }
            Ok((!runs.is_empty()).then_some(()))
        })?;
        let refusals = load.refusals();
        store.kill()?;
        // The client sends its next batch to nobody.
        load.hold_at(usize::MAX);
        until("a batch that is refused", || Ok((load.refusals() > refusals).then_some(())))?;
        let away = Duration::from_millis(dice.u64(0..2_000));
        thread::sleep(away);
        store.restart()?;
        println!("kill {}: away for {} ms and more, after {gate} jobs", kill + 1, away.as_millis());
    }
    Ok(())
}
