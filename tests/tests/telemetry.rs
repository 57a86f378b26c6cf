//! Telemetry, as a receiver of OTLP has it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::Enqueued;
use windlass_tests::{Collector, Host, Job, Launch, Site, guest};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// All that was sent to a path, as one list of what is under `below`.
fn sent(receiver: &Collector, path: &str, below: [&str; 3]) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for request in receiver.at(path) {
        ensure!(request.header("content-type") == Some("application/json"), "{request:?}");
        let body: Value = serde_json::from_slice(&request.body)?;
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        for outer in list(&body, below[0]) {
            let service = attribute(&outer["resource"], "service.name").context("no service")?;
            ensure!(service["stringValue"] == "jobs", "{service}");
            found.extend(list(&outer, below[1]).iter().flat_map(|scope| list(scope, below[2])));
        }
    }
    Ok(found)
}

fn spans(receiver: &Collector) -> Result<Vec<Value>> {
    sent(receiver, "/v1/traces", ["resourceSpans", "scopeSpans", "spans"])
}

fn attribute(of: &Value, key: &str) -> Option<Value> {
    let attributes = of["attributes"].as_array()?;
    attributes.iter().find(|attribute| attribute["key"] == key).map(|attribute| attribute["value"].clone())
}

fn ask(host: &Host<'_>, handler: &str, payload: &Value) -> Result<Job> {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let job = json!({ "handler": handler, "payload": payload, "max_attempts": 1 }).to_string();
    let enqueued: Enqueued = host.ask("POST", "/api/v1/jobs", &[("Traceparent", &parent)], &job)?.json()?;
    Ok(Job(enqueued.id))
}

#[test]
fn a_run_is_a_span_below_what_enqueued_it_and_above_what_it_asks_and_metrics_are_sent_too() -> Result<()> {
    let (site, receiver, other) = (Site::new()?, Collector::refusing(1)?, Collector::start()?);
    let text = format!(
        "[telemetry]\notlp_endpoint = \"http://{}\"\nservice_name = \"jobs\"\nmetrics_interval = \"1s\"\n\n\
         [module.mixed]\nhttp = [\"127.0.0.1\"]\nprivate_networks = true\n",
        receiver.address()
    );
    let config = site.write("windlass.toml", text)?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let asking = ask(&host, "mixed/ask", &json!({ "url": format!("http://{}/asked", other.address()) }))?;
    let failing = ask(&host, "mixed/add", &json!({ "a": i64::MAX, "b": 1 }))?;
    let find = |job: &Job| {
        host.until("the span of the run", || {
            let id = json!({ "stringValue": job.0.to_string() });
            Ok(spans(&receiver)?.into_iter().find(|span| attribute(span, "windlass.job.id").as_ref() == Some(&id)))
        })
    };
    let span = find(&asking)?;
    ensure!(span["traceId"] == TRACE && span["parentSpanId"] == SPAN && span["name"] == "mixed/ask", "{span}");
    let of = |span: &Value, key: &str| attribute(span, key).with_context(|| format!("no {key} in {span}"));
    ensure!(of(&span, "windlass.outcome")? == json!({ "stringValue": "succeeded" }), "{span}");
    ensure!(of(&span, "windlass.queue")? == json!({ "stringValue": "default" }), "{span}");
    ensure!(of(&span, "windlass.attempt")? == json!({ "intValue": "1" }), "{span}");
    ensure!(of(&span, "windlass.fuel")?["intValue"].as_str() != Some("0"), "{span}");
    let instant = |key: &str| span[key].as_str().and_then(|text| text.parse::<u64>().ok()).context("no instant");
    ensure!(instant("startTimeUnixNano")? <= instant("endTimeUnixNano")?, "{span}");

    let asked = other.at("/asked").pop().context("nobody asked")?;
    let own = span["spanId"].as_str().context("no id")?;
    ensure!(asked.header("traceparent") == Some(&format!("00-{TRACE}-{own}-01")), "{asked:?}");

    let span = find(&failing)?;
    ensure!(span["status"]["code"] == 2 && attribute(&span, "error.type").is_some(), "{span}");

    host.until("the number of runs", || {
        let metrics = sent(&receiver, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"])?;
        let runs = metrics.iter().rev().find(|metric| metric["name"] == "windlass_runs");
        let points = runs.and_then(|runs| runs["sum"]["dataPoints"].as_array().cloned()).unwrap_or_default();
        Ok((points.len() == 2 && points.iter().all(|point| point["asInt"] == "1")).then_some(()))
    })?;
    Ok(())
}

#[test]
fn a_receiver_that_is_away_costs_spans_and_no_job() -> Result<()> {
    let site = Site::new()?;
    // As others set it, and where nothing listens.
    let environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "http://127.0.0.1:9".to_owned())];
    let host = site.start_as(&Launch { environment, ..Launch::default() }, &[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    host.enqueue_all((0..500).map(|_| json!({ "handler": "mixed/add", "payload": { "a": 1, "b": 2 } })))?;
    host.all_ended()?;
    host.until("the spans to be dropped", || {
        let answer = host.ask("GET", "/metrics", &[], "")?;
        let dropped =
            answer.body.lines().find_map(|line| line.strip_prefix("windlass_spans_total{outcome=\"dropped\"} "));
        Ok(dropped.and_then(|count| count.parse::<u64>().ok()).filter(|count| *count == 500))
    })?;
    let said = host.said();
    ensure!(said.matches("traces and metrics are not taken").count() == 1, "it is said once: {said}");
    Ok(())
}
