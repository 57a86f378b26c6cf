//! The pictures of the documentation, taken of a host that does what the examples do. They go to `target/screenshots/docs`;
//! `cargo xtask docs --pictures` puts them into the pages.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::State;
use windlass_browser_tests::{Browser, Look, with_palette};
use windlass_tests::{Host, Job, Site, component, pictures};

/// A picture in the repository stays for good, so it is to be small.
const LARGEST_BYTES: usize = 120 * 1024;

/// How many orders have been placed.
const ORDERS: u64 = 60;

/// What is granted to the examples.
const GRANTS: &str = r#"
sync_slots = 2

[module.orders]
directories = [{ host = "shop", guest = "/shop", write = true }]

[module.reports]
directories = [{ host = "tables", guest = "/data", write = true }]
"#;

fn order(number: u64, cents: u64, pause_ms: u64) -> Value {
    json!({
        "order": format!("A-{number}"), "sku": "bolt", "quantity": 3, "cents": cents, "email": "ada@example.com",
        "pause_ms": pause_ms,
    })
}

/// Gives a job that failed at first and then succeeded.
fn work(host: &Host<'_>) -> Result<Job> {
    for name in ["images", "links", "orders", "reports"] {
        host.deploy(name, &component(name)?)?;
    }
    // Its table is not there yet.
    let report = ["--retry", "fixed:2s", "--tag", "quarter-3"];
    let report = host.enqueue("reports/summarise", &json!({ "path": "sales.csv" }), &report)?;
    host.wait_until(report, |detail| detail.job.state == State::Scheduled)?;
    let table =
        "date,region,product,quantity,unit_price_cents\n2026-07-01,north,bolt,2,150\n2026-08-01,south,nut,7,90\n";
    host.site().write("tables/sales.csv", table)?;
    let placed = host.enqueue_all(
        (1..=ORDERS)
            .map(|number| json!({ "handler": "orders/place", "payload": order(number, 4500, 0), "tags": ["shop"] })),
    )?;
    for job in placed {
        host.wait_until(job, |detail| detail.job.state == State::Succeeded)?;
    }
    host.wait_until(report, |detail| detail.job.state == State::Succeeded)?;
    let free = host.enqueue("orders/place", &order(61, 0, 0), &["--tag", "shop"])?;
    host.wait_until(free, |detail| detail.job.state == State::Failed)?;
    let nightly = ["--time-zone", "Europe/Berlin"];
    let put =
        ["recurring", "put", "nightly-report", "30 2 * * mon-fri", "reports/summarise", "{\"path\":\"sales.csv\"}"];
    host.json::<Value>(&[&put[..], &nightly].concat())?;
    for delay in ["2h", "1d"] {
        host.enqueue("orders/place", &order(70, 4500, 0), &["--delay", delay, "--tag", "shop"])?;
    }
    // Two that run, and some that wait for them.
    let slow: Vec<_> = (80..87).map(|number| order(number, 4500, 60_000)).collect();
    for (at, order) in slow.iter().enumerate() {
        let job = host.enqueue("orders/place", order, &["--tag", "shop"])?;
        if at < 2 {
            host.wait_until(job, |detail| detail.job.state == State::Processing)?;
        }
    }
    Ok(report)
}

#[tokio::test]
async fn the_pictures_of_the_documentation_are_taken_and_small() -> Result<()> {
    let site = Site::new()?;
    for folder in ["shop", "tables"] {
        fs::create_dir_all(site.path(folder))?;
    }
    let config = site.write("windlass.toml", GRANTS)?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let report = work(&host)?;
    let folder = pictures()?.join("docs");
    fs::create_dir_all(&folder)?;
    let browser = Browser::open(&format!("http://{}/", host.address())).await?;
    for look in [Look::Light, Look::Dark] {
        browser.look(look).await?;
        for (name, path, sign) in
            [("overview", String::new(), ".tiles"), ("job", format!("jobs/{}", report.0), ".timeline")]
        {
            browser.open_page(&path).await?;
            browser.sees(sign).await?;
            let taken = with_palette(&fs::read(browser.picture(&format!("docs/{name}-{}", look.name())).await?)?)?;
            ensure!(taken.len() <= LARGEST_BYTES, "{name} ({}) takes {} bytes", look.name(), taken.len());
            println!("{name} ({}): {} bytes", look.name(), taken.len());
            fs::write(folder.join(format!("{name}-{}.png", look.name())), taken)?;
        }
    }
    browser.is_content().await?;
    browser.close().await
}
