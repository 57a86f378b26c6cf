//! Asking twice under one key.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Enqueued, Problem, ProblemCode};
use windlass_test_services::shared;
use windlass_tests::{Host, Site, guest};

fn post(host: &Host<'_>, path: &str, key: &str, body: &Value) -> Result<(u16, String)> {
    let answer = host.ask("POST", path, &[("Idempotency-Key", key)], &body.to_string())?;
    Ok((answer.status, answer.body))
}

fn job(a: u64) -> Value {
    json!({ "handler": "mixed/add", "payload": { "a": a, "b": 2 }, "delay_ms": 3_600_000 })
}

fn one_key_makes_jobs_once(host: &Host<'_>) -> Result<()> {
    host.deploy("mixed", &guest("mixed")?)?;
    let made = |(status, body): (u16, String)| -> Result<Vec<Enqueued>> {
        ensure!(status == 201, "{status} {body}");
        Ok(serde_json::from_str(&body).or_else(|_| serde_json::from_str(&body).map(|one| vec![one]))?)
    };
    let code = |(status, body): (u16, String)| -> Result<(u16, ProblemCode)> {
        Ok((status, serde_json::from_str::<Problem>(&body)?.code))
    };
    let first = made(post(host, "/api/v1/jobs", "one", &job(1))?)?;
    let second = made(post(host, "/api/v1/jobs", "one", &job(1))?)?;
    ensure!(!first[0].existing && second[0].existing && first[0].id == second[0].id, "{first:?} {second:?}");
    ensure!(
        code(post(host, "/api/v1/jobs", "one", &job(7))?)? == (422, ProblemCode::KeyReused),
        "another body was taken"
    );

    let many = json!((0..20).map(job).collect::<Vec<_>>());
    let first = made(post(host, "/api/v1/jobs/bulk", "many", &many)?)?;
    let second = made(post(host, "/api/v1/jobs/bulk", "many", &many)?)?;
    ensure!(first.iter().zip(&second).all(|(first, second)| first.id == second.id && second.existing), "{second:?}");
    for other in [json!([job(0)]), json!((0..21).map(job).collect::<Vec<_>>())] {
        ensure!(code(post(host, "/api/v1/jobs/bulk", "many", &other)?)? == (422, ProblemCode::KeyReused), "{other}");
    }
    let with_id = json!({ "handler": "mixed/add", "payload": { "a": 1, "b": 2 }, "id": first[0].id });
    ensure!(code(post(host, "/api/v1/jobs", "three", &with_id)?)? == (422, ProblemCode::InvalidField), "two ids");
    for wrong in ["", &"k".repeat(256)] {
        ensure!(code(post(host, "/api/v1/jobs", wrong, &job(1))?)? == (400, ProblemCode::BadRequest), "{wrong:?}");
    }
    // What was refused for its payload may be tried again with a better one.
    let bad = json!({ "handler": "mixed/add", "payload": { "a": 1 } });
    ensure!(code(post(host, "/api/v1/jobs", "four", &bad)?)? == (422, ProblemCode::PayloadMismatch), "no payload");
    made(post(host, "/api/v1/jobs", "four", &job(4))?)?;
    let count = host.all_jobs()?.len();
    ensure!(count == 22, "{count} jobs are there");
    Ok(())
}

#[test]
fn one_key_makes_jobs_once_in_sqlite_and_across_a_restart() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    one_key_makes_jobs_once(&host)?;
    host.kill()?;
    let host = site.start(&[])?;
    let (status, body) = post(&host, "/api/v1/jobs", "one", &job(1))?;
    ensure!(status == 201 && serde_json::from_str::<Enqueued>(&body)?.existing, "{status} {body}");
    Ok(())
}

#[test]
fn one_key_makes_jobs_once_in_postgres() -> Result<()> {
    let site = Site::new()?;
    let url = in_a_namespace(&shared::postgres_url()?);
    one_key_makes_jobs_once(&site.start_on(&url, &[])?)
}

#[test]
fn one_key_makes_jobs_once_in_redis() -> Result<()> {
    let site = Site::new()?;
    let url = in_a_namespace(&shared::redis_url()?);
    one_key_makes_jobs_once(&site.start_on(&url, &[])?)
}

fn in_a_namespace(url: &str) -> String {
    let namespace = format!("keys_{}", std::process::id());
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}namespace={namespace}")
}
