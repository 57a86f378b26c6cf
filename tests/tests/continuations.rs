//! Jobs that continue others, unique jobs, expiry and limits, as applications and handlers have them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{JobDetail, JobId, LimitView, Problem, Relations, State};
use windlass_tests::{Host, HttpAnswer, Job, Site, guest};

fn start(site: &Site) -> Result<Host<'_>> {
    let host = site.start(&[])?;
    host.deploy("follows", &guest("follows")?)?;
    Ok(host)
}

fn post(host: &Host<'_>, path: &str, body: &Value) -> Result<HttpAnswer> {
    host.ask("POST", path, &[("content-type", "application/json")], &body.to_string())
}

fn result(host: &Host<'_>, job: Job) -> Result<String> {
    let detail = host.wait(job)?;
    ensure!(detail.job.state == State::Succeeded, "the job is {}: {:?}", detail.job.state, detail.job.failure);
    Ok(detail.result.context("no result")?.as_str().to_owned())
}

#[test]
fn a_job_reads_what_the_jobs_gave_that_it_continues() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let first = host.enqueue("follows/give", &json!(20), &["--delay", "2s"])?.0.to_string();
    let second = host.enqueue("follows/give", &json!(3), &[])?.0.to_string();
    let sum = host.enqueue("follows/sum", &json!(null), &["--after", &first, "--after", &second])?;
    ensure!(host.show(sum)?.job.reason.as_deref() == Some("parents"), "it does not wait");
    ensure!(result(&host, sum)? == "23", "a wrong sum");
    let relations: Relations = host.ask("GET", &format!("/api/v1/jobs/{}/relations", sum.0), &[], "")?.json()?;
    let parents = relations.parents.iter().map(|parent| (parent.id.to_string(), parent.met)).collect::<Vec<_>>();
    ensure!(parents == [(first, true), (second, true)], "{parents:?}");
    Ok(())
}

#[test]
fn a_job_hears_why_the_one_failed_that_it_continues() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let bad = host.enqueue("follows/give", &json!(-1), &["--delay", "200ms"])?.0.to_string();
    let explain = host.enqueue("follows/explain", &json!(null), &["--after", &bad, "--on", "failure"])?;
    let waiting = host.enqueue("follows/sum", &json!(null), &["--after", &bad])?;
    ensure!(result(&host, explain)? == r#"["negative: -1 is below zero"]"#, "it was told something else");
    ensure!(host.show(waiting)?.job.state == State::Awaiting, "it does not wait for a requeue");
    host.windlass(&["jobs", "delete", &bad])?;
    let gone = host.wait(waiting)?.job;
    ensure!((gone.state, gone.reason.as_deref()) == (State::Deleted, Some("parent-gone")), "{gone:?}");
    Ok(())
}

#[test]
fn further_jobs_continue_the_job_that_asks_for_them_and_are_unique() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let parent = host.enqueue("follows/spawn", &json!(4), &[])?;
    host.wait(parent)?;
    let of_tag = |tag: &'static str| -> Result<Vec<JobId>> {
        let jobs = host.all_jobs()?;
        Ok(jobs.iter().filter(|job| job.tags.iter().any(|own| own == tag)).map(|job| job.id).collect())
    };
    let spawned = of_tag("spawned")?;
    ensure!(spawned.len() == 1, "{spawned:?}");
    ensure!(result(&host, Job(spawned[0]))? == "44", "a wrong sum");
    ensure!(of_tag("seven")?.len() == 1, "the unique job was made twice");
    Ok(())
}

#[test]
fn a_unique_job_is_refused_given_or_replaced_where_another_is_there() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let unique = ["--unique-key", "k", "--delay", "1h"];
    let first = host.enqueue("follows/give", &json!(1), &unique)?;
    let refused = host.windlass(&[&["enqueue", "follows/give", "2"][..], &unique].concat())?;
    ensure!(!refused.status.success() && refused.stderr.contains(&first.0.to_string()), "{refused:?}");
    let answer =
        post(&host, "/api/v1/jobs", &json!({ "handler": "follows/give", "payload": 2, "unique": { "key": "k" } }))?;
    let problem = answer.json::<Problem>()?;
    ensure!((answer.status, problem.job) == (409, Some(first.0)), "{problem:?}");
    let existing = host.enqueue("follows/give", &json!(2), &[&unique[..], &["--on-conflict", "existing"]].concat())?;
    ensure!(existing.0 == first.0 && host.show(first)?.payload.as_str() == "1", "another job was given");
    let replacing = ["--unique-key", "k", "--on-conflict", "replace"];
    let replaced = host.enqueue("follows/give", &json!(3), &replacing)?;
    ensure!(replaced.0 == first.0, "another job was made");
    ensure!(result(&host, first)? == "3", "it did not get the payload");
    Ok(())
}

#[test]
fn a_job_that_nobody_starts_in_time_is_deleted_and_says_why() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    host.windlass(&["queues", "pause", "slow"])?;
    let job = host.enqueue("follows/give", &json!(1), &["--queue", "slow", "--expires", "300ms"])?;
    let ended = host.wait(job)?.job;
    ensure!((ended.state, ended.reason.as_deref()) == (State::Deleted, Some("expired")), "{ended:?}");
    Ok(())
}

#[test]
fn limits_are_put_shown_and_removed_on_the_command_line() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let put: LimitView = host.json(&["queues", "limit", "slow", "--rate", "1/1m"])?;
    ensure!(put.target.to_string() == "queue:slow", "{put:?}");
    let first = host.enqueue("follows/give", &json!(1), &["--queue", "slow"])?;
    host.wait(first)?;
    let second = host.enqueue("follows/give", &json!(2), &["--queue", "slow"])?;
    let held = host.wait_until(second, |detail: &JobDetail| detail.job.held_by.is_some())?;
    ensure!(held.job.state == State::Enqueued, "{held:?}");
    let limits: Vec<LimitView> = host.json(&["limits"])?;
    ensure!(limits.len() == 1 && limits[0].held == 1, "{limits:?}");
    ensure!(host.windlass(&["limits", "remove", "queue:slow"])?.status.success(), "it cannot be removed");
    ensure!(result(&host, second)? == "2", "it was not let go");
    for (arguments, said) in [
        (&["limits", "put", "queue:slow", "--concurrency", "0"][..], "--concurrency <N>': 0 is not in 1..=1000000"),
        (&["limits", "put", "slow", "--concurrency", "1"][..], "expected `queue:NAME`"),
        (&["limits", "put", "queue:slow", "--rate", "1/1ms"][..], "`rate.period_ms` must be 1000"),
        (&["limits", "remove", "queue:none"][..], "there is no limit on queue:none"),
    ] {
        let refused = host.windlass(arguments)?;
        ensure!(!refused.status.success() && refused.stderr.contains(said), "{arguments:?}: {refused:?}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_waited_for_is_refused_by_its_field() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let missing = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55";
    let refused = host.windlass(&["enqueue", "follows/sum", "null", "--after", missing])?;
    ensure!(!refused.status.success() && refused.stderr.contains("`after` names job"), "{refused:?}");
    let circle = json!([
        { "id": missing, "handler": "follows/sum", "after": { "jobs": ["0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d56"] } },
        { "id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d56", "handler": "follows/sum", "after": { "jobs": [missing] } },
    ]);
    let answer = post(&host, "/api/v1/jobs/bulk", &circle)?;
    let problem = answer.json::<Problem>()?;
    ensure!(answer.status == 422 && problem.detail.contains("circle"), "{problem:?}");
    ensure!(host.all_jobs()?.is_empty(), "a part of a refused call was stored");
    Ok(())
}
