//! What comes from others is shown and never obeyed; nonsense is told and never blank.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::State;
use windlass_browser_tests::{Browser, Look};
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

/// Every page, by its path.
const PAGES: [&str; 13] = [
    "",
    "jobs",
    "jobs/0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55",
    "flow/0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55",
    "run",
    "queues",
    "recurring",
    "recurring/nightly",
    "modules",
    "modules/faults",
    "servers",
    "audit",
    "settings",
];

/// Whatever is asked for is answered so. Who asks is not asked who they are.
fn always(status: u16, body: &str) -> String {
    let body = json!(body);
    format!(
        "const real = window.fetch; window.fetch = (url, init) => !String(url).includes('/api/v1/') ? real(url, init) : \
         String(url).endsWith('/session') ? Promise.resolve(new Response('{{\"required\":false}}')) : \
         Promise.resolve(new Response({body}, {{ status: {status} }}))"
    )
}

#[tokio::test]
async fn no_page_is_blank_whatever_a_host_of_another_version_answers() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let nothing = json!({
        "code": "not-found", "title": "not found", "status": 404, "detail": "there is nothing at /api/v1/that"
    });
    let newer = json!({ "code": "of-a-later-version", "title": "new", "status": 418, "detail": "it is a teapot" });
    let answers = [
        (200, "{\"nonsense\":true}".to_owned()),
        (200, "[{\"state\":\"frozen\",\"name\":7}]".to_owned()),
        (200, "<html>a gateway's page</html>".to_owned()),
        (200, String::new()),
        (404, nothing.to_string()),
        (418, newer.to_string()),
        (500, "\u{0}\u{1}".to_owned()),
    ];
    for (status, body) in answers {
        let browser = Browser::open(&format!("http://{}/", host.address())).await?;
        let script = always(status, &body);
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await?;
        for page in PAGES {
            browser.open_page(page).await?;
            let main = "return document.querySelector('main')?.innerText.trim() ?? ''";
            let told = async || {
                let text = browser.run(main).await?;
                let is_done = text.as_str().is_some_and(|text| text.len() > 10 && !text.contains("Loading"));
                Ok(is_done.then_some(()))
            };
            // Lists of choices stand there before anything is answered.
            browser.until(&format!("something on /{page} after {status} {body}"), told).await?;
            ensure!(!browser.text().await?.contains("must be reloaded"), "/{page} breaks at {status} {body}");
        }
        browser.is_content().await?;
        browser.close().await?;
    }
    Ok(())
}

/// Puts hostile text wherever the API lets others write what they want, also where the host itself keeps it short: another one
/// may not.
fn hostile(text: &str) -> String {
    let text = json!(text);
    format!(
        "const real = window.fetch, hostile = {text}, \
         keys = new Set(['host', 'version', 'sdk', 'summary', 'note', 'by', 'reason', 'message', 'code', 'backtrace', \
           'action', 'target', 'refused', 'schedule', 'time_zone', 'error', 'title', 'description']); \
         const fill = (value, key) => typeof value === 'string' ? (keys.has(key) && !/^[0-9a-f]{{64}}$/.test(value) ? hostile : value) : \
           Array.isArray(value) ? value.map((item) => fill(item, key)) : \
           value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, value]) => \
             [key, key === 'payload' ? value : fill(value, key)])) : value; \
         window.fetch = async (url, init) => {{ \
         const answer = await real(url, init); \
         const at = new URL(url).pathname; \
         if (!answer.ok || !at.includes('/api/v1/') || at.match(/session$|limits$/)) return answer; \
         const text = await answer.text(); \
         try {{ return new Response(JSON.stringify(fill(JSON.parse(text)))); }} catch {{ return new Response(text); }} }}"
    )
}

