//! What is measured and not tested: `cargo xtask bench dashboard` runs it. Each prints its figures.

use std::{
    env,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_browser_tests::Browser;
use windlass_tests::{Host, Site, component};

/// How many jobs the list is measured over, unless `WINDLASS_BENCH_JOBS` says otherwise.
const JOBS: usize = 1_000_000;

/// How many are enqueued in one go.
const CHUNK: usize = 50_000;

/// How long the page is left open, in minutes, unless `WINDLASS_BENCH_MINUTES` says otherwise.
const MINUTES: u64 = 10;

/// How many jobs each second come meanwhile.
const PER_SECOND: u64 = 500;

fn set<T: std::str::FromStr>(name: &str, usual: T) -> Result<T> {
    match env::var(name) {
        Ok(text) => text.parse().ok().with_context(|| format!("{name}: expected a number, not `{text}`")),
        Err(_) => Ok(usual),
    }
}

/// Marks when the answer with the jobs is there, and when its rows have been painted.
const MARKS: &str = "const real = window.fetch; window.fetch = async (url, init) => { \
    const answer = await real(url, init); \
    if (new URL(url).pathname.endsWith('/api/v1/jobs')) { \
      const text = answer.text.bind(answer); \
      answer.text = async () => { const body = await text(); if (!window.isSeen) performance.mark('answered'); return body; }; \
    } \
    return answer; }; \
  new MutationObserver(() => { \
    if (window.isSeen || document.querySelectorAll('.jobs tbody tr').length < 50) return; \
    window.isSeen = true; \
    performance.mark('drawn'); \
    requestAnimationFrame(() => { \
      const channel = new MessageChannel(); \
      channel.port1.onmessage = () => { performance.mark('painted'); window.isPainted = true; }; \
      channel.port2.postMessage(null); }); \
  }).observe(document, { childList: true, subtree: true });";

#[tokio::test]
#[ignore = "takes minutes; `cargo xtask bench dashboard` runs it"]
async fn a_list_over_a_million_jobs() -> Result<()> {
    let wanted = set("WINDLASS_BENCH_JOBS", JOBS)?;
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let began = Instant::now();
    let mut there = 0;
    while there < wanted {
        let count = CHUNK.min(wanted - there);
        let request = |number: usize| {
            json!({
                "handler": "faults/noop_async", "payload": { "number": number }, "delay_ms": 86_400_000,
                "tags": [format!("tenant-{}", number % 100)], "priority": number % 10,
            })
        };
        host.enqueue_all((there..there + count).map(request))?;
        there += count;
    }
    println!("{there} jobs were there after {:.0} s", began.elapsed().as_secs_f64());
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": MARKS })).await?;
    let mut all = Vec::new();
    for path in ["jobs", "jobs?state=scheduled", "jobs?tag=tenant-7", "jobs?module=faults&state=scheduled&limit=200"] {
        for _ in 0..5 {
            browser.open_page(path).await?;
            let is_painted =
                async || Ok((browser.run("return window.isPainted === true").await? == json!(true)).then_some(()));
            browser.until("the list", is_painted).await?;
            let script = "const at = (name) => performance.getEntriesByName(name).at(-1).startTime; \
                          return [at('drawn') - at('answered'), at('painted') - at('answered'), at('painted')]";
            let took: [f64; 3] = serde_json::from_value(browser.run(script).await?)?;
            println!(
                "/{path}: drawn {:.0} ms and painted {:.0} ms after the API's answer, {:.0} ms after the page was asked for",
                took[0], took[1], took[2]
            );
            all.push(took[1]);
        }
    }
    all.sort_by(f64::total_cmp);
    let (median, most) = (all[all.len() / 2], all[all.len() - 1]);
    println!("over {there} jobs, painted after the answer: median {median:.0} ms, at most {most:.0} ms");
    ensure!(median <= 100.0, "the list is on screen {median:.0} ms after the answer, and may be after 100");
    browser.close().await
}

/// Keeps the memory of the dashboard's module where a script can see it.
const MEMORY: &str = "const real = WebAssembly.instantiateStreaming; \
    WebAssembly.instantiateStreaming = async (...given) => { const made = await real(...given); \
    if (made.instance.exports.memory) window.wasmMemory ??= made.instance.exports.memory; return made; };";

/// What the page holds, in bytes, and how many nodes and listeners.
#[derive(Clone, Copy, Debug)]
struct Held {
    script: f64,
    module: f64,
    nodes: f64,
    listeners: f64,
}

async fn held(browser: &Browser) -> Result<Held> {
    browser.devtools("HeapProfiler.collectGarbage", json!({})).await?;
    let metrics = browser.devtools("Performance.getMetrics", json!({})).await?;
    let metric = |name: &str| {
        let entries = metrics["metrics"].as_array().into_iter().flatten();
        entries.filter(|entry| entry["name"] == name).find_map(|entry| entry["value"].as_f64()).unwrap_or_default()
    };
    let module = browser.run("return window.wasmMemory?.buffer.byteLength ?? 0").await?.as_f64().unwrap_or_default();
    Ok(Held { script: metric("JSHeapUsedSize"), module, nodes: metric("Nodes"), listeners: metric("JSEventListeners") })
}

/// Enqueues so many jobs each second until it is told to stop.
fn load(host: &Host<'_>, enqueued: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let few = PER_SECOND / 10;
    let body = json!(vec![json!({ "handler": "faults/noop", "payload": null }); usize::try_from(few)?]).to_string();
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let due = u64::try_from(began.elapsed().as_millis())? * PER_SECOND / 1_000;
        if enqueued.load(Ordering::Relaxed) >= due {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let answer = host.ask("POST", "/api/v1/jobs/bulk", &[], &body)?;
        ensure!(answer.status == 201, "{answer:?}");
        enqueued.fetch_add(few, Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `cargo xtask bench dashboard` runs it"]
async fn the_memory_of_a_tab_that_stays_open_at_500_jobs_a_second() -> Result<()> {
    let minutes: u64 = set("WINDLASS_BENCH_MINUTES", MINUTES)?;
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": MEMORY })).await?;
    browser.devtools("Performance.enable", json!({})).await?;
    browser.open_page("jobs").await?;
    browser.sees(".list-card, .empty").await?;
    let (enqueued, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut samples = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let loading = scope.spawn(|| load(&host, &enqueued, &stop));
        let sampled = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let began = Instant::now();
                let every = Duration::from_secs((minutes * 60 / 20).max(1));
                while began.elapsed() < Duration::from_secs(minutes * 60) && !loading.is_finished() {
                    tokio::time::sleep(every).await;
                    let (held, jobs) = (held(&browser).await?, enqueued.load(Ordering::Relaxed));
                    let rate = jobs as f64 / began.elapsed().as_secs_f64();
                    println!(
                        "{:>4.0} s: heap {:.2} MB, module {:.2} MB, {} nodes, {} listeners; {jobs} jobs, {rate:.0} a second",
                        began.elapsed().as_secs_f64(),
                        held.script / 1e6,
                        held.module / 1e6,
                        held.nodes,
                        held.listeners
                    );
                    samples.push(held);
                }
                Ok::<_, anyhow::Error>(())
            })
        });
        let rate = enqueued.load(Ordering::Relaxed) as f64 / (minutes * 60) as f64;
        stop.store(true, Ordering::Relaxed);
        let loaded = loading.join().map_err(|_| anyhow::anyhow!("the load broke off"))?;
        sampled.and(loaded)?;
        ensure!(rate >= PER_SECOND as f64 * 0.9, "only {rate:.0} jobs a second came, of {PER_SECOND}");
        Ok(())
    })?;
    // The list is being followed all the time, and not lost.
    let shown: Value = browser.run("return document.querySelectorAll('.jobs tbody tr').length").await?;
    ensure!(shown == json!(50), "{shown} rows are shown");
    ensure!(samples.len() >= 10, "only {} samples", samples.len());
    // What is fetched and kept at first is no growth.
    let mean = |samples: &[Held], part: fn(&Held) -> f64| samples.iter().map(part).sum::<f64>() / samples.len() as f64;
    let (early, late) = (&samples[2..6.min(samples.len())], &samples[samples.len() - 4..]);
    for (name, part, room) in [
        ("heap", (|held| held.script) as fn(&Held) -> f64, 1e6),
        ("module", |held| held.module, 1e6),
        ("nodes", |held| held.nodes, 500.0),
        ("listeners", |held| held.listeners, 200.0),
    ] {
        let (early, late) = (mean(early, part), mean(late, part));
        println!("{name}: {early:.0} early, {late:.0} at the end of {minutes} minutes");
        ensure!(late <= early * 1.1 + room, "{name} grows from {early:.0} to {late:.0}");
    }
    browser.is_content().await?;
    browser.close().await
}
