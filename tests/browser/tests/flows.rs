//! What belongs to jobs that continue others, to limits and to the audit log. What the host would answer is made up here:
//! the pages are what is under test.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::State;
use windlass_browser_tests::{Browser, Look, accessibility};
use windlass_tests::{Host, Site, component};

/// Answers for a host: by the end of the path, and by the method where that matters. What is sent is kept in `window.sent`.
fn answers(answers: &Value) -> String {
    format!(
        "const real = window.fetch, answers = {answers}; window.sent = []; window.fetch = async (url, init) => {{ \
         const path = decodeURIComponent(new URL(url).pathname), method = init?.method ?? 'GET'; \
         const found = Object.entries(answers).find(([wanted]) => `${{method}} ${{path}}`.endsWith(wanted)); \
         if (!found) return real(url, init); \
         if (method !== 'GET') window.sent.push([method, path, init.body ? JSON.parse(init.body) : null]); \
         const [status, body] = found[1]; \
         return new Response(body === null ? null : JSON.stringify(body), {{ status }}); }}"
    )
}

async fn open(host: &Host<'_>, made_up: &Value, page: &str) -> Result<Browser> {
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": answers(made_up) })).await?;
    browser.open_page(page).await?;
    Ok(browser)
}

fn id(number: u32) -> String {
    format!("0199f3a8-7c00-7a3e-9c1d-{number:012}")
}

fn relative(number: u32, handler: &str, state: &str, on: &str, met: bool) -> Value {
    json!({ "id": id(number), "module": "orders", "handler": handler, "state": state, "on": on, "met": met })
}

/// Pictures in all looks, with what is wrong with the page in them.
async fn inspect(browser: &Browser, name: &str, sign: &str) -> Result<()> {
    let mut faults = Vec::new();
    for look in Look::ALL {
        browser.look(look).await?;
        browser.sees(sign).await?;
        browser.picture(&format!("{name}-{}", look.name())).await?;
        let over =
            browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        if over.as_i64().is_none_or(|over| over > 0) {
            faults.push(format!("{name} ({}) is {over} pixels wider than its window", look.name()));
        }
        let at = format!("{name} ({})", look.name());
        faults.extend(accessibility(browser, &at).await.err().map(|error| error.to_string()));
    }
    browser.look(Look::Light).await?;
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn the_flow_of_a_job_is_drawn_walked_by_keys_and_told_as_a_list() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/noop", &json!(null), &[])?;
    host.wait_until(job, |detail| detail.job.state == State::Succeeded)?;
    let own = job.0.to_string();
    let parents =
        [relative(1, "fetch", "succeeded", "success", true), relative(2, "check", "succeeded", "finished", true)];
    let mut children: Vec<_> = (3..8).map(|number| relative(number, "ship", "awaiting", "success", false)).collect();
    children.push(relative(8, "complain", "deleted", "failure", true));
    let nothing = json!({ "parents": [], "children": { "items": [] } });
    let mut made_up = json!({
        format!("GET /api/v1/jobs/{own}/relations"): [200, { "parents": parents, "children": { "items": children } }],
        format!("GET /api/v1/jobs/{}/relations", id(3)): [200, {
            "parents": [{ "id": own, "module": "faults", "handler": "noop", "state": "succeeded", "on": "success", "met": true }],
            "children": { "items": [relative(9, "archive", "awaiting", "success", false)] },
        }],
    });
    for number in [1, 2, 4, 5, 6, 7, 8, 9] {
        made_up[format!("GET /api/v1/jobs/{}/relations", id(number))] = json!([200, nothing]);
    }
    let browser = open(&host, &made_up, &format!("jobs/{own}")).await?;
    browser.reads("It continues").await?;
    browser.reads("Continued by").await?;
    browser.click("As a graph").await?;
    browser.reads("10 jobs.").await?;
    assert_eq!(browser.path().await?, format!("flow/{own}"));
    let drawn =
        "return [document.querySelectorAll('.flow-job').length, document.querySelectorAll('.flow-line').length]";
    assert_eq!(browser.run(drawn).await?, json!([10, 9]));
    browser.reads("after success of").await?;
    // From the job itself to a child, to its own child, and all the way back to a parent.
    browser.run(&format!("document.getElementById('job-{own}').focus()")).await?;
    let focused = "return document.activeElement.getAttribute('aria-label')";
    for (key, name) in [
        ("\u{e014}", "orders/"),
        ("\u{e012}", "faults/noop"),
        ("\u{e012}", "orders/"),
        ("\u{e015}", "orders/"),
        ("\u{e014}", "faults/noop"),
    ] {
        browser.presses(key).await?;
        let label = browser.run(focused).await?;
        ensure!(label.as_str().is_some_and(|label| label.starts_with(name)), "{label} instead of {name}");
    }
    inspect(&browser, "flow", ".flow-job").await?;
    // A click on a job leads to its own flow, without the page being loaded anew.
    browser.run("window.isTheSame = true").await?;
    browser.run(&format!("document.querySelector('#job-{} rect').dispatchEvent(new MouseEvent('click', {{ bubbles: true, cancelable: true }}))", id(3))).await?;
    browser.sees(&format!("#job-{}.root", id(3))).await?;
    assert_eq!(browser.path().await?, format!("flow/{}", id(3)));
    assert_eq!(browser.run("return window.isTheSame").await?, json!(true));
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn a_flow_that_cannot_be_read_says_why() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let gone =
        json!({ "code": "not-found", "title": "not found", "status": 404, "detail": "there is no job of this id" });
    let made_up = json!({ format!("GET /api/v1/jobs/{}/relations", id(1)): [404, gone] });
    let browser = open(&host, &made_up, &format!("flow/{}", id(1))).await?;
    browser.reads("There is no such job").await?;
    browser.open_page("flow/nonsense").await?;
    browser.reads("There can be no such job").await?;
    browser.close().await
}

