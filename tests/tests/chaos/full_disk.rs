//! The disk under SQLite is full.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Enqueued, JobId, State};
use windlass_tests::{
    Host, Launch, Site,
    chaos::{AT_ONCE_MS, Answered, Expected, Records, check, jobs, now_ms, request},
    guest,
};

/// A disk with room for a host's first steps and some jobs, and for what is given back.
const DISK: &str = "size=48m";

/// Room that is given back when the disk was full: more than all jobs take, so that their history and SQLite's log fit.
const FILLER_BYTES: usize = 32 << 20;

/// What is left for jobs until the disk is full.
const ROOM_BYTES: u64 = 1 << 20;

/// Runs that go on when the disk becomes full.
const RUNS: usize = 5;

/// How long they work: longer than it takes until the disk is full, and shorter than the host waits for its storage.
const RUN_MS: u64 = 6_000;

/// How long other jobs wait: until the disk has room again.
const DELAY_MS: u64 = 7_000;

#[test]
fn a_full_disk_refuses_jobs_and_loses_none() -> Result<()> {
    let site = Site::new()?;
    let records = Records::new(&site)?;
    // A host that cannot write for longer than this lets go of its runs, which is another story.
    site.write("windlass.toml", format!("lost_after = \"60s\"\n{}", records.grant("witness")))?;
    let disk = site.path("disk");
    fs::create_dir(&disk)?;
    let storage = format!("sqlite:{}", disk.join("windlass.db").display());
    let host =
        site.start_as(&Launch { storage: Some(storage), wrapper: small_disk(&disk)?, ..Launch::default() }, &[])?;
    host.deploy("witness", &guest("witness")?)?;
    // The disk exists for the host alone; this is how others see it.
    let seen = Path::new("/proc").join(host.process_id().to_string()).join("root").join(disk.strip_prefix("/")?);
    fs::write(seen.join("filler"), vec![0; FILLER_BYTES])?;

    // Each ends while the disk is full.
    let mut running = Vec::new();
    for _ in 0..RUNS {
        running.push(enqueue(&host, &json!({ "ms": RUN_MS }), 0)?.json::<Enqueued>()?.id);
    }
    host.until("all of them at work", || Ok(running.iter().all(|job| records.of(*job, 1).is_ok()).then_some(())))?;
    let mut acknowledged = running.clone();
    let refusal = until_full(&host, &seen, &mut acknowledged)?;
    let full_ms = now_ms();
    println!("{} jobs were taken; then {}: {}", acknowledged.len(), refusal.status, refusal.body);
    let problem = refusal.problem()?;
    ensure!(problem.status == 503 && problem.detail.contains("full"), "it does not say that the disk is full");
    let ended = |job: &JobId| records.of(*job, 1).is_ok_and(|record| record.ends == 1 && record.last_ms > full_ms);
    host.until("runs that end while the disk is full", || Ok(running.iter().all(ended).then_some(())))?;
    ensure!(small(&host)?.status == 503, "the host does not answer while the disk is full");
    let unsettled = jobs(&host.address(), Some(State::Processing))?.len();
    println!("{unsettled} of {RUNS} runs have ended and could not be settled");
    ensure!(unsettled > 0, "every run was settled on a full disk");

    fs::remove_file(seen.join("filler"))?;
    let first = host.until("a job is taken again", || {
        let answer = small(&host)?;
        Ok(if answer.status == 201 { Some(answer.json::<Enqueued>()?.id) } else { None })
    })?;
    acknowledged.push(first);
    let acknowledged: std::collections::BTreeSet<JobId> = acknowledged.into_iter().collect();
    let expected = Expected { acknowledged, once: true, bound_ms: AT_ONCE_MS, ..Expected::default() };
    let report = check(&host.address(), &records, &expected);
    let free = rustix::fs::statvfs(&seen)?;
    println!("{} KiB are free on the disk", free.f_bavail * free.f_frsize / 1_024);
    println!("{}", report.with_context(|| host.said())?);
    let database = rusqlite::Connection::open(seen.join("windlass.db"))?;
    let whole: String = database.query_row("pragma integrity_check", [], |row| row.get(0))?;
    ensure!(whole == "ok", "the database is damaged: {whole}");
    Ok(())
}

/// Fills the disk, at last with jobs: big ones until one is refused, and then small ones, which fit into less room. Gives
/// the last refusal.
fn until_full(host: &Host<'_>, seen: &Path, acknowledged: &mut Vec<JobId>) -> Result<Answered> {
    let before = acknowledged.len();
    // As much as is left; that this fails is what it is for.
    let filled = File::create(seen.join("more")).and_then(|mut file| file.write_all(&vec![0; FILLER_BYTES]));
    ensure!(filled.is_err(), "the disk is larger than it should be");
    fs::OpenOptions::new()
        .write(true)
        .open(seen.join("more"))?
        .set_len(fs::metadata(seen.join("more"))?.len().saturating_sub(ROOM_BYTES))?;
    loop {
        let big = json!({ "ms": 1, "padding": "x".repeat(30 << 10) });
        let answer = enqueue(host, &big, DELAY_MS)?;
        let answer = if answer.status == 201 { answer } else { small(host)? };
        if answer.status != 201 {
            ensure!(acknowledged.len() > before, "no job was taken before the disk was full");
            return Ok(answer);
        }
        acknowledged.push(answer.json::<Enqueued>()?.id);
        ensure!(acknowledged.len() < 5_000, "the disk does not become full");
    }
}

/// A job that takes hardly any room.
fn small(host: &Host<'_>) -> Result<Answered> {
    enqueue(host, &json!({ "ms": 1 }), DELAY_MS)
}

fn enqueue(host: &Host<'_>, payload: &Value, delay_ms: u64) -> Result<Answered> {
    let body = json!({ "handler": "witness/wait", "payload": payload, "delay_ms": delay_ms }).to_string();
    request(&host.address(), "POST", "/api/v1/jobs", &body)
}

/// Starts a program with a small disk in this folder, which only it sees and which is gone with it.
fn small_disk(folder: &Path) -> Result<Vec<String>> {
    let mount = format!("mount -t tmpfs -o {DISK} none '{}' && exec \"$@\"", folder.display());
    let ways: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--user", "--map-root-user", "--mount"]];
    let with = |way: &[&str]| -> Vec<String> {
        way.iter().copied().chain(["sh", "-c", &mount, "sh"]).map(str::to_owned).collect()
    };
    let works = |wrapper: &Vec<String>| {
        let tried = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    ways.into_iter().map(with).find(works).context(
        "this needs a disk of its own: run it on Linux as root, or where users may make namespaces of their own (`unshare \
         --user --map-root-user --mount true` must work)",
    )
}
