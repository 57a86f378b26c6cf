//! The contract needs no SDK: a handler in WebAssembly's text format runs as any other does.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Mode, State};
use windlass_tests::{Site, component};

#[test]
fn a_handler_in_the_text_format_logs_and_gives_its_payload_back() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let deployed = host.deploy("wat-echo", &component("wat-echo")?)?;
    let handlers: Vec<_> =
        deployed.version.handlers.iter().map(|handler| (handler.name.as_str(), handler.mode)).collect();
    ensure!(handlers == [("echo", Mode::Sync)], "{handlers:?}");
    ensure!(deployed.version.sdk == "by hand", "{}", deployed.version.sdk);

    // Also one that is larger than the memory that the handler begins with.
    let requests = [json!({ "a": [1, 2.5, "ü"] }), json!("x".repeat(200_000)), json!(7)]
        .map(|payload| json!({ "handler": "wat-echo/echo", "payload": payload }));
    for (job, request) in host.enqueue_all(requests.clone())?.into_iter().zip(requests) {
        let ended = host.wait(job)?;
        ensure!(ended.job.state == State::Succeeded, "{:?}", ended.job.failure);
        ensure!(host.result::<Value>(job)? == request["payload"], "the result is not the payload");
        let logs = host.logs(job)?;
        ensure!(logs.len() == 1 && logs[0].message == "echoing", "{logs:?}");
    }
    Ok(())
}
