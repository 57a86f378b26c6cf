//! Behind a reverse proxy that puts the host under a path of its own: everything is found relative to that path.

use anyhow::Result;
use serde_json::json;
use windlass_api::State;
use windlass_browser_tests::{Browser, Proxy};
use windlass_tests::{Site, component};

#[tokio::test]
async fn the_dashboard_works_under_a_path_of_a_reverse_proxy() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/flaky", &json!({ "succeed_on": 2 }), &["--max-attempts", "1"])?;
    host.wait_until(job, |detail| detail.job.state == State::Failed)?;
    let proxy = Proxy::start("/tools/windlass", host.address()).await?;
    let browser = Browser::open(&proxy.base()).await?;
    browser.open_page("").await?;
    browser.sees(".tiles").await?;
    browser.click("Jobs").await?;
    browser.sees(&format!("a[href='jobs/{}']", job.0)).await?.click().await?;
    browser.reads("failed on purpose").await?;
    assert_eq!(browser.path().await?, format!("jobs/{}", job.0));
    // Loaded there, two folders deep, it finds its files, the API and the way back as well.
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.click("Retry").await?;
    browser.reads("The job is enqueued again.").await?;
    browser.reads("run 2").await?;
    browser.sees("a[href='modules']").await?.click().await?;
    browser.attach("input[type=file]", &component("images")?.to_string_lossy()).await?;
    browser.reads("is deployed and active").await?;
    assert_eq!(browser.path().await?, "modules");
    browser.presses("\u{e00c}").await?;
    browser.run("document.activeElement.blur()").await?;
    browser.presses("go").await?;
    browser.sees(".tiles").await?;
    assert_eq!(browser.path().await?, "");
    browser.is_content().await?;
    browser.close().await
}
