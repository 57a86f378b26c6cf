//! Acting: each action does what its button says, asks first where it destroys, and tells what came of it.

use std::fs;

use anyhow::{Context, Result, ensure};
use minisign::KeyPair;
use serde_json::json;
use windlass_api::{Deployed, ModuleView, State};
use windlass_browser_tests::Browser;
use windlass_tests::{Host, Job, Site, component, guest};

async fn open(host: &Host<'_>, page: &str) -> Result<Browser> {
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page(page).await?;
    Ok(browser)
}

fn failed_job(host: &Host<'_>) -> Result<Job> {
    let job = host.enqueue("faults/flaky", &json!({ "succeed_on": 2 }), &["--max-attempts", "1"])?;
    host.wait_until(job, |detail| detail.job.state == State::Failed)?;
    Ok(job)
}

#[tokio::test]
async fn failed_jobs_are_retried_and_deleted_from_the_list() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let jobs = [failed_job(&host)?, failed_job(&host)?, failed_job(&host)?];
    let browser = open(&host, "jobs?state=failed").await?;
    browser.sees(&format!("input[aria-label='Select job {}']", jobs[0].0)).await?.click().await?;
    browser.click("Retry 1").await?;
    browser.reads("1 job enqueued again.").await?;
    host.wait_until(jobs[0], |detail| detail.history.iter().filter(|line| line.to == State::Processing).count() == 2)?;
    // It fails again and comes back into the list; all three are deleted together.
    host.wait_until(jobs[0], |detail| detail.job.state == State::Failed)?;
    browser.open_page("jobs?state=failed").await?;
    let rows = async || {
        let rows = browser.run("return document.querySelectorAll('.jobs tbody tr').length").await?;
        Ok((rows == json!(3)).then_some(()))
    };
    browser.until("three jobs in the list", rows).await?;
    browser.sees("input[aria-label='Select all shown']").await?.click().await?;
    browser.click("Delete 3").await?;
    browser.reads("Delete 3 jobs?").await?;
    browser.click("Delete 3 jobs").await?;
    browser.reads("3 jobs deleted.").await?;
    for job in jobs {
        host.wait_until(job, |detail| detail.job.state == State::Deleted)?;
    }
    browser.click("Enqueue them again").await?;
    browser.reads("3 jobs enqueued again.").await?;
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_running_job_is_cancelled_only_after_a_question() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/sleepy", &json!({ "ms": 600_000 }), &[])?;
    let browser = open(&host, &format!("jobs/{}", job.0)).await?;
    browser.click("Cancel").await?;
    browser.reads("Cancel this job?").await?;
    browser.click("Not now").await?;
    assert_eq!(host.show(job)?.job.state, State::Processing);
    browser.click("Cancel").await?;
    browser.click("Cancel the job").await?;
    host.wait_until(job, |detail| detail.job.state == State::Deleted)?;
    browser.sees(".head .state-deleted").await?;
    browser.close().await
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    host.enqueue("faults/sleepy", &json!({ "ms": 600_000 }), &["--queue", "slow"])?;
    let browser = open(&host, "queues").await?;
    browser.click("Pause queue slow").await?;
    browser.reads("Queue slow is paused").await?;
    let waiting = host.enqueue("faults/noop", &json!(null), &["--queue", "slow"])?;
    browser.click("Resume queue slow").await?;
    host.wait_until(waiting, |detail| detail.job.state == State::Succeeded)?;
    browser.close().await
}

#[tokio::test]
async fn a_job_is_run_by_a_form_made_from_its_schema_with_big_numbers_kept() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let browser = open(&host, "run?handler=faults/sleepy").await?;
    browser.types("#field-ms", "x").await?;
    browser.reads("expected a whole number").await?;
    browser.types("#field-ms", "9007199254740993").await?;
    browser
        .until("the number in the JSON", async || {
            let text = browser.run("return document.querySelector('.json-input').value").await?;
            Ok(text.as_str().is_some_and(|text| text.contains("\"ms\": 9007199254740993")).then_some(()))
        })
        .await?;
    browser.click("Enqueue").await?;
    browser.sees(".made a").await?.click().await?;
    browser.reads("9007199254740993").await?;
    let all = host.all_jobs()?;
    assert_eq!(all.len(), 1);
    assert_eq!(host.show(Job(all[0].id))?.payload.as_str().replace([' ', '\n'], ""), r#"{"ms":9007199254740993}"#);
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_payload_is_edited_and_run_again() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = failed_job(&host)?;
    let browser = open(&host, &format!("jobs/{}", job.0)).await?;
    browser.click("Edit and run again").await?;
    browser
        .until("the job's payload in the form", async || {
            let typed = browser.run("return document.querySelector('#field-succeed_on')?.value").await?;
            Ok((typed == "2").then_some(()))
        })
        .await?;
    browser.types("#field-succeed_on", "1").await?;
    browser.click("Enqueue").await?;
    browser.sees(".made a").await?.click().await?;
    browser.sees(".head .state-succeeded").await?;
    browser.close().await
}