#[tokio::test]
async fn no_page_is_wider_than_its_window_whatever_others_write() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let long = "n".repeat(500);
    let hebrew = "\u{5e9}\u{5dc}\u{5d5}\u{5dd} (abc) 123";
    let name = format!("N{}", "n".repeat(99));
    let jobs = host.enqueue_all([json!({
        "handler": "faults/sleepy",
        "payload": { "ms": 0, long.as_str(): hebrew, "other": long },
        "tags": [hebrew, "t".repeat(100)],
        "headers": { long.as_str(): hebrew, "plain": long, "<b>html</b>": "a\u{7}b" },
        "queue": name,
        "limit_key": "k".repeat(200),
        "delay_ms": 86_400_000,
    })])?;
    let job = jobs[0].0.to_string();
    let failed = host.enqueue("faults/endless", &json!(null), &["--timeout", "200ms", "--max-attempts", "1"])?;
    host.wait_until(failed, |detail| detail.job.state == State::Failed)?;
    let child = host.enqueue("faults/noop", &json!(null), &["--after", &job])?;
    host.json::<Value>(&["recurring", "put", &name, "@yearly", "faults/noop"])?;
    host.json::<Value>(&["limits", "put", &format!("key:{}", "k".repeat(200)), "--concurrency", "1"])?;
    let filler = format!("{long}{hebrew}<img src=x onerror=\"document.title='owned'\">\u{202e}\u{1b}[31m");
    let pages = [
        (String::new(), ".tiles"),
        ("jobs".to_owned(), ".jobs tbody tr"),
        (format!("jobs/{job}"), ".timeline"),
        (format!("jobs/{}", failed.0), ".failure"),
        (format!("flow/{}", child.0), ".flow-job"),
        (format!("run?from={job}"), ".json-input"),
        ("queues".to_owned(), ".limits .table"),
        ("recurring".to_owned(), ".recurring tbody tr"),
        (format!("recurring/{name}"), ".next-runs"),
        ("modules".to_owned(), ".handlers"),
        ("modules/faults".to_owned(), ".table"),
        ("servers".to_owned(), ".table"),
        ("audit".to_owned(), ".audit"),
        ("settings".to_owned(), ".choices"),
    ];
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": hostile(&filler) })).await?;
    let mut faults = Vec::new();
    for look in [Look::Light, Look::Phone] {
        browser.look(look).await?;
        for (number, (page, sign)) in pages.iter().enumerate() {
            browser.open_page(page).await?;
            browser.sees(sign).await?;
            // What reaches furthest to the right, of what is not within something that scrolls by itself or hides it.
            let script = "const root = document.documentElement, over = root.scrollWidth - root.clientWidth; \
                          const clips = (element) => element && (getComputedStyle(element).overflowX !== 'visible' || clips(element.parentElement)); \
                          const widest = [...document.querySelectorAll('main *')].filter((element) => !clips(element.parentElement)) \
                          .sort((one, other) => other.getBoundingClientRect().right - one.getBoundingClientRect().right)[0]; \
                          return [over, widest?.outerHTML.slice(0, 160), document.querySelectorAll('img').length, document.title]";
            let found = browser.run(script).await?;
            if found[0].as_i64().is_none_or(|over| over > 0) {
                faults.push(format!("/{page} is {} pixels too wide ({look:?}): {}", found[0], found[1]));
            }
            if found[2] != json!(0) || found[3] == json!("owned") {
                faults.push(format!("/{page} obeys what others write: {found}"));
            }
            browser.picture(&format!("hostile-{number}-{}", look.name())).await?;
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    browser.look(Look::Light).await?;
    browser.open_page("jobs").await?;
    browser.reads(hebrew).await?;
    // Kept apart from the text around it, whatever its direction.
    let isolated = "return [...document.querySelectorAll('bdi')].some((name) => name.textContent.includes('\u{5e9}'))";
    assert_eq!(browser.run(isolated).await?, json!(true));
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn what_a_run_says_is_shown_with_its_control_characters_made_visible() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/noop", &json!(null), &[])?;
    host.wait(job)?;
    let hostile = "a\u{7}b\u{1b}[31mc<script>document.title='owned'</script>\u{202e}d";
    let script = format!(
        "const real = window.fetch; window.fetch = async (url, init) => {{ \
         const answer = await real(url, init), path = new URL(url).pathname; \
         if (path.endsWith('/logs')) return new Response(JSON.stringify({{ items: [ \
           {{ run: 1, at: '2026-11-23T15:49:53.120Z', level: 'error', message: {hostile} }}] }})); \
         if (!path.endsWith('{}')) return answer; \
         const detail = await answer.json(); \
         detail.job.state = 'failed'; detail.job.failure = {{ cause: 'trap', message: {hostile}, backtrace: {hostile}, code: {hostile} }}; \
         return new Response(JSON.stringify(detail)); }}",
        job.0,
        hostile = json!(hostile)
    );
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await?;
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.sees(".failure").await?;
    browser.sees(".log-line").await?;
    let text = browser.text().await?;
    for shown in ["a\u{2407}b\u{241b}[31mc<script>", "\u{27e8}U+202E\u{27e9}d"] {
        ensure!(text.matches(shown).count() >= 2, "`{shown}` is not shown in {text}");
    }
    assert_eq!(browser.run("return document.title").await?, json!("faults/noop · Windlass"));
    browser.is_content().await?;
    browser.close().await
}
