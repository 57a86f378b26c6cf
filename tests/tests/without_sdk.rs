//! The contract needs no SDK: a handler in WebAssembly's text format runs as any other does.

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::{Mode, State};
use windlass_tests::{Site, component};

#[test]
fn a_handler_in_the_text_format_logs_and_gives_its_payload_back() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let deployed = host.deploy("wat-echo", &component("wat-echo")?)?;
    let handlers: Vec<_> = deployed.version.handlers.iter().map(|handler| (handler.name.as_str(), handler.mode)).collect();
    ensure!(handlers == [("echo", Mode::Sync)], "{handlers:?}");
    ensure!(deployed.version.sdk == "by hand", "{}", deployed.version.sdk);

    // Also one that is larger than the memory that the handler begins with.
    for payload in [json!({ "a": [1, 2.5, "ü"] }), json!("x".repeat(200_000)), json!(null)] {
        let job = host.enqueue(&json!({ "handler": "wat-echo/echo", "payload": payload }))?;
        let ended = host.wait_until(job, |detail| detail.job.state.is_final())?;
        ensure!(ended.job.state == State::Succeeded, "{:?}", ended.job.failure);
        ensure!(ended.result == Some(payload), "the result is not the payload");
    }
    Ok(())
}
