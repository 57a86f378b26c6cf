//! Versions are deployed one after the other while jobs come and go: each job ends on the version that it began on, none fails for
//! it, and the hosts compile nothing themselves.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use windlass_api::{Digest, Enqueued, JobDetail, JobId, ModuleView, State, Timestamp};
use windlass_tests::{
    Host, Launch, Site,
    chaos::{Kind, Scale, Store, jobs, join, request, until_all_ended},
    component_of_text, windlass,
};

const MODULE: &str = "hot-deploy";

/// How often a version comes.
const EACH: Duration = Duration::from_secs(1);

/// How often jobs come.
const TICK: Duration = Duration::from_millis(100);

/// One of so many jobs fails in its first attempt.
const RETRIED: usize = 4;

/// How long such a job waits for its second attempt, in milliseconds: more than a version lasts.
const RETRY_AFTER_MS: u64 = 1_500;

#[test]
fn a_hot_deploy_loses_nothing_on_sqlite() -> Result<()> {
    hot_deploy(Kind::Sqlite)
}

#[test]
fn a_hot_deploy_loses_nothing_on_postgresql() -> Result<()> {
    hot_deploy(Kind::Postgres)
}

#[test]
fn a_hot_deploy_loses_nothing_on_redis() -> Result<()> {
    hot_deploy(Kind::Redis)
}

fn hot_deploy(kind: Kind) -> Result<()> {
    let scale = Scale::chosen()?;
    let (seconds, per_second) = (scale.of(60, 4), scale.of(500, 100));
    let site = Site::new()?;
    let store = Store::start(kind)?;
    let compiles = compiler(&site)?;
    let launch = Launch { storage: store.url(), ..Launch::default() };
    let hosts: Vec<Host<'_>> = (0..store.hosts(2)).map(|_| site.start_as(&launch, &[])).collect::<Result<_>>()?;
    let mut versions = vec![deploy(&site, &hosts[0], 0)?];
    let over = AtomicBool::new(false);
    let (made, took) = thread::scope(|scope| -> Result<_> {
        let client = scope.spawn(|| load(&hosts, per_second, &over));
        let began = Instant::now();
        let deployed = (1..=seconds).try_for_each(|number| -> Result<()> {
            thread::sleep((EACH * number).saturating_sub(began.elapsed()));
            let place = usize::try_from(number)? % hosts.len();
            versions.push(deploy(&site, &hosts[place], number)?);
            Ok(())
        });
        let took = began.elapsed();
        // Whatever comes of the deploys, the client must end for the scope to end.
        over.store(true, Ordering::Relaxed);
        let made = join(client)?;
        deployed.map(|()| (made, took))
    })?;
    until_all_ended(&hosts[0].address())?;
    let went_on = check(&hosts[0], &versions, &made)?;
    let compiled = fs::read_to_string(&compiles)?.lines().count();
    println!(
        "{kind:?}: {} versions in {:.1} s, {} jobs, {went_on} of them ended on a version that was not active any more; {compiled} compiles",
        versions.len(),
        took.as_secs_f64(),
        made.len()
    );
    ensure!(went_on > 0, "no job outlived its version");
    // Each version by one child, whichever host asked for it first: they share a cache.
    ensure!(compiled == versions.len(), "{compiled} compiles for {} versions", versions.len());
    for host in &hosts {
        for trouble in [" ERROR ", "panicked"] {
            ensure!(!host.said().contains(trouble), "a host is not well; it said:\n{}", host.said());
        }
    }
    compiles_nothing_itself(&site, &store, hosts)
}

