//! Versions that a share of the new jobs goes to, which are then promoted or dropped, and versions that are retired.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{
    CanaryDropped, Digest, JobId, ModuleGrants, ModuleView, Problem, ProblemCode, Retired, State, falls_to_canary,
};
use windlass_http_client::Client;
use windlass_tests::{Host, Site, component_of_text};

/// A version that says `word` as its result, deployed without activating it.
fn deploy(host: &Host<'_>, word: &str, activate: bool) -> Result<Digest> {
    ensure!(word.len() == 4, "the text below has room for four letters");
    let text = include_str!("chaos/hot_deploy.wat").replace("NNNN", word);
    let contract = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let file = host.site().write(&format!("{word}.wasm"), component_of_text(&text, &contract, "sync-module")?)?;
    let file = file.to_string_lossy().into_owned();
    let arguments = ["deploy", file.as_str(), "--name", "shop", "--no-activate"];
    let deployed: windlass_api::Deployed = host.json(&arguments[..if activate { 4 } else { 5 }])?;
    Ok(deployed.version.digest)
}

/// Enqueues a job whose id ends in a number, and gives what it says.
fn said(host: &Host<'_>, end: u32, fails_first: bool) -> Result<String> {
    let id = job(end)?;
    let request = json!({ "id": id, "handler": "shop/step", "payload": u8::from(fails_first),
        "retry": { "kind": "fixed", "delay_ms": 0 } });
    host.ask("POST", "/api/v1/jobs", &[], &request.to_string())?.json::<Value>()?;
    let detail = host.ask("GET", &format!("/api/v1/jobs/{id}/wait?timeout_ms=60000"), &[], "")?;
    let detail: windlass_api::JobDetail = detail.json()?;
    ensure!(detail.job.state == State::Succeeded, "{detail:?}");
    Ok(detail.result.context("no result")?.read()?)
}

fn job(end: u32) -> Result<JobId> {
    Ok(format!("0199f3a8-7c00-7a3e-9c1d-2b6f{end:08x}").parse()?)
}

fn shares(shop: &ModuleView) -> Vec<(Digest, bool, Option<u8>)> {
    shop.versions.iter().map(|version| (version.digest, version.active, version.canary_percent)).collect()
}

#[test]
fn a_share_of_new_jobs_goes_to_the_canary_until_it_is_promoted_or_dropped() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let first = deploy(&host, "olds", true)?;
    let second = deploy(&host, "news", false)?;
    let short = second.to_string()[..8].to_owned();
    let shop: ModuleView = host.json(&["modules", "canary", "shop", &short, "--percent", "30"])?;
    ensure!(shares(&shop) == [(second, false, Some(30)), (first, true, None)], "{shop:?}");
    for end in [100, 129, 130, 199, u32::MAX] {
        let expected = if falls_to_canary(job(end)?, 30) { "news" } else { "olds" };
        for fails_first in [false, true] {
            // Another id that falls the same way.
            let end = if fails_first { end - 100 } else { end };
            ensure!(
                said(&host, end, fails_first)? == expected,
                "the job whose id ends in {end} did not go to {expected}"
            );
        }
    }
    let shop: ModuleView = host.json(&["modules", "promote", "shop"])?;
    ensure!(shares(&shop) == [(second, true, None), (first, false, None)], "{shop:?}");
    ensure!(said(&host, 299, false)? == "news", "not all new jobs go to what was promoted");

    host.json::<ModuleView>(&["modules", "canary", "shop", &first.to_string(), "--percent", "100"])?;
    ensure!(said(&host, 300, false)? == "olds", "a canary of all new jobs does not get this one");
    let dropped: CanaryDropped = host.json(&["modules", "drop", "shop"])?;
    ensure!(dropped == CanaryDropped { digest: first, unpinned: 0 }, "{dropped:?}");
    ensure!(said(&host, 301, false)? == "news", "a canary that was dropped goes on");
    Ok(())
}