#[tokio::test]
async fn limits_are_shown_set_and_removed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let there = json!([
        { "target": "queue:mail", "concurrency": 5, "running": 5, "held": 1200 },
        { "target": "key:tenant-*", "rate": { "count": 100, "period_ms": 60000 }, "running": 3, "held": 0, "keys": 2 },
    ]);
    let put = json!({ "target": "handler:images/thumbnail", "concurrency": 2, "running": 0, "held": 0 });
    let made_up = json!({
        "GET /api/v1/limits": [200, there],
        "PUT /api/v1/limits/handler:images/thumbnail": [200, put],
        "DELETE /api/v1/limits/queue:mail": [204, null],
        "PUT /api/v1/limits/queue:mail": [200, there[0]],
    });
    let browser = open(&host, &made_up, "queues").await?;
    browser.reads("5 at once").await?;
    browser.reads("each key that starts with tenant-").await?;
    browser.reads("100 in 1 min").await?;
    inspect(&browser, "queues-limits", ".limits tbody tr").await?;
    browser.click("Set the limit").await?;
    browser.reads("is not a queue name").await?;
    browser.chooses(".limit-fields select", "handler").await?;
    browser.types("#limit-name", "images/thumbnail").await?;
    browser.click("Set the limit").await?;
    browser.reads("Say how many may run at once").await?;
    browser.types("#limit-concurrency", "2").await?;
    browser.click("Set the limit").await?;
    browser.reads("The limit on handler images/thumbnail is 2 at once.").await?;
    browser.click("Remove the limit on queue mail").await?;
    browser.reads("The limit on queue mail is removed.").await?;
    browser.click("Put it back").await?;
    let sent = async || {
        let sent = browser.run("return window.sent").await?;
        Ok((sent.as_array().is_some_and(|sent| sent.len() == 3)).then_some(sent))
    };
    let sent = browser.until("three requests", sent).await?;
    assert_eq!(
        sent,
        json!([
            ["PUT", "/api/v1/limits/handler:images/thumbnail", { "concurrency": 2 }],
            ["DELETE", "/api/v1/limits/queue:mail", null],
            ["PUT", "/api/v1/limits/queue:mail", { "concurrency": 5 }],
        ])
    );
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_and_shows_hostile_text_as_text() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let entries: Vec<_> = (0..30)
        .map(|number| {
            json!({
                "at": "2026-11-23T15:49:53.120Z", "by": "token release-bot", "role": "deployer",
                "action": "POST /api/v1/modules/{name}/activate", "target": format!("module-{number}"), "status": 200,
                "from": "192.0.2.7",
            })
        })
        .chain([json!({
            "at": "2026-11-23T15:49:53.120Z", "by": "token <b>\u{202e}evil</b>", "role": "viewer",
            "action": "DELETE /api/v1/jobs/{id}", "target": "x".repeat(300), "status": 403,
        })])
        .collect();
    let made_up = json!({ "GET /api/v1/audit": [200, { "items": entries, "next": "older" }] });
    let browser = open(&host, &made_up, "audit").await?;
    browser.reads("token release-bot").await?;
    browser.reads("token <b>⟨U+202E⟩evil</b>").await?;
    inspect(&browser, "audit", ".audit tbody tr").await?;
    browser.click("Older").await?;
    browser.sees(".pager a[href=audit]").await?;
    assert_eq!(browser.path().await?, "audit?cursor=older");
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn conditions_of_a_job_are_sent_as_they_were_chosen() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let made_up = json!({ "POST /api/v1/jobs": [201, { "id": id(5), "existing": true }] });
    let browser = open(&host, &made_up, "run?handler=faults/noop").await?;
    browser.click("Conditions").await?;
    browser.types(".conditions input[type=text]", "nonsense").await?;
    browser.click("Enqueue").await?;
    browser.reads("After: ").await?;
    browser.types(".conditions input[type=text]", &id(1)).await?;
    browser.chooses(".conditions label:nth-of-type(2) select", "finished").await?;
    browser.chooses(".conditions label:nth-of-type(4) select", "payload").await?;
    browser.chooses(".conditions label:nth-of-type(5) select", "existing").await?;
    browser.click("Enqueue").await?;
    browser.reads("Such a job is there already").await?;
    let sent = browser.run("return window.sent[0][2]").await?;
    assert_eq!(sent["after"], json!({ "jobs": [id(1)], "on": "finished" }));
    assert_eq!(sent["unique"]["on_conflict"], "existing");
    browser.close().await
}
