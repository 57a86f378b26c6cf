//! The API against its own description: schemathesis sends what the description allows, and what it does not, and looks
//! whether each answer is one of those that are described.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_tests::{Site, guest, run};

/// How long it may go on, in seconds.
const LONGEST: &str = "90";

/// What is expected beyond the usual, and what is left out.
const SETTINGS: &str = r#"
[checks]
# A field may be as described and still not be what it must be: such a payload, or a schedule.
positive_data_acceptance.expected-statuses = ["2xx", "304", "404", "409", "422", "503"]

# A cursor is what a page gave: no description tells which texts are one.
[[operations]]
include-path = ["/api/v1/jobs", "/api/v1/jobs/{id}/logs", "/api/v1/jobs/{id}/relations", "/api/v1/recurring", "/api/v1/audit"]
include-method = "GET"
checks.positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "404", "409", "422", "503"]

# A token that is made up is none, and too many of them are refused for a while.
[[operations]]
include-operation-id = "post_session"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "429"]

# A component cannot be made up.
[[operations]]
include-operation-id = "post_modules"
enabled = false

# A stream that never ends.
[[operations]]
include-operation-id = "get_events"
enabled = false
"#;

#[test]
#[ignore = "needs schemathesis, which `cargo xtask test api` brings"]
fn every_answer_is_one_that_the_description_knows() -> Result<()> {
    let site = Site::new()?;
    let made: Value = run(&["token", "new", "--role", "admin", "--name", "admin", "--json"], "")?.json()?;
    let (token, sha256) = (made["token"].as_str().context("no token")?, made["sha256"].as_str().context("no digest")?);
    let settings = format!("[[access.tokens]]\nname = \"admin\"\nrole = \"admin\"\nsha256 = \"{sha256}\"\n");
    let config = site.write("windlass.toml", settings)?;
    let mut host = site.start(&["--config", &config.to_string_lossy()])?;
    let as_admin = |arguments: &[&str]| host.json::<Value>(&[arguments, &["--token", token]].concat());
    let component = guest("mixed")?.to_string_lossy().into_owned();
    as_admin(&["deploy", &component, "--name", "mixed"])?;
    for cents in 0..20 {
        let payload = json!({ "card": "4111", "cents": cents }).to_string();
        as_admin(&["enqueue", "mixed/charge", &payload, "--tag", "shop", "--max-attempts", "1"])?;
    }
    as_admin(&["enqueue", "mixed/wait", r#"{ "ms": 600000 }"#])?;
    as_admin(&["enqueue", "mixed/add", r#"{ "a": 1, "b": 2 }"#, "--delay", "1h"])?;
    as_admin(&["recurring", "put", "adding", "@daily", "mixed/add", r#"{ "a": 1, "b": 2 }"#])?;
    as_admin(&["queues", "pause", "mail"])?;

    site.write("schemathesis.toml", SETTINGS)?;
    let mut command = Command::new(schemathesis()?);
    command
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", host.address()))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--max-time", LONGEST, "--seed", "1", "--suppress-health-check", "all", "--request-timeout", "70"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--continue-on-failure"])
        .current_dir(site.path(""));
    let status = command.status().context("failed to run schemathesis")?;
    ensure!(
        status.success(),
        "the API is not as its description says; {status}; the host said:\n{}",
        last(&host.said())
    );
    host.still_runs()?;
    ensure!(host.get("/readyz")?.0 == 200, "the host is not ready any more");
    ensure!(!host.said().contains("panicked"), "something panicked:\n{}", last(&host.said()));
    Ok(())
}

fn last(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(50)..].join("\n")
}

fn schemathesis() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(3).context("the test was not built by cargo")?;
    let program = target.join("schemathesis/bin/schemathesis");
    ensure!(program.is_file(), "{} is not there; `cargo xtask test api` brings it", program.display());
    Ok(program)
}
