//! Signing in: who is asked, what is said when a session ends, and what each role is offered.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Role, Timestamp};
use windlass_browser_tests::{Browser, Tokens};
use windlass_tests::{Host, Site, component};

async fn open(host: &Host<'_>, page: &str) -> Result<Browser> {
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page(page).await?;
    Ok(browser)
}

async fn sign_in(browser: &Browser, token: &str) -> Result<()> {
    browser.types("#token", token).await?;
    browser.click("Sign in").await
}

fn deploy(host: &Host<'_>, tokens: &Tokens) -> Result<()> {
    let component = component("faults")?.to_string_lossy().into_owned();
    let deploy = ["deploy", component.as_str(), "--name", "faults", "--token", tokens.of(Role::Deployer)?];
    host.json::<Value>(&deploy).map(drop)
}

#[tokio::test]
async fn who_signs_in_goes_on_where_they_were_also_after_their_session_was_ended() -> Result<()> {
    let site = Site::new()?;
    let tokens = Tokens::new(&site)?;
    let host = site.start(&["--config", &tokens.config])?;
    deploy(&host, &tokens)?;
    let browser = open(&host, "run?handler=faults/sleepy").await?;
    browser.reads("This host asks for a token.").await?;
    sign_in(&browser, "wl_wrong").await?;
    browser.reads("does not know this token").await?;
    sign_in(&browser, tokens.of(Role::Operator)?).await?;
    browser.types("#field-ms", "1234").await?;
    assert_eq!(browser.path().await?, "run?handler=faults/sleepy");
    // As another window of the same browser does it.
    browser.run("return fetch('api/v1/session', { method: 'DELETE' }).then(() => null)").await?;
    browser.reads("The session of the-operator was ended").await?;
    sign_in(&browser, tokens.of(Role::Operator)?).await?;
    browser.sees("#field-ms").await?;
    assert_eq!(browser.run("return document.querySelector('#field-ms').value").await?, json!("1234"));
    browser.click("Sign out").await?;
    browser.reads("You are signed out.").await?;
    ensure!(!browser.text().await?.contains("the-operator"), "what was on the page is there still");
    // Somebody else does not find what was typed before.
    sign_in(&browser, tokens.of(Role::Admin)?).await?;
    browser.sees("#field-ms").await?;
    let typed = browser.run("return document.querySelector('#field-ms').value").await?;
    ensure!(typed != json!("1234"), "{typed}");
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_session_that_comes_to_its_time_says_so() -> Result<()> {
    let site = Site::new()?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let tokens = Tokens::until(&site, Some(Timestamp(now).plus_ms(25_000)))?;
    let host = site.start(&["--config", &tokens.config])?;
    let browser = open(&host, "servers").await?;
    sign_in(&browser, tokens.of(Role::Viewer)?).await?;
    browser.sees(".table").await?;
    browser.reads("The session of the-viewer has expired. Sign in again to go on where you were.").await?;
    sign_in(&browser, tokens.of(Role::Viewer)?).await?;
    browser.reads("or it has expired").await?;
    browser.close().await
}

#[tokio::test]
async fn who_tries_wrong_tokens_too_often_is_told_for_how_long_to_wait() -> Result<()> {
    let site = Site::new()?;
    let tokens = Tokens::new(&site)?;
    let host = site.start(&["--config", &tokens.config])?;
    for _ in 0..10 {
        let body = json!({ "token": "wl_wrong" }).to_string();
        ensure!(host.ask("POST", "/api/v1/session", &[], &body)?.status == 401, "a wrong token is let in");
    }
    let browser = open(&host, "").await?;
    sign_in(&browser, "wl_wrong").await?;
    browser.reads("there were too many wrong ones from your address").await?;
    browser.reads("try it in").await?;
    // A right one is taken all the same.
    sign_in(&browser, tokens.of(Role::Viewer)?).await?;
    browser.sees(".tiles").await?;
    browser.close().await
}

/// The page, what tells that it is there, what is offered on it, and to whom.
fn offers(job: &str) -> [(&str, &'static str, &'static str, Role); 9] {
    [
        ("jobs", "a[href^='jobs/0']", "input[aria-label='Select all shown']", Role::Operator),
        ("jobs", "a[href^='jobs/0']", ".head a[href='run']", Role::Operator),
        (job, ".timeline", ".buttons .danger", Role::Operator),
        ("queues", ".table", "button[aria-label='Resume queue slow']", Role::Operator),
        ("recurring", ".recurring tbody tr", "button[aria-label='Pause yearly']", Role::Operator),
        ("recurring/yearly", ".next-runs", "main .buttons .primary", Role::Operator),
        ("modules", ".handlers", ".drop", Role::Deployer),
        ("modules/faults", ".table", "a.nav-link[href='run']", Role::Operator),
        ("servers", ".table", "a.nav-link[href='audit']", Role::Admin),
    ]
}

async fn is_offered(browser: &Browser, offer: &str) -> Result<bool> {
    let script =
        format!("return [...document.querySelectorAll({})].some((found) => found.offsetParent !== null)", json!(offer));
    Ok(browser.run(&script).await? == json!(true))
}

#[tokio::test]
async fn a_read_only_host_offers_nothing_that_changes_anything_and_says_so() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/noop", &json!(null), &["--delay", "1h", "--queue", "slow"])?;
    host.json::<Value>(&["recurring", "put", "yearly", "@yearly", "faults/noop"])?;
    host.json::<Value>(&["queues", "pause", "slow"])?;
    host.stop()?;
    let host = site.start(&["--read-only"])?;
    let job = format!("jobs/{}", job.0);
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    for (page, sign, offer, lowest) in offers(&job) {
        browser.open_page(page).await?;
        browser.sees(sign).await?;
        browser.reads("This host is read-only").await?;
        // The audit log is only read.
        ensure!(is_offered(&browser, offer).await? == (lowest == Role::Admin), "{page} offers {offer}");
    }
    for (page, sign) in [("run?handler=faults/noop", ".empty"), ("new-recurring", ".crumbs"), ("queues", ".limits")] {
        browser.open_page(page).await?;
        browser.sees(sign).await?;
        browser.reads("This host is read-only").await?;
        ensure!(!is_offered(&browser, "main form, main button[type=submit]").await?, "{page} shows a form");
    }
    browser.open_page("jobs").await?;
    browser.sees("a[href^='jobs/0']").await?;
    browser.picture("read-only").await?;
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn each_role_is_offered_what_it_may_do_and_no_more() -> Result<()> {
    let site = Site::new()?;
    let tokens = Tokens::new(&site)?;
    let host = site.start(&["--config", &tokens.config])?;
    deploy(&host, &tokens)?;
    let enqueue = ["enqueue", "faults/noop", "null", "--delay", "1h", "--queue", "slow", "--token"];
    let job: windlass_api::Enqueued = host.json(&[&enqueue[..], &[tokens.of(Role::Operator)?]].concat())?;
    let put = ["recurring", "put", "yearly", "@yearly", "faults/noop", "--token", tokens.of(Role::Operator)?];
    host.json::<Value>(&put)?;
    host.json::<Value>(&["queues", "pause", "slow", "--token", tokens.of(Role::Operator)?])?;
    let browser = open(&host, "").await?;
    let job = format!("jobs/{}", job.id);
    for &role in Role::ALL {
        sign_in(&browser, tokens.of(role)?).await.with_context(|| format!("as {role}"))?;
        browser.reads(&format!("the-{role}")).await?;
        for (page, sign, offer, lowest) in offers(&job) {
            browser.open_page(page).await?;
            browser.sees(sign).await?;
            // The role is known by now: the navigation names it.
            browser.sees(".signed-in").await?;
            let is_offered = is_offered(&browser, offer).await?;
            ensure!(is_offered == (role >= lowest), "{page} offers {offer} to {role}: {is_offered}");
        }
        browser.click("Sign out").await?;
        browser.reads("You are signed out.").await?;
    }
    browser.is_content().await?;
    browser.close().await
}
