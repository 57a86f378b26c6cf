//! Webhooks, as a receiver has them: signed, sent again when they are not taken, each under the same id.

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use windlass_api::State;
use windlass_tests::{Collected, Collector, Host, Launch, Site, guest, run};

const KEY: [u8; 32] = [7; 32];

/// A host that tells this receiver of everything; the secret comes from the environment.
fn start<'a>(site: &'a Site, receiver: &Collector, more: &str) -> Result<Host<'a>> {
    let url = format!("http://{}/hook", receiver.address());
    let text = format!("[[webhooks]]\nurl = \"{url}\"\nsecret = {{ env = \"HOOK_SECRET\" }}\n{more}\n");
    let config = site.write("windlass.toml", text)?;
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let launch = Launch { environment: vec![("HOOK_SECRET".to_owned(), secret)], ..Launch::default() };
    site.start_as(&launch, &["--config", &config.to_string_lossy()])
}

/// Checks a signature as a receiver does, and gives what was signed.
fn checked(event: &Collected) -> Result<(String, Value)> {
    let header = |name: &str| event.header(name).with_context(|| format!("no {name} in {event:?}"));
    let (id, timestamp, signature) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    ensure!(header("content-type")? == "application/json", "{event:?}");
    let signature = signature.strip_prefix("v1,").context("not version 1")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&event.body);
    mac.verify_slice(&STANDARD.decode(signature)?).context("the signature is wrong")?;
    let sent = timestamp.parse::<i64>()?;
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    ensure!((now - sent).abs() < 300, "sent at {sent}, now it is {now}");
    Ok((id.to_owned(), serde_json::from_slice(&event.body)?))
}

/// Waits for so many requests to the receiver, and checks each.
fn told(host: &Host<'_>, receiver: &Collector, count: usize) -> Result<Vec<(String, Value)>> {
    let events = host.until("enough events", || {
        let events = receiver.at("/hook");
        Ok((events.len() >= count).then_some(events))
    })?;
    ensure!(events.len() == count, "more than {count}: {events:?}");
    events.iter().map(checked).collect()
}

#[test]
fn a_failure_and_the_recovery_after_it_are_told_once_each_though_the_receiver_fails_at_first() -> Result<()> {
    let (site, receiver) = (Site::new()?, Collector::refusing(1)?);
    let host = start(&site, &receiver, "")?;
    host.deploy("mixed", &guest("mixed")?)?;
    let failing = host.enqueue("mixed/add", &json!({ "a": i64::MAX, "b": 1 }), &["--max-attempts", "1"])?;
    let events = told(&host, &receiver, 2)?;
    let (id, body) = &events[0];
    ensure!(&events[1].0 == id && &events[1].1 == body, "what is sent again is the same: {events:?}");
    let data = &body["data"];
    ensure!(
        body["type"] == "job.failed" && data["handler"] == "mixed/add" && data["job"] == failing.0.to_string(),
        "{body}"
    );
    ensure!(data["queue"] == "default" && data["attempt"] == 1 && data["message"].is_string(), "{body}");
    ensure!(body.to_string().find("9223372036854775807").is_none(), "what a job was given is not told: {body}");

    for _ in 0..3 {
        let fine = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &[])?;
        host.result::<i64>(fine)?;
    }
    let events = told(&host, &receiver, 3)?;
    let body = &events[2].1;
    ensure!(body["type"] == "handler.recovered" && body["data"]["failed_job"] == failing.0.to_string(), "{body}");
    ensure!(body["data"]["failed_jobs"] == 1, "{body}");

    let answer = host.ask("GET", "/metrics", &[], "")?;
    for (outcome, count) in [("delivered", 2), ("refused", 1)] {
        let line = format!(
            "windlass_webhook_events_total{{receiver=\"{}\",outcome=\"{outcome}\"}} {count}",
            receiver.address()
        );
        ensure!(answer.body.contains(&line), "{line} is not in {}", answer.body);
    }
    Ok(())
}

#[test]
fn a_receiver_hears_only_of_what_it_asks_for() -> Result<()> {
    let (site, receiver) = (Site::new()?, Collector::start()?);
    let host = start(&site, &receiver, "events = [\"failed\"]\nqueues = [\"mail\"]")?;
    host.deploy("mixed", &guest("mixed")?)?;
    let failing = json!({ "a": i64::MAX, "b": 1 });
    host.enqueue("mixed/add", &failing, &["--max-attempts", "1"])?;
    host.all_ended()?;
    host.enqueue("mixed/add", &failing, &["--max-attempts", "1", "--queue", "mail"])?;
    let events = told(&host, &receiver, 1)?;
    ensure!(events[0].1["data"]["queue"] == "mail", "{events:?}");
    Ok(())
}

#[test]
fn a_host_that_stops_sends_what_is_on_its_way() -> Result<()> {
    let (site, receiver) = (Site::new()?, Collector::start()?);
    let host = start(&site, &receiver, "")?;
    host.deploy("mixed", &guest("mixed")?)?;
    host.enqueue("mixed/add", &json!({ "a": i64::MAX, "b": 1 }), &["--max-attempts", "1"])?;
    host.all_ended()?;
    ensure!(host.stop()?.success(), "the host should have stopped in order");
    let events = receiver.at("/hook");
    ensure!(events.len() == 1, "{events:?}");
    checked(&events[0])?;
    Ok(())
}

#[test]
fn a_job_whose_last_attempt_is_lost_with_its_host_is_told_by_the_next() -> Result<()> {
    let (site, receiver) = (Site::new()?, Collector::start()?);
    let host = start(&site, &receiver, "")?;
    host.deploy("mixed", &guest("mixed")?)?;
    let lost = host.enqueue("mixed/wait", &json!({ "ms": 3_600_000 }), &["--max-attempts", "1", "--timeout", "1h"])?;
    host.until("the job to run", || Ok((host.show(lost)?.job.state == State::Processing).then_some(())))?;
    host.kill()?;
    let host = start(&site, &receiver, "")?;
    let events = told(&host, &receiver, 1)?;
    let body = &events[0].1;
    ensure!(body["type"] == "job.failed" && body["data"]["job"] == lost.0.to_string(), "{body}");
    ensure!(body["data"]["cause"] == "server-lost", "{body}");
    Ok(())
}

#[test]
fn a_secret_that_is_none_is_told_by_check_and_keeps_a_host_from_starting() -> Result<()> {
    let site = Site::new()?;
    site.write("secret", "hunter2")?;
    let secret = site.path("secret");
    let text = format!(
        "[[webhooks]]\nurl = \"https://example.com/hook\"\nsecret = {{ file = {:?} }}\n",
        secret.display().to_string()
    );
    let config = site.write("windlass.toml", text)?;
    let answer = run(&["check", "--config", &config.to_string_lossy(), "--storage", &site.storage()], "")?;
    ensure!(
        answer.status.code() == Some(1) && answer.stdout.contains("example.com") && answer.stdout.contains("whsec_"),
        "{answer:?}"
    );
    ensure!(!answer.stdout.contains("hunter2"), "{answer:?}");
    let error = site.start(&["--config", &config.to_string_lossy()]).err().context("it started")?.to_string();
    ensure!(error.contains("the webhook to example.com") && !error.contains("hunter2"), "{error}");
    Ok(())
}
