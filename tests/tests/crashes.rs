//! An acknowledged job is never lost, whenever the host is killed.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::State;
use windlass_tests::{Job, Site, guest};

const JOBS: u64 = 1_000;

#[test]
fn every_job_ends_after_the_host_was_killed_in_the_middle() -> Result<()> {
    let site = Site::new()?;
    let slots = ["--sync-slots", "2", "--async-slots", "20"];
    let host = site.start(&slots)?;
    host.deploy("mixed", &guest("mixed")?)?;
    let requests = (0..JOBS).map(|number| match number % 2 {
        0 => json!({ "handler": "mixed/compute", "payload": { "ms": 2 } }),
        _ => json!({ "handler": "mixed/wait", "payload": { "ms": 20 } }),
    });
    let acknowledged: BTreeSet<Job> = host.enqueue_all(requests)?.into_iter().collect();
    let ended = || -> Result<usize> { Ok(host.all_jobs()?.iter().filter(|job| job.state.is_final()).count()) };
    while ended()? < 100 {}
    let before = host.all_jobs()?;
    let of = |state| before.iter().filter(|job| job.state == state).count();
    println!(
        "killed with {} succeeded, {} processing, {} enqueued",
        of(State::Succeeded),
        of(State::Processing),
        of(State::Enqueued)
    );
    ensure!(of(State::Enqueued) > 0, "the host was killed too late to mean anything");
    host.kill()?;

    let host = site.start(&slots)?;
    let after = host.all_ended()?;
    let found: BTreeSet<Job> = after.iter().map(|job| Job(job.id)).collect();
    ensure!(found == acknowledged, "{} jobs were acknowledged, {} are there", acknowledged.len(), found.len());
    let lost = after.iter().filter(|job| job.attempt > 1).count();
    println!("{lost} jobs were running when the host was killed, and ran again");
    ensure!(after.iter().all(|job| job.state == State::Succeeded), "a job did not succeed");
    // What had succeeded before the kill is not run again.
    for job in before.iter().filter(|job| job.state == State::Succeeded) {
        let now = after.iter().find(|other| other.id == job.id);
        ensure!(now.is_some_and(|now| now.run == job.run), "job {} ran again after it had succeeded", job.id);
    }
    Ok(())
}

#[test]
fn a_deployed_module_and_its_version_survive_a_kill() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let deployed = host.deploy("mixed", &guest("mixed")?)?;
    host.kill()?;
    let host = site.start(&[])?;
    let job = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &[])?;
    ensure!(host.result::<i64>(job)? == 3, "a module that survived does not work");
    ensure!(host.show(job)?.job.version == Some(deployed.version.digest), "the job ran on another version");
    Ok(())
}
