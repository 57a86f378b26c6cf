//! What comes from others is shown and never obeyed; nonsense is told and never blank.

use anyhow::Result;
use serde_json::json;
use windlass_browser_tests::Browser;
use windlass_tests::{Site, component};

#[tokio::test]
async fn hostile_names_and_payloads_are_shown_as_text() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let hostile = "<img src=x onerror=\"document.title='owned'\">\u{202e}\u{1b}[31m";
    let jobs = host.enqueue_all([json!({
        "handler": "faults/noop",
        "payload": { "hostile": hostile, "long": "x".repeat(100_000), "list": (0..5_000).collect::<Vec<_>>() },
        "tags": ["<b>bold</b>", "\u{202e}evil"],
    })])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    for page in ["jobs".to_owned(), format!("jobs/{}", jobs[0].0), format!("run?from={}", jobs[0].0)] {
        browser.open_page(&page).await?;
        browser.sees("h1").await?;
    }
    browser.open_page(&format!("jobs/{}", jobs[0].0)).await?;
    browser.reads("<b>bold</b>").await?;
    browser.reads("⟨U+202E⟩evil").await?;
    browser.reads("<img src=x").await?;
    browser.reads("Show 5,006 lines").await?;
    let found = browser.run("return [document.querySelectorAll('img, main b').length, document.querySelectorAll('.code-line').length < 200, document.title]").await?;
    assert_eq!(found, json!([0, true, "faults/noop · Windlass"]));
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn nonsense_in_an_address_is_told() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("jobs?state=burning&queue=a%2Fb&cursor=nonsense").await?;
    browser.reads("`burning` is not one of").await?;
    browser.open_page("jobs/nonsense").await?;
    browser.reads("There can be no such job").await?;
    browser.open_page("jobs/0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55").await?;
    browser.reads("There is no such job").await?;
    browser.open_page("modules/nothing").await?;
    browser.reads("There is no such module").await?;
    browser.open_page("no/such/page").await?;
    browser.reads("There is no page at this address").await?;
    browser.click("To the overview").await?;
    browser.sees(".tiles").await?;
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    // As a host of another version might answer.
    let script = "const real = window.fetch; window.fetch = (url, init) => String(url).includes('/api/v1/queues') ? \
                  Promise.resolve(new Response('[{\"label\":1}]', { status: 200 })) : real(url, init)";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await?;
    browser.open_page("queues").await?;
    browser.reads("if it was upgraded, reload this page").await?;
    browser.close().await
}
