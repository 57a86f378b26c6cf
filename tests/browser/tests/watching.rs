//! Watching: pages follow by themselves, say when the host is lost, and keep still under somebody's hands.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::State;
use windlass_browser_tests::{Browser, Proxy};
use windlass_tests::{Site, component};

#[tokio::test]
async fn the_list_follows_by_itself_and_keeps_still_under_the_pointer() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("jobs").await?;
    browser.reads("There are no jobs yet").await?;
    let first = host.enqueue("faults/noop", &json!(null), &[])?;
    browser.sees(&format!("a[href='jobs/{}']", first.0)).await?;
    browser.reads("succeeded").await?;
    browser.run("document.querySelector('.list-card').dispatchEvent(new PointerEvent('pointerenter'))").await?;
    let second = host.enqueue("faults/noop", &json!(null), &[])?;
    browser.reads("Show 1 newer job").await?;
    let links = browser.run("return document.querySelectorAll('.jobs tbody tr').length").await?;
    assert_eq!(links, json!(1));
    browser.click("Show 1 newer job").await?;
    browser.sees(&format!("a[href='jobs/{}']", second.0)).await?;
    browser.is_content().await?;
    browser.close().await
}

/// Waits until the host tells by itself what has changed, so that the page does not ask.
async fn is_told(browser: &Browser) -> Result<()> {
    let word = "return document.querySelector('button.live span:not(.dot)')?.innerText";
    let is_live = async || Ok((browser.run(word).await? == json!("Live")).then_some(()));
    browser.until("an open stream of events", is_live).await
}

#[tokio::test]
async fn what_the_host_tells_shows_at_once_without_being_asked_for() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("jobs").await?;
    is_told(&browser).await?;
    // The page asks by itself every ten seconds: three times in a row that is no accident.
    for _ in 0..3 {
        let enqueued = Instant::now();
        let job = host.enqueue("faults/noop", &json!(null), &[])?;
        browser.sees(&format!("a[href='jobs/{}']", job.0)).await?;
        ensure!(enqueued.elapsed() < Duration::from_secs(5), "it took {:?}", enqueued.elapsed());
    }
    // The page of a job has the host watch that job.
    let job = host.enqueue("faults/sleepy", &json!({ "ms": 600_000 }), &[])?;
    host.wait_until(job, |detail| detail.job.state == State::Processing)?;
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.sees(".head .state-processing").await?;
    is_told(&browser).await?;
    let cancelled = Instant::now();
    host.json::<serde_json::Value>(&["jobs", "cancel", &job.0.to_string()])?;
    browser.sees(".head .state-deleted").await?;
    ensure!(cancelled.elapsed() < Duration::from_secs(6), "it took {:?}", cancelled.elapsed());
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn following_can_be_paused_and_resumed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("jobs").await?;
    browser.reads("There are no jobs yet").await?;
    browser.sees("button.live").await?.click().await?;
    browser.sees("button.live.paused").await?;
    let job = host.enqueue("faults/sleepy", &json!({ "ms": 2_000 }), &[])?;
    // Two seconds in which a page that follows would have asked twice.
    host.wait_until(job, |detail| detail.job.state == State::Succeeded)?;
    browser.reads("There are no jobs yet").await?;
    browser.sees("button.live").await?.click().await?;
    browser.sees(&format!("a[href='jobs/{}']", job.0)).await?;
    browser.close().await
}

#[tokio::test]
async fn a_lost_host_is_told_and_its_return_too() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let proxy = Proxy::start("", host.address()).await?;
    let browser = Browser::open(&proxy.base()).await?;
    browser.open_page("servers").await?;
    browser.sees(".table").await?;
    is_told(&browser).await?;
    host.kill()?;
    browser.reads("The host does not answer.").await?;
    browser.sees(".table").await?;
    let host = site.start(&[])?;
    proxy.leads_to(host.address());
    browser.loses("The host does not answer.").await?;
    browser.reads("Connected again.").await?;
    // The proxy's refusal has ended the stream for the browser: the page asks for another one.
    is_told(&browser).await?;
    browser.close().await
}

#[tokio::test]
async fn the_page_of_a_job_follows_it_to_its_end() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let retry = ["--retry", "fixed:500ms", "--max-attempts", "5"];
    let job = host.enqueue("faults/flaky", &json!({ "succeed_on": 3 }), &retry)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.reads("attempt 3").await?;
    browser.sees(".head .state-succeeded").await?;
    browser.reads("3 of 5").await?;
    browser.is_content().await?;
    browser.close().await
}