#[test]
fn jobs_that_wait_on_a_canary_are_let_go_when_it_is_dropped() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    deploy(&host, "olds", true)?;
    let canary = deploy(&host, "news", false)?.to_string();
    for (keep_pins, unpinned, expected) in [(false, 1, "olds"), (true, 0, "news")] {
        host.json::<ModuleView>(&["modules", "canary", "shop", &canary, "--percent", "100"])?;
        let options = ["--retry", "fixed:1h", "--max-attempts", "3"];
        let job = host.enqueue("shop/step", &json!(1), &options)?;
        host.wait_until(job, |detail| detail.job.state == State::Scheduled)?;
        let drop: &[&str] =
            if keep_pins { &["modules", "drop", "shop", "--keep-pins"] } else { &["modules", "drop", "shop"] };
        let dropped: CanaryDropped = host.json(drop)?;
        ensure!(dropped.unpinned == unpinned, "{dropped:?}");
        host.json::<Value>(&["jobs", "requeue", &job.0.to_string()])?;
        // Its attempts are counted anew, so that it fails once more.
        host.wait_until(job, |detail| detail.job.state == State::Scheduled)?;
        let failure = host.show(job)?.job.failure.context("no failure")?;
        ensure!(failure.message == expected, "it went on with {}", failure.message);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_a_canary_is_refused_with_the_reason() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let refused = |method: &str, path: &str, body: &Value| -> Result<(ProblemCode, String)> {
        let problem: Problem = host.ask(method, &format!("/api/v1/modules/{path}"), &[], &body.to_string())?.json()?;
        Ok((problem.code, problem.detail))
    };
    let second = deploy(&host, "news", false)?;
    let begin = |digest: Digest, percent: u32| json!({ "digest": digest, "percent": percent });
    let (code, detail) = refused("PUT", "shop/canary", &begin(second, 10))?;
    ensure!(code == ProblemCode::Conflict && detail.contains("no active version"), "{detail}");
    let first = deploy(&host, "olds", true)?;
    for (digest, percent, code, part) in [
        (second, 0, ProblemCode::InvalidField, "expected 1 to 100"),
        (second, 101, ProblemCode::InvalidField, "expected 1 to 100"),
        (second, 256, ProblemCode::InvalidField, "0 to 255"),
        (first, 10, ProblemCode::Conflict, "is the active one"),
        (Digest([7; 32]), 10, ProblemCode::NotFound, "has no version"),
    ] {
        let told = refused("PUT", "shop/canary", &begin(digest, percent))?;
        ensure!(told.0 == code && told.1.contains(part), "{told:?} does not say `{part}`");
    }
    for (method, path) in [("POST", "shop/promote"), ("DELETE", "shop/canary"), ("POST", "nowhere/promote")] {
        let (code, detail) = refused(method, path, &json!({}))?;
        ensure!(code == ProblemCode::NotFound && detail.contains("has no canary"), "{detail}");
    }
    host.windlass(&["modules", "canary", "shop", &second.to_string(), "--percent", "0"])?.complains_of(&["1..=100"])?;

    let client = Client::new(&format!("http://{}", host.address()))?;
    let shop = "shop".parse()?;
    let begun = client.begin_canary(&shop, second, 1, false).await?;
    ensure!(shares(&begun) == [(first, true, None), (second, false, Some(1))], "{begun:?}");
    ensure!(client.drop_canary(&shop, true).await?.digest == second, "another one was dropped");
    client.begin_canary(&shop, second, 1, false).await?;
    let promoted = client.promote_canary(&shop, false).await?;
    ensure!(shares(&promoted) == [(first, false, None), (second, true, None)], "{promoted:?}");
    Ok(())
}

#[test]
fn a_version_is_retired_once_no_job_needs_it_and_its_jobs_go_on_with_the_active_one() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let old = deploy(&host, "olds", true)?.to_string();
    let failed = host.enqueue("shop/step", &json!(1), &["--max-attempts", "1"])?;
    let waiting = host.enqueue("shop/step", &json!(1), &["--retry", "fixed:1h"])?;
    host.wait_until(failed, |detail| detail.job.state == State::Failed)?;
    host.wait_until(waiting, |detail| detail.job.state == State::Scheduled)?;
    let retire = ["modules", "retire", "shop", old.as_str()];
    host.windlass(&retire)?.complains_of(&["new jobs go to it"])?;
    deploy(&host, "news", true)?;
    host.windlass(&["modules", "retire", "shop", &old, "--keep-pins"])?.complains_of(&["0 run and 1 wait"])?;
    let retired: Retired = host.json(&retire)?;
    ensure!(retired.unpinned == 1 && retired.digest.to_string() == old, "{retired:?}");
    host.windlass(&["modules", "activate", "shop", &old])?
        .complains_of(&["is retired", "deploy its component again"])?;
    let canary = host.windlass(&["modules", "canary", "shop", &old, "--percent", "1"])?;
    canary.complains_of(&["is retired"])?;
    // One was let go; the other, which had ended, is pinned to it still.
    for (job, ends) in [(waiting, State::Scheduled), (failed, State::Failed)] {
        host.json::<Value>(&["jobs", "requeue", &job.0.to_string()])?;
        host.wait_until(job, |detail| {
            detail.job.state == ends && detail.job.failure.as_ref().is_some_and(|failure| failure.message == "news")
        })?;
    }
    let again = deploy(&host, "olds", true)?.to_string();
    ensure!(again == old, "the same bytes have another digest");
    let job = host.enqueue("shop/step", &json!(0), &[])?;
    ensure!(host.result::<String>(job)? == "olds", "a version that was deployed again does not run");
    Ok(())
}

#[test]
fn a_host_tells_what_it_grants_to_a_module_and_no_value_of_it() -> Result<()> {
    let site = Site::new()?;
    let settings =
        "[module.shop]\nhttp = [\"example.com\"]\nenvironment = { PASSWORD = \"hunter2\" }\nlimits = { fuel = 7 }\n";
    let config = site.write("windlass.toml", settings)?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let grants: ModuleGrants = host.json(&["modules", "grants", "shop"])?;
    ensure!(grants.http == ["example.com"] && grants.environment == ["PASSWORD"], "{grants:?}");
    ensure!(grants.limits.fuel.default == 7, "{grants:?}");
    let told = host.ask("GET", "/api/v1/modules/shop/grants", &[], "")?.body;
    ensure!(!told.contains("hunter2"), "{told}");
    let others: ModuleGrants = host.json(&["modules", "grants", "other"])?;
    ensure!(others.http.is_empty() && others.environment.is_empty(), "{others:?}");
    Ok(())
}
