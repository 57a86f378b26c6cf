//! The first load: what a browser fetches before a page is there.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_browser_tests::Browser;
use windlass_tests::{Site, component};

/// The first load of any page takes no more, compressed, whatever it asks of the API included.
const MOST_BYTES: u64 = 300_000;

#[tokio::test]
async fn the_first_load_of_every_page_is_at_most_300_kilobytes() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/noop", &json!(null), &[])?;
    host.json::<Value>(&["recurring", "put", "yearly", "@yearly", "faults/noop"])?;
    let pages = [
        (String::new(), ".tiles"),
        ("jobs".to_owned(), ".jobs tbody tr"),
        (format!("jobs/{}", job.0), ".timeline"),
        (format!("flow/{}", job.0), "h1"),
        ("run".to_owned(), ".chooser"),
        ("run?handler=faults/sleepy".to_owned(), ".json-input"),
        ("queues".to_owned(), "h1"),
        ("recurring".to_owned(), ".recurring tbody tr"),
        ("recurring/yearly".to_owned(), ".next-runs"),
        ("new-recurring".to_owned(), ".schedule-fields"),
        ("modules".to_owned(), ".handlers"),
        ("modules/faults".to_owned(), ".table"),
        ("servers".to_owned(), ".table"),
        ("audit".to_owned(), "h1"),
        ("settings".to_owned(), ".choices"),
    ];
    let mut faults = Vec::new();
    for (path, sign) in pages {
        // Another window each time, which has nothing of before.
        let browser = Browser::open(&format!("http://{}/", host.address())).await?;
        browser.open_page(&path).await?;
        browser.sees(sign).await?;
        let script = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]\
                      .map((entry) => [entry.name, entry.encodedBodySize])";
        let fetched: Vec<(String, u64)> = serde_json::from_value(browser.run(script).await?)?;
        let bytes: u64 = fetched.iter().map(|(_, bytes)| bytes).sum();
        println!("the first load of /{path} took {bytes} bytes in {} requests", fetched.len());
        ensure!(fetched.iter().any(|(name, bytes)| name.ends_with(".wasm") && *bytes > 50_000), "{fetched:?}");
        if bytes > MOST_BYTES {
            faults.push(format!("the first load of /{path} took {bytes} bytes: {fetched:#?}"));
        }
        browser.is_content().await?;
        browser.close().await?;
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_page_that_cannot_be_fetched_says_so_and_is_fetched_on_request() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    // What belongs to one page alone is not there, as on a host that was upgraded meanwhile.
    let script = "const real = window.fetch; window.fetch = (url, init) => window.isUpgraded && String(url).includes('/page-') ? \
                  Promise.resolve(new Response('', { status: 404 })) : real(url, init)";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await?;
    browser.open_page("").await?;
    browser.sees(".tiles").await?;
    browser.run("window.isUpgraded = true").await?;
    browser.sees("nav a[href$='servers']").await?.click().await?;
    browser.reads("This page could not be fetched").await?;
    browser.run("window.isUpgraded = false").await?;
    browser.click("Try again").await?;
    browser.sees(".table").await?;
    browser.close().await
}

#[tokio::test]
async fn what_is_fetched_may_be_kept_and_is_named_by_its_content() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let (status, page) = host.get("/")?;
    ensure!(status == 200, "{page}");
    let named: Vec<&str> = page.split('"').filter(|part| part.starts_with("assets/")).collect();
    ensure!(named.len() > 4, "{named:?}");
    let mut looked_at = 0;
    for name in named {
        // Of the module no text comes back, and so it is passed over.
        let Ok(answer) = host.ask("GET", &format!("/{name}"), &[("Accept-Encoding", "identity")], "") else { continue };
        let kept = answer.header("cache-control");
        ensure!(answer.status == 200 && kept.is_some_and(|kept| kept.contains("immutable")), "{name}: {answer:?}");
        looked_at += 1;
    }
    ensure!(looked_at > 3, "only {looked_at} files were looked at");
    let gone = host.ask("GET", "/assets/dashboard-0000000000000000.js", &[], "")?;
    let problem: Value = gone.json().context("no problem")?;
    ensure!(gone.status == 404 && problem["detail"].to_string().contains("reload"), "{problem}");
    Ok(())
}
