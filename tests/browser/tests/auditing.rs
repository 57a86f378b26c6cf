//! The audit log as its page shows it, of what was really done: who did what, page by page, and to nobody below the role.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_api::Role;
use windlass_browser_tests::{Browser, Tokens};
use windlass_tests::{Host, Site};

/// More than a page of the log shows.
const MANY: usize = 130;

fn ask(host: &Host<'_>, token: &str, path: &str) -> Result<u16> {
    let bearer = format!("Bearer {token}");
    Ok(host.ask("POST", path, &[("Authorization", bearer.as_str())], "")?.status)
}

/// The rows of the page, newest first.
async fn rows(browser: &Browser) -> Result<Vec<String>> {
    let script = "return [...document.querySelectorAll('.audit tbody tr')].map((row) => row.innerText)";
    Ok(serde_json::from_value(browser.run(script).await?)?)
}

#[tokio::test]
async fn an_admin_reads_who_did_what_page_by_page_and_nobody_else_does() -> Result<()> {
    let site = Site::new()?;
    let tokens = Tokens::new(&site)?;
    let host = site.start(&["--config", &tokens.config])?;
    for number in 0..MANY {
        let status = ask(&host, tokens.of(Role::Operator)?, &format!("/api/v1/queues/line-{number}/pause"))?;
        ensure!(status == 200, "pausing a queue gives {status}");
    }
    let refused = ask(&host, tokens.of(Role::Viewer)?, "/api/v1/queues/forbidden/pause")?;
    ensure!(refused == 403, "a viewer pauses a queue: {refused}");
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("audit").await?;
    browser.types("#token", tokens.of(Role::Deployer)?).await?;
    browser.click("Sign in").await?;
    browser.reads("The audit log could not be loaded").await?;
    browser.reads("has the role deployer, and this takes admin").await?;
    let is_offered = "return document.querySelector(\"nav a[href='audit']\").offsetParent !== null";
    assert_eq!(browser.run(is_offered).await?, json!(false));
    browser.click("Sign out").await?;
    browser.types("#token", tokens.of(Role::Admin)?).await?;
    browser.click("Sign in").await?;
    // What was done is kept a moment after it was answered.
    browser.reads("forbidden").await?;
    assert_eq!(browser.run(is_offered).await?, json!(true));
    let newest = rows(&browser).await?;
    ensure!(newest.len() == 100, "{} entries are shown", newest.len());
    let refusal = newest.iter().find(|row| row.contains("forbidden")).context("the refusal is not there")?;
    for part in ["token the-viewer", "POST /api/v1/queues/{name}/pause", "403", "127.0.0.1"] {
        ensure!(refusal.contains(part), "`{part}` is not in `{refusal}`");
    }
    ensure!(newest.iter().any(|row| row.contains("the-operator") && row.contains("line-129")), "{newest:?}");
    browser.click("Older").await?;
    browser.reads("line-0").await?;
    let older = rows(&browser).await?;
    // Those who sign in and out may stand there as well.
    let pauses = newest.iter().chain(&older).filter(|row| row.contains("/pause")).count();
    ensure!(pauses == MANY + 1, "{pauses} of {} entries are on the two pages", MANY + 1);
    ensure!(browser.path().await?.starts_with("audit?cursor="), "{}", browser.path().await?);
    browser.click("Newest").await?;
    browser.reads("forbidden").await?;
    browser.is_content().await?;
    browser.close().await
}
