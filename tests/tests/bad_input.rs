//! What is wrong is refused: with a message that names the thing and what was expected, with an exit code other than 0,
//! and with nothing half-done.

use std::fs;

use anyhow::{Result, ensure};
use rusqlite::Connection;
use serde_json::{Value, json};
use windlass_tests::{Answer, Host, Site, guest, run};

/// Deploys bytes that must be refused and checks that no module stays.
fn deploy_is_refused(host: &Host<'_>, bytes: &[u8], words: &[&str]) -> Result<()> {
    let file = host.site().write("refused.wasm", bytes)?;
    let file = file.to_string_lossy();
    host.windlass(&["deploy", &file, "--name", "refused"])?.complains_of(words)?;
    run(&["run", &file, "any", "null"], "")?.complains_of(words)?;
    let modules: Value = host.json(&["modules", "list"])?;
    ensure!(!modules.to_string().contains("refused"), "a refused module is there: {modules}");
    Ok(())
}

/// Enqueues what must be refused and checks that no job stays.
fn enqueue_is_refused(host: &Host<'_>, arguments: &[&str], words: &[&str]) -> Result<()> {
    host.windlass(&[&["enqueue"], arguments].concat())?.complains_of(words)?;
    ensure!(host.all_jobs()?.is_empty(), "a refused job is there");
    Ok(())
}

/// Starts a host that must refuse to start.
fn start_is_refused(arguments: &[&str], words: &[&str]) -> Result<()> {
    let answer: Answer = run(&[&["serve"], arguments].concat(), "")?;
    answer.complains_of(words)
}

#[test]
fn what_is_not_a_component_is_refused() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    deploy_is_refused(&host, b"this is a text", &["component"])?;
    deploy_is_refused(&host, b"", &["component"])?;
    // The header of a core module without any section.
    deploy_is_refused(&host, b"\0asm\x01\0\0\0", &["core module", "component"])?;
    deploy_is_refused(&host, &precompiled(), &["precompiled", "component"])?;
    let half = fs::read(guest("mixed")?)?;
    deploy_is_refused(&host, &half[..half.len() / 2], &["component"])
}

/// The header of what wasmtime precompiles: an ELF file for no machine, of wasmtime's own "operating system", marked as a
/// component. Refusing must not need more than that.
fn precompiled() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..9].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 200, 0]);
    header[16] = 2; // An executable,
    header[20] = 1; // of the format's only version,
    header[48] = 2; // marked as a component,
    header[52] = 64; // whose header is this long.
    header
}

#[test]
fn a_component_over_the_size_limit_is_refused() -> Result<()> {
    let site = Site::new()?;
    let config = site.write("windlass.toml", "[compile]\ncomponent = \"64KiB\"\n")?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let file = guest("mixed")?;
    host.windlass(&["deploy", &file.to_string_lossy()])?.complains_of(&["limit"])?;
    let modules: Value = host.json(&["modules", "list"])?;
    ensure!(!modules.to_string().contains("handlers"), "a refused module is there: {modules}");
    Ok(())
}