/// A compiler that writes down that it was started, and the settings that name it.
fn compiler(site: &Site) -> Result<PathBuf> {
    let compiles = site.path("compiles");
    let script =
        format!("#!/bin/sh\necho $PPID >> '{}'\nexec '{}' \"$@\"\n", compiles.display(), windlass()?.display());
    let program = site.write("compile.sh", script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    settings(site, &program.to_string_lossy())?;
    Ok(compiles)
}

fn settings(site: &Site, compiler: &str) -> Result<()> {
    // A cache of its own: the other storages' versions have the same bytes.
    let cache = site.path("compiled").display().to_string();
    let text = format!("sync_slots = 4\ncache_dir = \"{cache}\"\n[compile]\nprogram = \"{compiler}\"\n");
    site.write("windlass.toml", text).map(drop)
}

/// The component of a version, which says its number.
fn version(site: &Site, number: u32) -> Result<PathBuf> {
    let text = include_str!("hot_deploy.wat").replace("NNNN", &name(number));
    let contract = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wit");
    site.write(&format!("{number}.wasm"), component_of_text(&text, &contract, "sync-module")?)
}

/// What a version calls itself.
fn name(number: u32) -> String {
    (1_000 + number).to_string()
}

fn deploy(site: &Site, host: &Host<'_>, number: u32) -> Result<Digest> {
    let deployed = host.deploy(MODULE, &version(site, number)?)?;
    ensure!(deployed.version.active && deployed.version.version == name(number), "{deployed:?}");
    Ok(deployed.version.digest)
}

/// Enqueues jobs at the hosts by turns until it is over. Gives them, and whether each fails in its first attempt.
fn load(hosts: &[Host<'_>], per_second: usize, over: &AtomicBool) -> Result<BTreeMap<JobId, bool>> {
    let mut made = BTreeMap::new();
    let began = Instant::now();
    for tick in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let fails: Vec<bool> = (0..per_second / 10).map(|n| (made.len() + n).is_multiple_of(RETRIED)).collect();
        let batch = fails.iter().map(|fails| {
            json!({ "handler": format!("{MODULE}/step"), "payload": u8::from(*fails), "max_attempts": 3,
                "retry": { "kind": "fixed", "delay_ms": RETRY_AFTER_MS } })
        });
        let host = hosts[usize::try_from(tick)? % hosts.len()].address();
        let body = serde_json::Value::from_iter(batch).to_string();
        let enqueued: Vec<Enqueued> = request(&host, "POST", "/api/v1/jobs/bulk", &body)?.json()?;
        made.extend(enqueued.into_iter().map(|job| job.id).zip(fails));
        thread::sleep((TICK * tick).saturating_sub(began.elapsed()));
    }
    Ok(made)
}

/// Checks each job; gives how many began their second attempt on a version that another one had replaced.
fn check(host: &Host<'_>, versions: &[Digest], made: &BTreeMap<JobId, bool>) -> Result<usize> {
    let shop: ModuleView = host.json(&["modules", "show", MODULE])?;
    let deployed_at = |digest: &Digest| {
        let version = shop.versions.iter().find(|version| version.digest == *digest);
        version.map(|version| version.deployed_at).with_context(|| format!("version {digest} is not there"))
    };
    let mut replaced_at: BTreeMap<Digest, (String, Timestamp)> = BTreeMap::new();
    for (number, version) in versions.iter().enumerate() {
        let replaced = versions.get(number + 1).map_or(Ok(Timestamp(i64::MAX)), deployed_at)?;
        replaced_at.insert(*version, (name(u32::try_from(number)?), replaced));
    }
    let listed = jobs(&host.address(), None)?;
    ensure!(listed.len() == made.len(), "{} jobs were enqueued, and {} are there", made.len(), listed.len());
    let mut went_on = 0;
    for job in listed {
        let fails = made.get(&job.id).with_context(|| format!("job {} was enqueued by nobody", job.id))?;
        let attempts = if *fails { 2 } else { 1 };
        ensure!(job.state == State::Succeeded && job.attempt == attempts, "a job failed for a deploy: {job:?}");
        let version = job.version.with_context(|| format!("job {} ran on no version", job.id))?;
        let Some((named, replaced)) = replaced_at.get(&version) else { bail!("job {} ran on {version}", job.id) };
        if !fails {
            continue;
        }
        let detail: JobDetail = request(&host.address(), "GET", &format!("/api/v1/jobs/{}", job.id), "")?.json()?;
        let first =
            detail.history.iter().find_map(|line| line.failure.as_ref()).context("a job without its failure")?;
        let result: Option<String> = detail.result.as_ref().map(windlass_api::Json::read).transpose()?;
        ensure!(first.message == *named, "job {} is pinned to version {named}, and began on {}", job.id, first.message);
        ensure!(result.as_ref() == Some(named), "job {} is pinned to version {named}, and ended on {result:?}", job.id);
        let began_at = detail.history.iter().rfind(|line| line.to == State::Processing).map(|line| line.at);
        went_on += usize::from(began_at.is_some_and(|at| at > *replaced));
    }
    Ok(went_on)
}

/// Hosts that have no compiler run all that is there, and take in nothing new.
fn compiles_nothing_itself(site: &Site, store: &Store, hosts: Vec<Host<'_>>) -> Result<()> {
    for host in hosts {
        ensure!(host.stop()?.success(), "a host did not stop in order");
    }
    settings(site, "/there/is/no/compiler")?;
    let host = site.start_as(&Launch { storage: store.url(), ..Launch::default() }, &[])?;
    let job = host.enqueue(&format!("{MODULE}/step"), &json!(0), &[])?;
    host.result::<String>(job)?;
    let other = version(site, 8_000)?.to_string_lossy().into_owned();
    host.windlass(&["deploy", &other, "--name", MODULE])?.complains_of(&["/there/is/no/compiler"])
}
