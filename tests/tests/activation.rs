//! What would break is said before new jobs go to another version.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_api::{Deployed, ModuleView, Problem, ProblemCode, State};
use windlass_tests::{Site, guest};

#[test]
fn a_version_without_a_handler_that_jobs_wait_for_is_activated_by_force_alone() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let first = host.deploy("shop", &guest("mixed")?)?.version.digest;
    host.windlass(&["queues", "pause", "default"])?;
    let job = host.enqueue("shop/add", &json!({ "a": 1, "b": 2 }), &[])?;
    let other = guest("sleeps")?.to_string_lossy().into_owned();

    let refused = host.windlass(&["deploy", &other, "--name", "shop"])?;
    refused.complains_of(&["`add` is gone", "1 of its jobs", "--force"])?;
    let shop = || host.json::<ModuleView>(&["modules", "show", "shop"]);
    ensure!(shop()?.versions.len() == 1, "a version was kept although it was refused");
    let deployed: Deployed = host.json(&["deploy", &other, "--name", "shop", "--no-activate"])?;
    let second = deployed.version.digest;
    let path = "/api/v1/modules/shop/activate";
    let body = json!({ "digest": second }).to_string();
    let answer = host.ask("POST", path, &[], &body)?;
    let problem: Problem = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
    ensure!(answer.status == 409 && problem.code == ProblemCode::WouldBreak, "{answer:?}");
    let active =
        |shop: ModuleView| shop.versions.into_iter().find(|version| version.active).map(|version| version.digest);
    ensure!(active(shop()?) == Some(first), "it was activated although it was refused");

    host.windlass(&["modules", "activate", "shop", &second.to_string(), "--force"])?.json::<ModuleView>()?;
    ensure!(active(shop()?) == Some(second), "it was not activated by force");
    host.windlass(&["queues", "resume", "default"])?;
    host.wait_until(job, |detail| detail.job.state == State::Awaiting)?;
    // Nobody waits for what the other version has.
    host.json::<ModuleView>(&["modules", "activate", "shop", &first.to_string()])?;
    ensure!(host.result::<i64>(job)? == 3, "the job that waited was not run");
    Ok(())
}
