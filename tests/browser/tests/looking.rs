//! Every page, light and dark, wide and narrow: nothing that axe-core finds fault with, nothing wider than the window,
//! and a picture of each for people to look at, in `target/screenshots`.

use anyhow::Result;
use serde_json::{Value, json};
use windlass_api::{Role, State};
use windlass_browser_tests::{Browser, Look, Tokens, accessibility};
use windlass_tests::{Host, Job, Site, component};

fn busy(host: &Host<'_>) -> Result<(Job, Job)> {
    host.deploy("faults", &component("faults")?)?;
    host.deploy("images", &component("images")?)?;
    host.enqueue("faults/sleepy", &json!({ "ms": 600_000 }), &["--tag", "nightly"])?;
    host.enqueue("faults/noop", &json!(null), &["--delay", "1h", "--queue", "later"])?;
    host.enqueue("not/there", &json!({}), &["--wait-for-handler"])?;
    let failed = host.enqueue(
        "faults/endless",
        &json!(null),
        &["--timeout", "200ms", "--max-attempts", "1", "--tag", "customer-7"],
    )?;
    let retry = ["--retry", "fixed:200ms", "--max-attempts", "5"];
    let done = host.enqueue("faults/flaky", &json!({ "succeed_on": 3 }), &retry)?;
    for _ in 0..20 {
        host.enqueue("faults/noop_async", &json!({ "number": 1 }), &[])?;
    }
    let nightly = ["--time-zone", "Europe/Berlin", "--misfire", "catch-up"];
    put(host, "nightly-report", "30 2 * * mon-fri", "faults/noop", &nightly)?;
    put(host, "clean-up", "every 15m", "faults/noop_async", &["--misfire", "skip"])?;
    put(host, "each-second", "every 1s", "faults/noop", &[])?;
    put(host, "retired", "@yearly", "faults/noop", &["--time-zone", "America/New_York"])?;
    host.json::<Value>(&["recurring", "pause", "retired"])?;
    host.wait_until(failed, |detail| detail.job.state == State::Failed)?;
    host.wait_until(done, |detail| detail.job.state == State::Succeeded)?;
    Ok((failed, done))
}

fn put(host: &Host<'_>, name: &str, schedule: &str, handler: &str, options: &[&str]) -> Result<()> {
    host.json::<Value>(&[&["recurring", "put", name, schedule, handler], options].concat()).map(drop)
}

/// Takes a picture and gives what is wrong with the page.
async fn inspect(browser: &Browser, name: &str, look: Look) -> Result<Vec<String>> {
    browser.picture(&format!("{name}-{}", look.name())).await?;
    let (at, mut faults) = (format!("{name} ({})", look.name()), Vec::new());
    let over =
        browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
    if over.as_i64().is_none_or(|over| over > 0) {
        faults.push(format!("the page {at} is {over} pixels wider than its window"));
    }
    faults.extend(accessibility(browser, &at).await.err().map(|error| error.to_string()));
    Ok(faults)
}

#[tokio::test]
async fn every_page_is_fit_to_be_looked_at() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let (failed, done) = busy(&host)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    let pages = [
        ("overview", String::new(), ".tiles"),
        ("jobs", "jobs".to_owned(), ".jobs tbody tr"),
        ("jobs-failed", "jobs?state=failed&module=faults".to_owned(), ".jobs tbody tr"),
        ("jobs-none", "jobs?tag=none".to_owned(), ".empty"),
        ("job-failed", format!("jobs/{}", failed.0), ".timeline"),
        ("job-done", format!("jobs/{}", done.0), ".timeline"),
        ("job-gone", "jobs/0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55".to_owned(), ".failed"),
        ("job-flow", format!("flow/{}", done.0), ".flow-job, .failed"),
        ("run", "run?handler=images/thumbnail".to_owned(), ".fields"),
        ("queues", "queues".to_owned(), ".table"),
        ("recurring", "recurring".to_owned(), ".recurring tbody tr"),
        ("recurring-job", "recurring/nightly-report".to_owned(), ".next-runs"),
        ("recurring-new", "new-recurring".to_owned(), ".schedule-fields"),
        ("recurring-gone", "recurring/nothing".to_owned(), ".failed"),
        ("modules", "modules".to_owned(), ".handlers"),
        ("module", "modules/images".to_owned(), ".table"),
        ("servers", "servers".to_owned(), ".table"),
        ("audit", "audit".to_owned(), ".audit, .empty, .failed"),
        ("settings", "settings".to_owned(), ".choices"),
        ("nowhere", "no/such/page".to_owned(), ".empty"),
    ];
    let mut faults = Vec::new();
    for look in Look::ALL {
        browser.look(look).await?;
        for (name, path, sign) in &pages {
            browser.open_page(path).await?;
            browser.sees(sign).await?;
            faults.extend(inspect(&browser, name, look).await?);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn the_page_to_sign_in_is_fit_to_be_looked_at_and_so_is_what_a_viewer_sees() -> Result<()> {
    let site = Site::new()?;
    let tokens = Tokens::new(&site)?;
    let host = site.start(&["--config", &tokens.config])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    let mut faults = Vec::new();
    for look in Look::ALL {
        browser.look(look).await?;
        browser.open_page("jobs").await?;
        browser.types("#token", "wl_wrong").await?;
        browser.click("Sign in").await?;
        browser.reads("does not know this token").await?;
        faults.extend(inspect(&browser, "sign-in", look).await?);
    }
    browser.look(Look::Light).await?;
    browser.types("#token", tokens.of(Role::Viewer)?).await?;
    browser.click("Sign in").await?;
    for look in [Look::Light, Look::DarkPhone] {
        browser.look(look).await?;
        for page in ["settings", "modules", "run"] {
            browser.open_page(page).await?;
            browser.sees(".card, .empty").await?;
            faults.extend(inspect(&browser, &format!("viewer-{page}"), look).await?);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    browser.close().await
}

#[tokio::test]
async fn everything_can_be_reached_by_keys() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.open_page("").await?;
    browser.sees(".tiles").await?;
    browser.presses("gq").await?;
    browser.reads("No queue has anything in it").await?;
    assert_eq!(browser.path().await?, "queues");
    browser.presses("gj").await?;
    browser.sees("#find").await?;
    browser.presses("/").await?;
    assert_eq!(browser.run("return document.activeElement.id").await?, json!("find"));
    // Each thing that takes the focus shows it.
    let script = "const seen = []; for (const element of document.querySelectorAll('a, button, input, select, summary')) { \
                  if (element.offsetParent === null) continue; element.focus({ focusVisible: true }); \
                  const style = getComputedStyle(element); \
                  if (document.activeElement === element && style.outlineStyle === 'none' && !element.closest('.button:has(input)')) \
                  seen.push(element.outerHTML.slice(0, 120)); } return seen";
    assert_eq!(browser.run(script).await?, json!([]));
    browser.close().await
}
