//! A trace, from the request that enqueues a job into what its handler asks of others.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_api::Enqueued;
use windlass_tests::{Collected, Collector, Host, Job, Site, guest};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Enqueues a job within a trace, whose handler asks the collector; gives what came there.
fn asked(host: &Host<'_>, collector: &Collector, headers: &[(&str, &str)]) -> Result<Collected> {
    host.deploy("mixed", &guest("mixed")?)?;
    let url = format!("http://{}/asked", collector.address());
    let job = json!({ "handler": "mixed/ask", "payload": { "url": url } }).to_string();
    let enqueued: Enqueued = host.ask("POST", "/api/v1/jobs", headers, &job)?.json()?;
    ensure!(host.result::<u16>(Job(enqueued.id))? == 200, "the collector did not answer");
    collector.at("/asked").pop().context("nobody asked")
}

fn settings(site: &Site, more: &str) -> Result<String> {
    let text = format!("{more}[module.mixed]\nhttp = [\"127.0.0.1\"]\nprivate_networks = true\n");
    Ok(site.write("windlass.toml", text)?.to_string_lossy().into_owned())
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    (0..hexadecimal.len() / 2).filter_map(|at| u8::from_str_radix(&hexadecimal[at * 2..at * 2 + 2], 16).ok()).collect()
}

#[test]
fn a_collector_sees_the_request_the_run_and_what_the_handler_asks_of_others_as_one_trace() -> Result<()> {
    let (site, collector) = (Site::new()?, Collector::start()?);
    let otlp = format!(
        "[otlp]\nendpoint = \"http://{}\"\nmetrics_interval = \"1s\"\nheaders = {{ x-key = {{ file = \"key\" }} }}\n",
        collector.address()
    );
    site.write("key", "collector's secret\n")?;
    let host = site.start(&["--config", &settings(&site, &otlp)?])?;
    let asked = asked(&host, &collector, &[("Traceparent", PARENT), ("Tracestate", "vendor=7")])?;
    let within = asked.header("traceparent").context("the handler's request belongs to no trace")?.to_owned();
    ensure!(within.len() == PARENT.len() && within[..36] == PARENT[..36], "another trace: {within}");
    ensure!(within[36..52] != PARENT[36..52], "the run is no part of its own: {within}");
    ensure!(asked.header("tracestate") == Some("vendor=7"), "{asked:?}");
    // What is left is sent when the host stops.
    ensure!(host.stop()?.success(), "the host did not stop well");

    let traces = collector.at("/v1/traces");
    let sent = |what: &[u8]| traces.iter().any(|request| request.holds(what));
    for what in ["POST /api/v1/jobs", "run mixed/ask", "windlass.outcome", "succeeded"] {
        ensure!(sent(what.as_bytes()), "the collector was not told of {what}");
    }
    ensure!(sent(&bytes(TRACE)) && sent(&bytes("00f067aa0ba902b7")), "the trace is another one");
    ensure!(sent(&bytes(&within[36..52])), "the run is not what its handler's request belongs to");
    let numbers = collector.at("/v1/metrics");
    for what in ["windlass.runs", "windlass.run.duration", "windlass.job.wait"] {
        ensure!(numbers.iter().any(|request| request.holds(what.as_bytes())), "the collector was not told {what}");
    }
    let kind = traces.first().and_then(|request| request.header("content-type"));
    ensure!(kind == Some("application/x-protobuf"), "{kind:?}");
    ensure!(
        traces.iter().all(|request| request.header("x-key") == Some("collector's secret")),
        "the header is missing"
    );
    Ok(())
}

#[test]
fn a_trace_is_handed_on_where_no_collector_is_told() -> Result<()> {
    let (site, collector) = (Site::new()?, Collector::start()?);
    let host = site.start(&["--config", &settings(&site, "")?])?;
    let asked = asked(&host, &collector, &[("Traceparent", PARENT)])?;
    ensure!(asked.header("traceparent") == Some(PARENT), "{asked:?}");
    Ok(())
}

#[test]
fn a_collector_that_is_away_keeps_no_job_from_running() -> Result<()> {
    let (site, collector) = (Site::new()?, Collector::start()?);
    // Port 9 is kept for a service that throws everything away; nobody runs it.
    let host = site.start(&["--config", &settings(&site, "[otlp]\nendpoint = \"http://127.0.0.1:9\"\n")?])?;
    let asked = asked(&host, &collector, &[])?;
    ensure!(asked.header("traceparent").is_some(), "a job without a trace begins none");
    ensure!(host.stop()?.success(), "the host did not stop well");
    Ok(())
}