#[test]
fn a_job_that_nobody_can_do_is_refused() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let good = r#"{ "a": 1, "b": 2 }"#;
    enqueue_is_refused(&host, &["nobody/add", good], &["nobody"])?;
    enqueue_is_refused(&host, &["mixed/divide", good], &["divide"])?;
    enqueue_is_refused(&host, &["mixed", good], &["mixed", "module/handler"])?;
    enqueue_is_refused(&host, &["mixed/add", "{"], &["json"])?;
    enqueue_is_refused(&host, &["mixed/add", r#"{ "a": 1 }"#], &["b"])?;
    enqueue_is_refused(&host, &["mixed/add", r#"{ "a": 1, "b": "two" }"#], &["two", "integer"])?;
    enqueue_is_refused(&host, &["mixed/add", good, "--priority", "10"], &["priority"])?;
    enqueue_is_refused(&host, &["mixed/add", good, "--max-attempts", "0"], &["attempts"])?;
    enqueue_is_refused(&host, &["mixed/add", good, "--queue", "a b"], &["a b", "queue"])?;
    enqueue_is_refused(&host, &["mixed/add", good, "--timeout", "soon"], &["soon"])?;
    let large = host.site().write("large.json", json!({ "a": 1, "b": 2, "c": "x".repeat(300 << 10) }).to_string())?;
    enqueue_is_refused(&host, &["mixed/add", &format!("@{}", large.display())], &["payload", "262144"])
}

/// Asks for what must be refused, and checks that the problem names each of these.
fn request_is_refused(host: &Host<'_>, method: &str, path: &str, body: &Value, words: &[&str]) -> Result<()> {
    let answer = host.ask(method, path, &[], &body.to_string())?;
    ensure!(matches!(answer.status, 400 | 409 | 413 | 422), "{method} {path} {body}: {answer:?}");
    let told = answer.body.to_lowercase();
    println!("{method} {path} {body}: {told}");
    for word in words {
        ensure!(told.contains(&word.to_lowercase()), "{method} {path} {body} does not name `{word}`: {told}");
    }
    Ok(())
}

const NOBODY: &str = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55";
const NOBODY_ELSE: &str = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d56";

#[test]
fn a_condition_that_cannot_be_is_refused_with_its_field_and_what_is_allowed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let (good, long) = (r#"{ "a": 1, "b": 2 }"#, "x".repeat(201));
    for (options, words) in [
        (&["--at", "2026-02-30T00:00:00Z"][..], &["--at", "2026-02-30", "rfc 3339"][..]),
        (&["--at", "tomorrow"], &["--at", "rfc 3339"]),
        (&["--delay", "4000d"], &["delay_ms", "10 years"]),
        (&["--expires-at", "2026-13-01T00:00:00Z"], &["--expires-at", "rfc 3339"]),
        (&["--delay", "1h", "--expires", "1m"], &["would expire", "more time than --delay"]),
        (&["--after", NOBODY], &["after", NOBODY, "not here"]),
        (&["--after", "the first"], &["--after", "uuid"]),
        (&["--after", NOBODY, "--on", "sunday"], &["--on", "success", "failure", "finished"]),
        (&["--unique-key", &long], &["unique.key", "1 to 200 bytes", "201"]),
        (&["--unique-key", ""], &["unique.key", "1 to 200 bytes"]),
        (&["--unique-field", "order"], &["unique.fields", "json pointers"]),
        (&["--unique-for", "0s"], &["unique.period_ms", "10 years"]),
        (&["--limit-key", &long], &["--limit-key", "1 to 200 bytes"]),
    ] {
        enqueue_is_refused(&host, &[&["mixed/add", good], options].concat(), words)?;
    }
    for (field, value, words) in [
        ("run_at", json!("2026-02-30T00:00:00Z"), &["run_at", "rfc 3339"][..]),
        ("run_at", json!(5), &["run_at", "rfc 3339"]),
        ("delay_ms", json!(-1), &["delay_ms", "not below 0"]),
        ("expires_at", json!("2026-02-30T00:00:00Z"), &["expires_at", "rfc 3339"]),
        ("after", json!({ "jobs": [NOBODY] }), &["after", NOBODY, "not here"]),
        ("after", json!({ "jobs": [] }), &["after", "1 to 100 jobs"]),
        ("after", json!({ "jobs": ["first"] }), &["after.jobs", "uuid"]),
        ("after", json!({ "jobs": [NOBODY], "on": "sunday" }), &["after.on", "success", "failure", "finished"]),
        ("unique", json!({ "key": long }), &["unique.key", "1 to 200 bytes"]),
        ("unique", json!({ "period_ms": 0 }), &["unique.period_ms", "10 years"]),
        ("unique", json!({ "states": ["lost"] }), &["unique.states", "scheduled"]),
        ("limit_key", json!(long), &["limit_key", "1 to 200 bytes"]),
        ("limit_key", json!(""), &["limit_key", "1 to 200 bytes"]),
    ] {
        let mut job = json!({ "handler": "mixed/add", "payload": { "a": 1, "b": 2 } });
        job[field] = value;
        request_is_refused(&host, "POST", "/api/v1/jobs", &job, words)?;
    }
    let job = |own: &str, parent: &str| {
        let payload = json!({ "a": 1, "b": 2 });
        json!({ "handler": "mixed/add", "payload": payload, "id": own, "after": { "jobs": [parent] } })
    };
    request_is_refused(&host, "POST", "/api/v1/jobs", &job(NOBODY, NOBODY), &["after", "itself"])?;
    let circle = json!([job(NOBODY, NOBODY_ELSE), job(NOBODY_ELSE, NOBODY)]);
    request_is_refused(&host, "POST", "/api/v1/jobs/bulk", &circle, &["job 1 of 2", "after", "circle"])?;
    ensure!(host.all_jobs()?.is_empty(), "a refused job is there");
    Ok(())
}

#[test]
fn a_limit_that_cannot_be_is_refused_with_its_field_and_what_is_allowed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let (long, range) = (format!("key:{}", "x".repeat(201)), "1 to 1000000");
    for (arguments, words) in [
        (&["put", "key:shop", "--concurrency", "0"][..], &["--concurrency", "1..=1000000"][..]),
        (&["put", "key:shop", "--concurrency", "-1"], &["--concurrency", "1..=1000000"]),
        (&["put", "key:shop", "--rate", "0/1m"], &["--rate", range]),
        (&["put", "key:shop", "--rate", "-5/1m"], &["--rate", range]),
        (&["put", "key:shop", "--rate", "5/0s"], &["--rate", "1s to 31d"]),
        (&["put", "key:shop", "--rate", "5"], &["--rate", "100/1m"]),
        (&["put", "key:shop"], &["--concurrency", "--rate"]),
        (&["put", "shop", "--concurrency", "1"], &["<target>", "queue:name"]),
        (&["put", &long, "--concurrency", "1"], &["<target>", "1 to 200 bytes"]),
    ] {
        host.windlass(&[&["limits"], arguments].concat())?.complains_of(words)?;
    }
    host.windlass(&["queues", "limit", "mail", "--concurrency", "0"])?
        .complains_of(&["--concurrency", "1..=1000000"])?;
    for (target, rule, words) in [
        ("key:shop", json!({ "concurrency": 0 }), &["concurrency", range][..]),
        ("key:shop", json!({ "concurrency": -1 }), &["concurrency", range]),
        ("key:shop", json!({ "rate": { "count": 0, "period_ms": 1_000 } }), &["rate.count", range]),
        ("key:shop", json!({ "rate": { "count": -5, "period_ms": 1_000 } }), &["rate.count", range]),
        ("key:shop", json!({ "rate": { "count": 5, "period_ms": 0 } }), &["rate.period_ms", "31 days"]),
        ("key:shop", json!({}), &["concurrency", "rate"]),
        ("shop", json!({ "concurrency": 1 }), &["queue:name"]),
        (&long, json!({ "concurrency": 1 }), &["1 to 200 bytes"]),
    ] {
        request_is_refused(&host, "PUT", &format!("/api/v1/limits/{target}"), &rule, words)?;
    }
    let limits: Value = host.json(&["limits", "list"])?;
    ensure!(limits == json!([]), "a refused limit is there: {limits}");
    Ok(())
}

#[test]
fn a_bad_line_among_many_refuses_all_of_them() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let lines = concat!(
        r#"{ "handler": "mixed/add", "payload": { "a": 1, "b": 2 } }"#,
        "\n",
        r#"{ "handler": "mixed/add", "payload": { "a": 1, "b": 2 }, "colour": "red" }"#,
        "\n",
    );
    host.windlass_with_input(&["enqueue", "--jsonl", "-"], lines)?.complains_of(&["2", "colour"])?;
    ensure!(host.all_jobs()?.is_empty(), "a part of what was refused is there");
    Ok(())
}

#[test]
fn an_unknown_key_in_the_configuration_is_refused_with_the_nearest_known_one() -> Result<()> {
    let site = Site::new()?;
    let cases = [
        ("sync_slot = 3\n", ["sync_slot", "sync_slots"]),
        ("[limits]\nmemry = \"1 MiB\"\n", ["memry", "memory"]),
        ("[module.images]\ndirectorys = []\n", ["directorys", "directories"]),
        ("sync_slots = \"many\"\n", ["sync_slots", "many"]),
        ("sync_slots = \n", ["windlass.toml", "line 1"]),
    ];
    for (text, words) in cases {
        let config = site.write("windlass.toml", text)?;
        start_is_refused(&["--storage", &site.storage(), "--config", &config.to_string_lossy()], &words)?;
    }
    ensure!(!site.path("windlass.db").exists(), "a host that did not start made a storage");
    start_is_refused(&["--config", "not-there.toml"], &["not-there.toml"])
}

#[test]
fn a_port_in_use_is_named() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let other = Site::new()?;
    let address = host.address();
    start_is_refused(&["--storage", &other.storage(), "--listen", &address], &[&address, "in use"])
}

