//! A limit holds over all hosts, and no place under it is lost with a host.

use std::thread;

use anyhow::{Result, ensure};
use windlass_tests::{
    Launch, Site,
    chaos::{AT_ONCE_MS, Expected, Hosts, Kind, Load, Records, Scale, Settings, Store, check, join, until},
};

const HOSTS: usize = 3;

/// How many may run at once.
const AT_ONCE: usize = 5;

/// After how many acknowledged jobs a host is killed, in parts of all jobs.
const KILLS: [(usize, usize); 2] = [(1, 3), (2, 3)];

#[test]
fn no_more_run_at_once_than_a_limit_allows_when_hosts_are_killed_on_sqlite() -> Result<()> {
    never_more(Kind::Sqlite)
}

#[test]
fn no_more_run_at_once_than_a_limit_allows_when_hosts_are_killed_on_postgresql() -> Result<()> {
    never_more(Kind::Postgres)
}

#[test]
fn no_more_run_at_once_than_a_limit_allows_when_hosts_are_killed_on_redis() -> Result<()> {
    never_more(Kind::Redis)
}

fn never_more(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let site = Site::new()?;
    let records = Records::new(&site)?;
    let store = Store::start(kind)?;
    let launches = vec![Launch { storage: store.url(), ..Launch::default() }; store.hosts(HOSTS)];
    let mut hosts = Hosts::start(&site, &records, Settings::default(), launches)?;
    let limited = hosts.at(0)?.windlass(&["limits", "put", "key:shop", "--concurrency", &AT_ONCE.to_string()])?;
    ensure!(limited.status.success(), "the limit was refused: {limited:?}");
    let mut load = Load::new(scale.of(1_000, 200), 20..100, 0..20);
    load.limit_key = Some("shop");
    let (addresses, mut dice) = (hosts.addresses(), scale.dice(1));
    thread::scope(|scope| -> Result<()> {
        let client = scope.spawn(|| load.run(&addresses, scale.dice(2)));
        let mut kill_some = || -> Result<()> {
            for (part, of) in KILLS {
                let gate = load.jobs * part / of;
                until("enough acknowledged jobs", || Ok((load.acknowledged().len() >= gate).then_some(())))?;
                let place = dice.usize(0..hosts.places());
                hosts.kill(place)?;
                hosts.start_in(place)?;
            }
            Ok(())
        };
        let killed = kill_some();
        killed.and(join(client))
    })?;
    let expected = Expected { acknowledged: load.acknowledged(), bound_ms: AT_ONCE_MS, ..Expected::default() };
    let report = check(&hosts.at(0)?.address(), &records, &expected)?;
    let most = most_at_once(&records)?;
    println!("{kind:?}: {report}; at most {most} at once");
    ensure!(most <= AT_ONCE, "{most} ran at once");
    // Otherwise it would prove little.
    ensure!(most == AT_ONCE, "never as many as allowed ran at once, but {most}");
    hosts.all_well()
}

/// How many runs went on at once, as they wrote it down themselves.
fn most_at_once(records: &Records) -> Result<usize> {
    let mut changes = Vec::new();
    for run in records.all()?.values().flat_map(|runs| runs.values()) {
        // One that ends in the millisecond in which another begins has made room for it.
        changes.push((run.first_ms, 1, 1_i64));
        changes.push((run.last_ms, 0, -1));
    }
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, _, change) in changes {
        now += change;
        most = most.max(now);
    }
    Ok(usize::try_from(most)?)
}
