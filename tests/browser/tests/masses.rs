//! Much at once: whole filters that are acted upon, long logs, large payloads.

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::State;
use windlass_browser_tests::Browser;
use windlass_tests::{Host, Site, component};

const MANY: usize = 300;

/// So many that the host is at it for some seconds.
const STOPPED: usize = 5_000;

fn all_are(host: &Host<'_>, state: State) -> Result<()> {
    host.until(&format!("all jobs {state}"), || {
        let jobs = host.all_jobs()?;
        Ok((jobs.len() == MANY && jobs.iter().all(|job| job.state == state)).then_some(()))
    })
}

async fn select_whole_filter(browser: &Browser, many: &str) -> Result<()> {
    browser.sees("input[aria-label='Select all shown']").await?.click().await?;
    browser.reads("50 jobs selected").await?;
    browser.click(&format!("Select {many} jobs of this filter")).await?;
    browser.reads(&format!("{many} jobs of this filter selected")).await
}

#[tokio::test]
async fn all_failed_jobs_of_a_filter_are_deleted_and_run_again_at_once() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let request =
        json!({ "handler": "faults/flaky", "payload": { "succeed_on": 9 }, "max_attempts": 1, "tags": ["mass"] });
    host.enqueue_all(vec![request; MANY])?;
    all_are(&host, State::Failed)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("jobs?state=failed&tag=mass").await?;
    select_whole_filter(&browser, "300").await?;
    browser.click(&format!("Delete {MANY}")).await?;
    browser.reads("This is about every job of the filter").await?;
    browser.click(&format!("Delete {MANY} jobs")).await?;
    browser.reads(&format!("{MANY} jobs deleted.")).await?;
    all_are(&host, State::Deleted)?;
    browser.reads("No job passes this filter").await?;
    browser.open_page("jobs?state=deleted&tag=mass").await?;
    select_whole_filter(&browser, "300").await?;
    browser.click(&format!("Run again {MANY}")).await?;
    browser.reads("They run again on the version that they started with.").await?;
    browser.click(&format!("Enqueue {MANY} jobs")).await?;
    browser.reads(&format!("{MANY} jobs enqueued again.")).await?;
    all_are(&host, State::Failed)?;
    // Nothing is done to all jobs that there are by a click.
    browser.open_page("jobs").await?;
    browser.sees("input[aria-label='Select all shown']").await?.click().await?;
    browser.reads("50 jobs selected").await?;
    ensure!(!browser.text().await?.contains("of this filter"), "all jobs can be selected");
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn what_the_host_does_to_a_filter_goes_on_without_the_page_and_is_stopped_by_a_click() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let request = json!({ "handler": "faults/noop", "delay_ms": 86_400_000, "tags": ["mass"] });
    host.enqueue_all(vec![request; STOPPED])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("jobs?state=scheduled&tag=mass").await?;
    select_whole_filter(&browser, "5,000").await?;
    browser.click("Delete 5,000").await?;
    browser.click("Delete 5,000 jobs").await?;
    browser.reads("of 5,000 jobs …").await?;
    // Loaded anew, the page finds it.
    browser.open_page("jobs").await?;
    browser.reads("of 5,000 jobs …").await?;
    browser.click("Stop").await?;
    browser.reads("Stopped after").await?;
    browser.loses("of 5,000 jobs …").await?;
    let left = host.all_jobs()?.iter().filter(|job| job.state == State::Scheduled).count();
    ensure!(left > 0 && left < STOPPED, "{left} jobs are left of {STOPPED}");
    browser.is_content().await?;
    browser.close().await
}

/// Answers with five megabytes of payload and ten thousand lines of logs, as no job of a host with the usual limits has.
const HUGE: &str = "const real = window.fetch; window.fetch = async (url, init) => { \
    const at = new URL(url); \
    if (/jobs\\/[0-9a-f-]+$/.test(at.pathname)) { \
      const detail = await (await real(url, init)).json(); \
      detail.payload = Array.from({ length: 160000 }, (_, number) => ({ number, name: 'some text' })); \
      return new Response(JSON.stringify(detail)); \
    } \
    if (at.pathname.endsWith('/logs')) { \
      const from = Number(at.searchParams.get('cursor') ?? 0); \
      const items = Array.from({ length: 1000 }, (_, number) => \
        ({ run: 1, at: '2026-11-23T15:49:53.120Z', level: 'info', message: `line ${from + number}` })); \
      return new Response(JSON.stringify(from < 9000 ? { items, next: String(from + 1000) } : { items })); \
    } \
    return real(url, init); }";

#[tokio::test]
async fn ten_thousand_log_lines_and_five_megabytes_of_payload_do_not_freeze_the_page() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/noop", &json!(null), &[])?;
    host.wait_until(job, |detail| detail.job.state == State::Succeeded)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": HUGE })).await?;
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.reads("10,000 lines").await?;
    browser.reads("Show 640,002 lines").await?;
    let drawn = browser.run("return document.querySelectorAll('*').length").await?.as_u64();
    ensure!(drawn.is_some_and(|drawn| drawn < 2_000), "{drawn:?} elements are drawn");
    // From the first line to the last, with what is seen drawn, in a moment.
    let script = "const done = arguments[arguments.length - 1], began = performance.now(); \
                  for (const frame of document.querySelectorAll('.log-frame, .code-frame')) frame.scrollTop = frame.scrollHeight; \
                  const look = () => document.body.innerText.includes('line 9999') && document.body.innerText.includes('159999') ? \
                  done(performance.now() - began) : requestAnimationFrame(look); look()";
    let took = browser.run_until_called(script).await?.as_f64();
    ensure!(took.is_some_and(|took| took < 2_000.0), "scrolling to the end took {took:?} ms");
    browser.is_content().await?;
    browser.close().await
}
