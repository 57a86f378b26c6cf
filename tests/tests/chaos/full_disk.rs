//! The disk under SQLite is full.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_api::{Enqueued, JobId};
use windlass_tests::{
    Host, Launch, Site,
    chaos::{Answered, Expected, Records, check, request},
    guest,
};

/// A disk with room for a host's first steps and some jobs, and for what is given back.
const DISK: &str = "size=48m";

/// Room that is given back when the disk was full: twice what all jobs take, so that their history and SQLite's log fit.
const FILLER_BYTES: usize = 32 << 20;

#[test]
fn a_full_disk_refuses_jobs_and_loses_none() -> Result<()> {
    let site = Site::new()?;
    let records = Records::new(&site)?;
    site.write("windlass.toml", records.grant("witness"))?;
    let disk = site.path("disk");
    fs::create_dir(&disk)?;
    let storage = format!("sqlite:{}", disk.join("windlass.db").display());
    let host =
        site.start_as(&Launch { storage: Some(storage), wrapper: small_disk(&disk)?, ..Launch::default() }, &[])?;
    host.deploy("witness", &guest("witness")?)?;
    // The disk exists for the host alone; this is how others see it.
    let seen = Path::new("/proc").join(host.process_id().to_string()).join("root").join(disk.strip_prefix("/")?);
    fs::write(seen.join("filler"), vec![0; FILLER_BYTES])?;

    let mut acknowledged = Vec::new();
    let refusal = loop {
        let answer = enqueue(&host, 30)?;
        if answer.status != 201 {
            break answer;
        }
        acknowledged.push(answer.json::<Enqueued>()?.id);
        ensure!(acknowledged.len() < 5_000, "the disk does not become full");
    };
    println!("{} jobs were taken; then {}: {}", acknowledged.len(), refusal.status, refusal.body);
    ensure!(!acknowledged.is_empty(), "no job was taken before the disk was full");
    let problem = refusal.problem()?;
    ensure!(problem.status == 503 && problem.detail.contains("full"), "it does not say that the disk is full");
    ensure!(enqueue(&host, 30)?.status == 503, "the host does not answer while the disk is full");

    fs::remove_file(seen.join("filler"))?;
    let first = host.until("a job is taken again", || {
        let answer = enqueue(&host, 0)?;
        Ok(if answer.status == 201 { Some(answer.json::<Enqueued>()?.id) } else { None })
    })?;
    acknowledged.push(first);
    let acknowledged: std::collections::BTreeSet<JobId> = acknowledged.into_iter().collect();
    let expected = Expected { acknowledged, once: true, ..Expected::default() };
    let report = check(&host.address(), &records, &expected);
    let free = rustix::fs::statvfs(&seen)?;
    println!("{} KiB are free on the disk", free.f_bavail * free.f_frsize / 1_024);
    println!("{}", report.with_context(|| host.said())?);
    let database = rusqlite::Connection::open(seen.join("windlass.db"))?;
    let whole: String = database.query_row("pragma integrity_check", [], |row| row.get(0))?;
    ensure!(whole == "ok", "the database is damaged: {whole}");
    Ok(())
}

/// A job with a payload of this many KiB that nobody reads.
fn enqueue(host: &Host<'_>, padding_kib: usize) -> Result<Answered> {
    let payload = json!({ "ms": 1, "padding": "x".repeat(padding_kib << 10) });
    let body = json!({ "handler": "witness/wait", "payload": payload, "delay_ms": 3_000 }).to_string();
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
