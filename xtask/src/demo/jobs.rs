//! The demo's jobs, and how each is expected to end.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{data::Data, pages};

/// How many jobs come into being by themselves: `reports/summarise` enqueues `reports/publish`.
pub(crate) const FOLLOW_UPS: usize = 1;

/// The attempt at which the job that fails at first succeeds.
const SUCCEED_ON: u64 = 3;

/// The jobs, as the API takes them.
pub(crate) fn requests(data: &Data, pages: SocketAddr) -> Vec<Value> {
    let table = json!({ "handler": "reports/summarise", "payload": { "path": "sales.csv" } });
    let flaky = json!({
        "handler": "faults/flaky",
        "payload": { "succeed_on": SUCCEED_ON },
        "retry": { "kind": "fixed", "delay_ms": 1_000 },
    });
    let endless = json!({ "handler": "faults/endless", "payload": null, "timeout_ms": 1_000, "max_attempts": 1 });
    let pictures = data.pictures.iter();
    let pictures = pictures
        .map(|picture| json!({ "handler": "images/thumbnail", "payload": { "source": picture, "width": 200 } }));
    let links = (0..pages::PAGES).map(|page| {
        let url = format!("http://{pages}{}", pages::path(page));
        json!({ "handler": "links/check", "payload": { "url": url } })
    });
    [table, flaky, endless].into_iter().chain(pictures).chain(links).collect()
}

/// `module/handler` of a job.
pub(crate) fn handler(job: &Value) -> String {
    let part = |key: &str| job[key].as_str().unwrap_or("?");
    format!("{}/{}", part("module"), part("handler"))
}

/// Names the jobs that did not end as expected.
pub(crate) fn surprises(jobs: &[Value]) -> Vec<String> {
    jobs.iter().filter_map(surprise).collect()
}

fn surprise(job: &Value) -> Option<String> {
    let handler = handler(job);
    let expected = match handler.as_str() {
        "faults/endless" => ("failed", 1, Some("timeout")),
        "faults/flaky" => ("succeeded", SUCCEED_ON, None),
        _ => ("succeeded", 1, None),
    };
    let cause = match job["state"].as_str() {
        Some("failed") => job["failure"]["cause"].as_str(),
        _ => None,
    };
    let found = (job["state"].as_str().unwrap_or("?"), job["attempt"].as_u64().unwrap_or(0), cause);
    (found != expected).then(|| {
        let failure = job["failure"]["message"].as_str().unwrap_or("");
        format!("{handler} {}: expected {expected:?}, found {found:?} {failure}", job["id"].as_str().unwrap_or("?"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_ends_otherwise_than_expected_is_named() {
        let endless = |state, cause| {
            json!({ "id": "1", "module": "faults", "handler": "endless", "state": state, "attempt": 1,
                    "failure": { "cause": cause, "message": "no" } })
        };
        assert!(surprises(&[endless("failed", "timeout")]).is_empty());
        assert_eq!(surprises(&[endless("failed", "trap"), endless("succeeded", "timeout")]).len(), 2);
        let flaky = json!({ "module": "faults", "handler": "flaky", "state": "succeeded", "attempt": 1 });
        assert!(surprises(&[flaky]).first().is_some_and(|surprise| surprise.contains("faults/flaky")));
    }
}
