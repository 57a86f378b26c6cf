//! Whoever asks again and again, and whoever asks for less to be sent.

use anyhow::{Context, Result, ensure};
use windlass_tests::{Site, guest};

#[test]
fn what_has_not_changed_is_not_sent_again() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    for path in ["/api/v1/jobs", "/api/v1/jobs/count", "/api/v1/counts", "/api/v1/queues", "/api/v1/modules"] {
        let first = host.ask("GET", path, &[], "")?;
        let tag = first.header("etag").with_context(|| format!("{path} has no tag: {first:?}"))?;
        ensure!(tag.starts_with("W/\""), "{tag}");
        let again = host.ask("GET", path, &[("If-None-Match", tag)], "")?;
        ensure!(again.status == 304 && again.body.is_empty() && again.header("etag") == Some(tag), "{path}: {again:?}");
        ensure!(again.header("cache-control") == Some("no-store"), "{path}: {again:?}");
    }
    let tag = host.ask("GET", "/api/v1/queues", &[], "")?.header("etag").context("no tag")?.to_owned();
    host.json::<serde_json::Value>(&["queues", "pause", "mail"])?;
    let changed = host.ask("GET", "/api/v1/queues", &[("If-None-Match", &tag)], "")?;
    ensure!(changed.status == 200 && changed.header("etag") != Some(&tag), "{changed:?}");
    let session = host.ask("GET", "/api/v1/session", &[], "")?;
    ensure!(session.header("etag").is_none(), "{session:?}");
    let missing = host.ask("GET", "/api/v1/modules/none", &[], "")?;
    ensure!(missing.status == 404 && missing.header("etag").is_none(), "{missing:?}");
    Ok(())
}

#[test]
fn answers_are_compressed_for_whoever_takes_that_and_events_never() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let ask = |accept: &str| {
        let request = format!(
            "GET /api/v1/modules HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept-Encoding: {accept}\r\n\r\n",
            host.address()
        );
        host.exchange(request.as_bytes())
    };
    let plain = ask("identity")?;
    for coding in ["gzip", "br"] {
        let answer = ask(coding)?;
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        ensure!(head.contains(&format!("content-encoding: {coding}\r\n")), "{head}");
        ensure!(answer.len() * 2 < plain.len(), "{coding}: {} bytes of {}", answer.len(), plain.len());
    }
    // Read as text, which compressed events would not be.
    let mut events = host.follow("", &[("Accept-Encoding", "gzip, br")])?;
    ensure!(!events.next_event()?.id.is_empty(), "no event");
    Ok(())
}
