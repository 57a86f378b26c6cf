//! Recurring jobs: put in place, changed, paused, run at once and removed; what is wrong is told where it stands.

use anyhow::{Result, ensure};
use serde_json::Value;
use windlass_api::{Misfire, RecurringJob, State};
use windlass_browser_tests::Browser;
use windlass_tests::{Host, Site, component};

async fn open(host: &Host<'_>, page: &str) -> Result<Browser> {
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page(page).await?;
    Ok(browser)
}

fn there(host: &Host<'_>, name: &str) -> Result<RecurringJob> {
    host.json(&["recurring", "show", name])
}

#[tokio::test]
async fn a_recurring_job_is_added_with_what_is_wrong_told_at_its_field_and_then_changed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let browser = open(&host, "recurring").await?;
    browser.click("Add one").await?;
    let (name, schedule, zone) =
        ("input[placeholder='nightly-report']", "input[placeholder='30 2 * * mon-fri']", "input[list=zones]");
    browser.chooses(".chooser select", "faults/sleepy").await?;
    browser.types("#field-ms", "5").await?;
    browser.types(name, "not a name").await?;
    browser.types(schedule, "61 2 * * *").await?;
    browser.click("Add").await?;
    browser.sees("#fault-name").await?;
    browser.types(name, "nightly").await?;
    browser.click("Add").await?;
    let told = browser.sees("#fault-schedule").await?.text().await?;
    ensure!(told.contains("61"), "{told}");
    browser.types(schedule, "30 2 * * mon-fri").await?;
    browser.types(zone, "Mars/Olympus").await?;
    browser.click("Add").await?;
    let told = browser.sees("#fault-time-zone").await?.text().await?;
    ensure!(told.contains("Mars/Olympus"), "{told}");
    browser.types(zone, "Asia/Kathmandu").await?;
    browser.chooses(".schedule-fields select", "catch-up").await?;
    browser.types("input[placeholder='100']", "5").await?;
    browser.click("Add").await?;
    browser.sees(".next-runs").await?;
    assert_eq!(browser.path().await?, "recurring/nightly");
    let put = there(&host, "nightly")?;
    assert_eq!(put.request.schedule, "30 2 * * mon-fri");
    assert_eq!(put.request.time_zone.as_deref(), Some("Asia/Kathmandu"));
    assert_eq!((put.request.misfire, put.request.catch_up_limit), (Misfire::CatchUp, Some(5)));
    assert_eq!(put.request.job.payload.as_str().replace([' ', '\n'], ""), r#"{"ms":5}"#);
    // By the clock of Kathmandu it is half past two, whatever it is here.
    let runs = browser.sees(".next-runs").await?.text().await?;
    assert_eq!(runs.matches("02:30").count(), 5, "{runs}");
    // Another one of this name is not overwritten by accident; this one is changed on its page.
    browser.click("Change it").await?;
    browser.types(schedule, "every 90m").await?;
    browser.click("Save").await?;
    browser.reads("nightly is in place.").await?;
    let changed = there(&host, "nightly")?;
    assert_eq!(changed.request.schedule, "every 90m");
    assert_eq!(changed.request.job, put.request.job);
    browser.open_page("new-recurring").await?;
    browser.types(name, "nightly").await?;
    browser.types(schedule, "@daily").await?;
    browser.chooses(".chooser select", "faults/noop").await?;
    browser.click("Add").await?;
    browser.reads("There is a recurring job nightly already").await?;
    assert_eq!(there(&host, "nightly")?.request, changed.request);
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_recurring_job_is_paused_resumed_run_at_once_removed_and_put_back() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    host.json::<Value>(&["recurring", "put", "yearly", "@yearly", "faults/noop"])?;
    let browser = open(&host, "recurring").await?;
    browser.click("Pause yearly").await?;
    browser.reads("yearly is paused").await?;
    ensure!(there(&host, "yearly")?.paused, "it is not paused");
    browser.click("Resume yearly").await?;
    browser.reads("yearly goes on with its next time.").await?;
    ensure!(!there(&host, "yearly")?.paused, "it is paused still");
    browser.reads("not yet").await?;
    browser.click("Run now: yearly").await?;
    browser.click("Show the job").await?;
    browser.sees(".head .state-succeeded").await?;
    // The list leads to it as well.
    browser.open_page("recurring").await?;
    browser.sees("td[data-label=Last] a .state-succeeded").await?;
    browser.click("Remove yearly").await?;
    browser.reads("Remove yearly?").await?;
    browser.click("Remove it").await?;
    browser.reads("There are no recurring jobs").await?;
    browser.click("Put it back").await?;
    browser.reads("yearly is back").await?;
    there(&host, "yearly")?;
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn what_a_recurring_job_could_not_do_is_told_on_the_overview_and_its_page() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("changing", &component("faults")?)?;
    host.json::<Value>(&["recurring", "put", "tick", "every 1s", "changing/noop"])?;
    host.until("a job of it", || Ok(host.all_jobs()?.into_iter().find(|job| job.state == State::Succeeded)))?;
    // Its handler goes.
    let images = component("images")?.to_string_lossy().into_owned();
    host.json::<Value>(&["deploy", &images, "--name", "changing", "--force"])?;
    host.until("a refusal", || Ok(there(&host, "tick")?.last.and_then(|last| last.refused)))?;
    let browser = open(&host, "").await?;
    browser.sees(".matters a[href='recurring/tick']").await?.click().await?;
    browser.reads("nothing was enqueued").await?;
    assert_eq!(browser.path().await?, "recurring/tick");
    browser.close().await
}
