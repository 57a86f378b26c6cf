//! Several hosts of one storage: whichever serves the dashboard, it shows what happens on all of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_api::State;
use windlass_browser_tests::Browser;
use windlass_tests::{
    Job, Site,
    chaos::{Kind, Store},
    component,
};

/// A job that runs on one host, seen from the page that another host serves.
async fn is_followed_elsewhere(kind: Kind) -> Result<()> {
    let site = Site::new()?;
    let store = Store::start(kind)?;
    let storage = &store.url().context("a storage for several hosts")?;
    let works = site.start_on(storage, &[])?;
    works.deploy("faults", &component("faults")?)?;
    let job = works.enqueue("faults/sleepy", &json!({ "ms": 600_000 }), &[])?;
    works.wait_until(job, |detail| detail.job.state == State::Processing)?;
    // Started afterwards, so that the job is the other one's.
    let shows = site.start_on(storage, &[])?;
    let browser = Browser::open(&format!("http://{}/", shows.address())).await?;
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.sees(".head .state-processing").await?;
    is_told(&browser).await?;
    // The page asks by itself every ten seconds: twice in a row that is no accident.
    change_is_seen(&browser, || works.json(&["jobs", "cancel", &job.0.to_string()]), ".head .state-deleted").await?;
    let next = works.enqueue("faults/sleepy", &json!({ "ms": 600_000 }), &["--delay", "1h"])?;
    browser.open_page(&format!("jobs/{}", next.0)).await?;
    browser.sees(".head .state-scheduled").await?;
    is_told(&browser).await?;
    change_is_seen(&browser, || works.json(&["jobs", "delete", &next.0.to_string()]), ".head .state-deleted").await?;
    // Its list follows too.
    browser.open_page("jobs").await?;
    is_told(&browser).await?;
    let listed = Instant::now();
    let other: Job = works.enqueue("faults/noop", &json!(null), &[])?;
    browser.sees(&format!("a[href='jobs/{}']", other.0)).await?;
    ensure!(listed.elapsed() < Duration::from_secs(8), "it took {:?}", listed.elapsed());
    browser.is_content().await?;
    browser.close().await
}

async fn is_told(browser: &Browser) -> Result<()> {
    let word = "return document.querySelector('button.live span:not(.dot)')?.innerText";
    let is_live = async || Ok((browser.run(word).await? == json!("Live")).then_some(()));
    browser.until("an open stream of events", is_live).await
}

async fn change_is_seen(
    browser: &Browser,
    change: impl FnOnce() -> Result<serde_json::Value>,
    sign: &str,
) -> Result<()> {
    let changed = Instant::now();
    change()?;
    browser.sees(sign).await?;
    ensure!(changed.elapsed() < Duration::from_secs(8), "it took {:?}", changed.elapsed());
    Ok(())
}

#[tokio::test]
async fn what_happens_on_one_host_shows_on_the_dashboard_of_another_on_redis() -> Result<()> {
    is_followed_elsewhere(Kind::Redis).await
}

#[tokio::test]
async fn what_happens_on_one_host_shows_on_the_dashboard_of_another_on_postgresql() -> Result<()> {
    is_followed_elsewhere(Kind::Postgres).await
}
