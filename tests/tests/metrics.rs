//! What Prometheus reads from a host.

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_tests::{Host, Site, guest};

/// The value of a line that begins so.
fn value(host: &Host<'_>, line: &str) -> Result<Option<f64>> {
    let answer = host.ask("GET", "/metrics", &[], "")?;
    ensure!(answer.status == 200, "{answer:?}");
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    ensure!(kind.starts_with("application/openmetrics-text"), "{kind}");
    ensure!(answer.body.ends_with("# EOF\n"), "it is cut off: {}", answer.body);
    let found = answer.body.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '));
    Ok(found.and_then(|value| value.parse().ok()))
}

#[test]
fn what_ran_and_what_waits_is_counted() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&["--sync-slots", "3", "--async-slots", "7"])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let add = json!({ "handler": "mixed/add", "payload": { "a": 1, "b": 2 } });
    host.enqueue_all((0..5).map(|_| add.clone()))?;
    let overflow = json!({ "a": i64::MAX, "b": 1 });
    let failing = host.enqueue("mixed/add", &overflow, &[])?;
    host.all_ended()?;
    ensure!(host.show(failing)?.job.failure.is_some(), "it should have failed");
    host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--delay", "1h"])?;
    host.json::<serde_json::Value>(&["queues", "pause", "mail"])?;
    host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--queue", "mail"])?;

    let of_add = "module=\"mixed\",handler=\"add\"";
    for (line, expected) in [
        (format!("windlass_runs_total{{{of_add},outcome=\"succeeded\"}}"), 5.0),
        (format!("windlass_runs_total{{{of_add},outcome=\"failed\"}}"), 1.0),
        (format!("windlass_run_duration_seconds_count{{{of_add}}}"), 6.0),
        ("windlass_job_wait_seconds_count{mode=\"sync\"}".to_owned(), 6.0),
        ("windlass_jobs{state=\"succeeded\"}".to_owned(), 5.0),
        ("windlass_jobs{state=\"scheduled\"}".to_owned(), 1.0),
        ("windlass_queue_paused{queue=\"mail\"}".to_owned(), 1.0),
        ("windlass_queue_enqueued_jobs{queue=\"mail\"}".to_owned(), 1.0),
        ("windlass_slots{mode=\"sync\"}".to_owned(), 3.0),
        ("windlass_slots{mode=\"async\"}".to_owned(), 7.0),
        ("windlass_servers{}".to_owned(), 1.0),
        ("windlass_storage_up".to_owned(), 1.0),
        ("windlass_lost_servers_total".to_owned(), 0.0),
    ] {
        // An answer is good for a second, and so may be from before.
        host.until(&format!("{line} {expected}"), || Ok((value(&host, &line)? == Some(expected)).then_some(())))?;
    }
    let some = |line: &str| -> Result<f64> { Ok(value(&host, line)?.unwrap_or_default()) };
    ensure!(some(&format!("windlass_run_fuel_total{{{of_add}}}"))? > 0.0, "no fuel was used");
    ensure!(some("windlass_run_peak_memory_bytes_sum")? > 0.0, "no memory was used");
    ensure!(some("windlass_storage_duration_seconds_count{verb=\"enqueue\"}")? >= 3.0, "nothing was enqueued");
    Ok(())
}