#[tokio::test]
async fn a_component_is_deployed_by_its_file_and_a_bad_one_is_refused_with_the_reason() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let browser = open(&host, "modules").await?;
    browser.reads("No module is deployed").await?;
    let field = |file: &std::path::Path| {
        let file = file.to_string_lossy().into_owned();
        let browser = &browser;
        async move {
            // It is hidden behind its label, and takes a file all the same.
            browser.attach("input[type=file]", &file).await
        }
    };
    field(&component("faults")?).await?;
    browser.reads("is deployed and active").await?;
    browser.reads("flaky").await?;
    let broken = site.path("broken.wasm");
    fs::write(&broken, b"\0asm\x0d\0\x01\0nonsense")?;
    field(&broken).await?;
    browser.reads("broken.wasm was not deployed.").await?;
    field(&guest("no_exports")?).await?;
    browser.reads("no_exports.wasm was not deployed.").await?;
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_version_that_would_break_something_is_refused_and_taken_when_somebody_insists() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let before = host.deploy("images", &component("faults")?)?.version.digest;
    host.enqueue("images/noop", &json!(null), &["--delay", "1h"])?;
    let browser = open(&host, "modules").await?;
    browser.sees(".handlers").await?;
    browser.attach("input[type=file]", &component("images")?.to_string_lossy()).await?;
    browser.reads("images.wasm was not deployed.").await?;
    browser.reads("`noop` is gone").await?;
    browser.click("Deploy all the same").await?;
    browser.reads("is deployed and active").await?;
    let after = host.json::<ModuleView>(&["modules", "show", "images"])?;
    let after = after.versions.iter().find(|version| version.active).context("no active version")?.digest;
    ensure!(after != before, "the version before is active still");
    browser.open_page("modules/images").await?;
    // Back, which breaks nothing, and forth again.
    for (digest, would_break) in [(before, false), (after, true)] {
        browser.click(&format!("Activate version {}", digest.short())).await?;
        browser.reads("Activate this version?").await?;
        browser.click("Activate").await?;
        if would_break {
            browser.reads("Activate it all the same?").await?;
            browser.click("Activate all the same").await?;
        }
        browser.reads(&format!("Version {} of images is active.", digest.short())).await?;
    }
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_canary_is_begun_given_a_larger_share_dropped_and_promoted_and_what_was_before_it_retired() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let before = host.deploy("images", &component("faults")?)?.version.digest.short();
    let file = component("images")?.to_string_lossy().into_owned();
    let after = host.json::<Deployed>(&["deploy", &file, "--name", "images", "--no-activate"])?.version.digest.short();
    let browser = open(&host, "modules/images").await?;
    let share = async |percent: &str| -> Result<()> {
        browser.sees("#canary-share").await?.clear().await?;
        browser.types("#canary-share", percent).await?;
        browser.click("Begin the canary").await
    };
    browser.click(&format!("Try version {after} as a canary")).await?;
    share("0").await?;
    browser.reads("Expected a whole number of percent, from 1 to 100.").await?;
    share("25").await?;
    browser.reads(&format!("25 % of the new jobs of images go to version {after}.")).await?;
    browser.reads("canary, 25 %").await?;
    browser.is_content().await?;
    browser.click(&format!("Change the share of version {after}")).await?;
    share("50").await?;
    browser.reads("canary, 50 %").await?;
    browser.click(&format!("Drop version {after}")).await?;
    browser.reads("Drop the canary?").await?;
    browser.click("Drop").await?;
    browser.reads(&format!("Version {after} of images is no canary any more")).await?;
    browser.loses("canary, 50 %").await?;

    browser.click(&format!("Try version {after} as a canary")).await?;
    share("10").await?;
    browser.click(&format!("Promote version {after}")).await?;
    browser.reads("Promote the canary?").await?;
    browser.click("Promote").await?;
    browser.reads(&format!("Version {after} of images is active.")).await?;
    browser.click(&format!("Retire version {before}")).await?;
    browser.reads("Retire this version?").await?;
    browser.click("Retire").await?;
    browser.reads(&format!("Version {before} of images is retired; no job waited to go on with it.")).await?;
    let module = host.json::<ModuleView>(&["modules", "show", "images"])?;
    let active = module.versions.iter().find(|version| version.active).context("no active version")?;
    ensure!(active.digest.short() == after, "another version is active");
    ensure!(module.versions.iter().any(|version| version.retired_at.is_some()), "nothing is retired");
    browser.close().await
}

#[tokio::test]
async fn a_signed_component_is_dropped_with_its_signature() -> Result<()> {
    let pair = KeyPair::generate_unencrypted_keypair()?;
    let site = Site::new()?;
    let config = site.write("windlass.toml", format!("[signatures]\ntrusted = [\"{}\"]\n", pair.pk.to_base64()))?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let file = component("images")?;
    let signature = minisign::sign(None, &pair.sk, fs::File::open(&file)?, None, None)?.into_string();
    let signature = site.write("images.wasm.minisig", &signature)?;
    let browser = open(&host, "modules").await?;
    browser.attach("input[type=file]", &file.to_string_lossy()).await?;
    browser.reads("without a signature").await?;
    browser.attach("input[type=file]", &format!("{}\n{}", signature.display(), file.display())).await?;
    browser.reads("is deployed and active").await?;
    browser.close().await
}

#[tokio::test]
async fn what_is_typed_and_asked_about_a_version_outlives_what_others_deploy_meanwhile() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("images", &component("faults")?)?;
    let beside = |file: std::path::PathBuf| {
        let file = file.to_string_lossy().into_owned();
        host.json::<Deployed>(&["deploy", &file, "--name", "images", "--no-activate"])
    };
    let version = beside(component("images")?)?.version.digest.short();
    let browser = open(&host, "modules/images").await?;
    browser.click(&format!("Try version {version} as a canary")).await?;
    browser.types("#canary-share", "25").await?;
    browser.click(&format!("Activate version {version}")).await?;
    browser.reads("Activate this version?").await?;
    beside(guest("mixed")?)?;
    browser.reads("3 versions").await?;
    let typed = browser.run("return document.querySelector('#canary-share').value").await?;
    ensure!(typed == json!("25"), "the share is {typed} by now");
    browser.click("Activate").await?;
    browser.reads(&format!("Version {version} of images is active.")).await?;
    // It cannot be the canary any more.
    browser.loses("Percent of the new jobs").await?;
    browser.is_content().await?;
    browser.close().await
}
