//! The audit log as its page shows it, of what was really done: who did what, page by page, and to nobody below the role.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::Role;
use windlass_browser_tests::{Browser, Tokens};
use windlass_tests::{Host, Site};

/// More than a page of the log shows.
const MANY: usize = 130;

fn ask(host: &Host<'_>, token: &str, path: &str) -> Result<u16> {
    Ok(host.ask("POST", path, &[("Authorization", &format!("Bearer {token}"))], "")?.status)
}

async fn rows(browser: &Browser) -> Result<Value> {
    browser.run("return [...document.querySelectorAll('.audit tbody tr')].map((row) => row.innerText)").await
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
    let newest: Vec<&str> = newest.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(newest.len() == 100, "{} entries are shown", newest.len());
    for part in ["token the-viewer", "viewer", "POST /api/v1/queues/{name}/pause", "forbidden", "403", "127.0.0.1"] {
        ensure!(newest[0].contains(part), "`{part}` is not in `{}`", newest[0]);
    }
    ensure!(newest[1].contains("the-operator") && newest[1].contains("line-129"), "{}", newest[1]);
    browser.click("Older").await?;
    browser.reads("line-0").await?;
    let older = rows(&browser).await?;
    let older: Vec<&str> = older.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(older.len() == MANY + 1 - 100, "{} entries are left", older.len());
    ensure!(older.iter().all(|row| !newest.contains(row)), "an entry is on both pages");
    ensure!(browser.path().await?.starts_with("audit?cursor="), "{}", browser.path().await?);
    browser.click("Newest").await?;
    browser.reads("forbidden").await?;
    browser.is_content().await?;
    browser.close().await
}
