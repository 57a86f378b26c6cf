//! What a network may send: bodies that are nothing, requests that never end, connections that say nothing. Each is
//! answered with a problem, or loses its connection; nothing half-done stays, and the host goes on.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use windlass_api::{Problem, ProblemCode};
use windlass_tests::{Host, Site, guest};

/// Longer than the host waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);

fn request(host: &Host<'_>, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        host.address(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Checks that an answer is a problem, and gives its status and itself.
fn problem(answer: &[u8]) -> Result<(u16, Problem)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text}"))?;
    ensure!(head.to_lowercase().contains("content-type: application/problem+json"), "{text}");
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let problem: Problem = serde_json::from_str(body).with_context(|| text.clone().into_owned())?;
    ensure!(problem.status == status || status == 405, "{text}");
    Ok((status, problem))
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn bodies_that_are_no_job_are_refused_with_what_is_wrong() -> Result<()> {
    let site = Site::new()?;
    let mut host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let deep = "[".repeat(100_000);
    let closed = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let with_payload = |payload: &str| format!(r#"{{"handler":"mixed/add","payload":{payload}}}"#);
    let bodies: Vec<Vec<u8>> = [
        "",
        "not json",
        "{",
        "null",
        "[]",
        "7",
        r#"{"handler":7}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2},"colour":"red"}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2},"priority":1e400}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2},"priority":99999999999999999999999999}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2},"delay_ms":-1}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2},"timeout_ms":18446744073709551615}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2},"run_at":"99999-01-01T00:00:00Z"}"#,
        r#"{"handler":"mixed/add","handler":"mixed/add","payload":{"a":1,"b":2}}"#,
        r#"{"handler":"mixed/add","payload":{"a":1,"b":2}} trailing"#,
        &with_payload("{\"a\":1e999,\"b\":2}"),
        &with_payload("{\"a\":\"\\ud800\",\"b\":2}"),
        &with_payload(&closed),
        &with_payload(&deep),
        &deep,
    ]
    .into_iter()
    .map(|body| body.as_bytes().to_vec())
    .chain([vec![0xff, 0xfe, 0x00], b"{\"handler\":\"mixed/add\xff\"}".to_vec()])
    .collect();
    for body in &bodies {
        for path in ["/api/v1/jobs", "/api/v1/jobs/bulk", "/api/v1/jobs/bulk-actions"] {
            if (path == "/api/v1/jobs/bulk" && body == b"[]") || body.is_empty() {
                continue;
            }
            let shown = || format!("{path} {}", String::from_utf8_lossy(&body[..body.len().min(100)]));
            let (status, problem) =
                problem(&host.exchange(&request(&host, "POST", path, JSON, body))?).with_context(shown)?;
            ensure!((400..500).contains(&status), "{}: {problem:?}", shown());
            ensure!(problem.detail.len() < 2_000, "{}: it repeats too much", shown());
        }
    }
    // Neither another kind of body nor none at all.
    for (headers, body) in [("", &b"{}"[..]), ("Content-Type: text/plain\r\n", b"{}"), (JSON, b"")] {
        let (status, _) = problem(&host.exchange(&request(&host, "POST", "/api/v1/jobs", headers, body))?)?;
        ensure!(status == 400, "{headers:?} gives {status}");
    }
    for (path, headers) in [
        ("/api/v1/jobs/not-an-id", ""),
        ("/api/v1/jobs/%ff", ""),
        ("/api/v1/jobs?limit=18446744073709551616", ""),
        ("/api/v1/jobs?state=asleep", ""),
        ("/api/v1/jobs?cursor=%00", ""),
        ("/api/v1/events?job=x", ""),
        ("/api/v1/nothing", ""),
    ] {
        let (status, _) = problem(&host.exchange(&request(&host, "GET", path, headers, b""))?).context(path)?;
        ensure!(matches!(status, 400 | 404), "{path} gives {status}");
    }
    ensure!(host.all_jobs()?.is_empty(), "something of what was refused is there");
    host.still_runs()
}

#[test]
fn a_body_over_its_limit_is_refused_before_all_of_it_has_come() -> Result<()> {
    let site = Site::new()?;
    let config = site.write("windlass.toml", "[compile]\ncomponent = \"1MiB\"\n")?;
    let mut host = site.start(&["--config", &config.to_string_lossy()])?;
    for (path, bytes) in [("/api/v1/jobs/bulk", 18 << 20), ("/api/v1/modules", 2 << 20), ("/api/v1/session", 5 << 10)] {
        let body = vec![b' '; bytes];
        let answer = host.exchange(&request(&host, "POST", path, JSON, &body))?;
        // Whoever goes on sending may see the connection reset instead of the answer.
        if !answer.is_empty() {
            let (status, problem) = problem(&answer)?;
            let is_refused = problem.code == ProblemCode::TooLarge || path == "/api/v1/session";
            ensure!(is_refused && matches!(status, 413 | 409), "{path}: {status} {problem:?}");
        }
    }
    ensure!(host.json::<Value>(&["modules", "list"])? == json!([]), "a part of a component is there");
    host.still_runs()
}

/// How many files and connections the host has open.
fn open_files(host: &Host<'_>) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", host.process_id()))?.count())
}

fn connect(host: &Host<'_>) -> Result<TcpStream> {
    let stream = TcpStream::connect(host.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

#[test]
fn whoever_breaks_off_or_lets_the_host_wait_loses_the_connection_and_leaves_nothing() -> Result<()> {
    let site = Site::new()?;
    let mut host = site.start(&[])?;
    // What the storage opens when it is first asked stays open.
    ensure!(host.all_jobs()?.is_empty() && host.json::<Value>(&["modules", "list"])? == json!([]), "not a fresh host");
    let before = open_files(&host)?;

    // Uploads that are cut in the middle, in either way.
    for abruptly in [false, true] {
        let mut stream = connect(&host)?;
        let whole = request(&host, "POST", "/api/v1/modules?name=half", "", &vec![0; 1 << 20]);
        stream.write_all(&whole[..whole.len() / 2])?;
        if !abruptly {
            stream.shutdown(Shutdown::Write)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            if !answer.is_empty() {
                let (status, _) = problem(&answer)?;
                ensure!((400..500).contains(&status), "half an upload gives {status}");
            }
        }
    }
    ensure!(host.json::<Value>(&["modules", "list"])? == json!([]), "half a component is there");

    // All of these wait at the same time, since the host lets each wait for half a minute.
    let silent = connect(&host)?;
    let mut slow_head = connect(&host)?;
    write!(slow_head, "GET /api/v1/jobs HTTP/1.1\r\nHost: {}\r\nX-", host.address())?;
    let mut idle = connect(&host)?;
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", host.address())?;
    let mut slow_body = connect(&host)?;
    let head = "POST /api/v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1000";
    write!(slow_body, "{head}\r\nHost: {}\r\n\r\n{{\"handler\":", host.address())?;

    let ends = |mut stream: TcpStream| {
        thread::spawn(move || {
            let mut said = Vec::new();
            stream.read_to_end(&mut said).map(|_| said)
        })
    };
    let waiting = [silent, slow_head, idle, slow_body].map(ends);
    let mut said = Vec::new();
    for waiting in waiting {
        match waiting.join() {
            Ok(answer) => said.push(answer.context("the host never closed the connection")?),
            Err(_) => bail!("the reader panicked"),
        }
    }
    ensure!(said[0].is_empty(), "{:?}", String::from_utf8_lossy(&said[0]));
    ensure!(said[2].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&said[2]));
    let (status, problem) = problem(&said[3])?;
    ensure!(status == 408 && problem.code == ProblemCode::TooSlow, "{problem:?}");

    host.until("nothing that was left open", || Ok((open_files(&host)? <= before + 2).then_some(())))?;
    ensure!(host.all_jobs()?.is_empty(), "half a job is there");
    host.still_runs()
}

#[test]
fn a_path_says_which_methods_it_takes() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let answer = host.ask("PATCH", "/api/v1/jobs", &[], "")?;
    ensure!(answer.status == 405 && answer.header("allow") == Some("GET, HEAD, POST"), "{answer:?}");
    Ok(())
}
