//! A trace, from the request that enqueues a job into what its handler asks of others.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_api::Enqueued;
use windlass_tests::{Collector, Job, Site, guest};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn what_a_handler_asks_of_others_belongs_to_the_trace_of_the_request_that_enqueued_its_job() -> Result<()> {
    let (site, collector) = (Site::new()?, Collector::start()?);
    let text = "[module.mixed]\nhttp = [\"127.0.0.1\"]\nprivate_networks = true\n";
    let config = site.write("windlass.toml", text)?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let ask = |headers: &[(&str, &str)]| -> Result<()> {
        let url = format!("http://{}/asked", collector.address());
        let job = json!({ "handler": "mixed/ask", "payload": { "url": url } }).to_string();
        let enqueued: Enqueued = host.ask("POST", "/api/v1/jobs", headers, &job)?.json()?;
        ensure!(host.result::<u16>(Job(enqueued.id))? == 200, "the collector did not answer");
        Ok(())
    };
    ask(&[("Traceparent", PARENT), ("Tracestate", "vendor=7")])?;
    let asked = collector.at("/asked").pop().context("nobody asked")?;
    ensure!(asked.header("traceparent") == Some(PARENT) && asked.header("tracestate") == Some("vendor=7"), "{asked:?}");
    // What names no trace is no reason to refuse the job, and is not handed on.
    ask(&[("Traceparent", "00-nothing")])?;
    let asked = collector.at("/asked").pop().context("nobody asked")?;
    ensure!(asked.header("traceparent").is_none(), "{asked:?}");
    Ok(())
}
