//! A recorded step is never done again, whenever its job or its host is interrupted.

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::{CommandReply, JobDetail, State};
use windlass_tests::{Effect, Effects, Host, Job, Site, guest};

/// The two modes of the same three steps.
const HANDLERS: [&str; 2] = ["steps/on_a_thread", "steps/as_a_task"];

/// A site whose module `steps` may write down what it does.
fn site() -> Result<(Site, Effects)> {
    let site = Site::new()?;
    let effects = Effects::new(&site)?;
    site.write("windlass.toml", effects.grant("steps"))?;
    Ok((site, effects))
}

fn start(site: &Site) -> Result<Host<'_>> {
    let host = site.start(&[])?;
    host.deploy("steps", &guest("steps")?)?;
    Ok(host)
}

/// Checks what the steps of a job did: each the name of the step and the run.
fn did(effects: &Effects, job: Job, expected: &[(&str, u32)]) -> Result<()> {
    let expected = expected.iter().map(|(name, run)| Effect { key: format!("{}-{name}", job.0), run: *run });
    let (expected, done) = (expected.collect::<Vec<_>>(), effects.of(job)?);
    ensure!(done == expected, "expected {expected:#?}, but this was done: {done:#?}");
    Ok(())
}

#[test]
fn each_step_is_done_once_though_its_job_fails_after_every_one() -> Result<()> {
    let (site, effects) = site()?;
    let host = start(&site)?;
    for handler in HANDLERS {
        let job = host.enqueue(handler, &json!({ "fail": 3 }), &[])?;
        let runs: [u32; 3] = host.result(job)?;
        ensure!(runs == [1, 2, 3], "{handler} gave {runs:?}");
        ensure!(host.show(job)?.job.attempt == 4, "{handler} did not fail three times");
        did(&effects, job, &[("one", 1), ("two", 2), ("three", 3)])?;
        let logs = host.logs(job)?;
        let found = logs.iter().filter(|line| line.run == 4 && line.message.contains("recorded by an earlier run"));
        ensure!(found.count() == 3, "the log does not tell which steps were found: {logs:#?}");
    }
    Ok(())
}

#[test]
fn a_step_that_a_killed_host_interrupted_is_done_again_with_its_key_and_no_other_is() -> Result<()> {
    let (site, effects) = site()?;
    let host = start(&site)?;
    effects.hold()?;
    let mut jobs = Vec::new();
    for handler in HANDLERS {
        jobs.push(host.enqueue(handler, &json!({}), &[])?);
    }
    for job in &jobs {
        host.until("the second step", || Ok((effects.of(*job)?.len() == 2).then_some(())))?;
    }
    host.kill()?;
    effects.release()?;

    let host = site.start(&[])?;
    for job in jobs {
        let runs: [u32; 3] = host.result(job)?;
        ensure!(runs == [1, 2, 2], "the job gave {runs:?}");
        did(&effects, job, &[("one", 1), ("two", 1), ("two", 2), ("three", 2)])?;
    }
    Ok(())
}

#[test]
fn a_requeue_keeps_steps_unless_it_is_asked_for_a_fresh_one() -> Result<()> {
    let (site, effects) = site()?;
    let host = start(&site)?;
    let job = host.enqueue(HANDLERS[0], &json!({}), &[])?;
    let id = job.0.to_string();
    host.wait(job)?;
    let ended_in = |run: u32| move |detail: &JobDetail| detail.job.state == State::Succeeded && detail.job.run == run;

    let _: CommandReply = host.json(&["jobs", "requeue", &id])?;
    let again = host.wait_until(job, ended_in(2))?;
    ensure!(again.result.is_some_and(|result| result.as_str() == "[1,1,1]"), "a recorded result was lost");
    did(&effects, job, &[("one", 1), ("two", 1), ("three", 1)])?;

    let _: CommandReply = host.json(&["jobs", "requeue", &id, "--fresh"])?;
    let anew = host.wait_until(job, ended_in(3))?;
    ensure!(anew.result.is_some_and(|result| result.as_str() == "[3,3,3]"), "a step was not done anew");
    did(&effects, job, &[("one", 1), ("two", 1), ("three", 1), ("one", 3), ("two", 3), ("three", 3)])
}