#[test]
fn a_storage_that_another_host_holds_is_refused() -> Result<()> {
    let site = Site::new()?;
    let mut host = site.start(&[])?;
    start_is_refused(&["--storage", &site.storage(), "--listen", "127.0.0.1:0"], &["windlass.db", "another"])?;
    host.still_runs()
}

#[test]
fn a_storage_of_a_newer_version_is_refused_and_left_as_it_is() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let job = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &[])?;
    let before = host.wait(job)?;
    host.stop()?;

    let storage = || Connection::open(site.path("windlass.db"));
    let version = || storage()?.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    let known = version()?;
    storage()?.pragma_update(None, "user_version", known + 1)?;
    start_is_refused(&["--storage", &site.storage(), "--listen", "127.0.0.1:0"], &["windlass.db", "newer"])?;
    ensure!(version()? == known + 1, "the version was changed by who refused it");
    storage()?.pragma_update(None, "user_version", known)?;
    let host = site.start(&[])?;
    ensure!(host.show(job)? == before, "what was in the storage has changed: {:?}", host.show(job)?);
    Ok(())
}

#[test]
fn a_storage_that_cannot_be_is_refused() -> Result<()> {
    let site = Site::new()?;
    let text = site.write("notes.txt", "This is not a database. ".repeat(100))?;
    start_is_refused(&["--storage", &format!("sqlite:{}", text.display())], &["notes.txt", "not a database"])?;
    start_is_refused(&["--storage", "oracle:there"], &["oracle", "sqlite"])?;
    start_is_refused(&["--storage", "sqlite:/not/there/windlass.db"], &["/not/there"])
}

#[test]
fn commands_say_when_no_host_answers() -> Result<()> {
    for command in [&["jobs", "list"][..], &["modules", "list"], &["enqueue", "a/b", "null"]] {
        // Port 9 is kept for a service that throws everything away; nobody runs it.
        let arguments = [command, &["--url", "http://127.0.0.1:9"]].concat();
        run(&arguments, "")?.complains_of(&["http://127.0.0.1:9", "windlass serve"])?;
    }
    Ok(())
}
