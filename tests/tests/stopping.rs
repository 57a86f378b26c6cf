//! Stopping jobs and hosts.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Cause, CommandReply, State, Timestamp};
use windlass_tests::{Job, Site, guest};

/// The figure to reach is 50 ms; a busy machine, and the start of a command, are given ten times that.
const GENEROUS_MS: u64 = 500;

fn now() -> Result<Timestamp> {
    Ok(Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?))
}

#[test]
fn an_endless_loop_stops_soon_after_its_timeout() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&["--sync-slots", "1", "--async-slots", "1"])?;
    for guest_name in ["endless_loop", "endless_async", "sleeps"] {
        host.deploy("bad", &guest(guest_name)?)?;
        let handler = if guest_name == "sleeps" { "bad/sleep" } else { "bad/spin" };
        let job = host.enqueue(handler, &Value::Null, &["--timeout", "300ms", "--max-attempts", "1"])?;
        let wall_us = host.fails_by(job, Cause::Timeout)?.job.usage.unwrap_or_default().wall_us;
        println!("{guest_name}: stopped {:.1} ms after its timeout", wall_us as f64 / 1e3 - 300.0);
        ensure!(wall_us >= 300_000, "{guest_name} was stopped before its timeout: after {wall_us} µs");
        ensure!(wall_us < 300_000 + GENEROUS_MS * 1_000, "{guest_name} ran for {wall_us} µs");
    }
    Ok(())
}

#[test]
fn an_endless_loop_stops_soon_after_it_is_cancelled() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&["--sync-slots", "1", "--async-slots", "1"])?;
    for guest_name in ["endless_loop", "endless_async", "sleeps"] {
        host.deploy("bad", &guest(guest_name)?)?;
        let handler = if guest_name == "sleeps" { "bad/sleep" } else { "bad/spin" };
        let job = host.enqueue(handler, &Value::Null, &[])?;
        host.wait_until(job, |detail| detail.job.state == State::Processing)?;
        let asked_at = now()?;
        let reply: CommandReply = host.json(&["jobs", "cancel", &job.0.to_string()])?;
        println!("{guest_name}: cancel answered with {reply:?}");
        let detail = host.wait(job)?;
        let took_ms = detail.job.finished_at.unwrap_or_default().ms_since(asked_at);
        println!("{guest_name}: stopped {took_ms} ms after the command to cancel was started");
        ensure!(detail.job.state == State::Deleted, "it ended as {detail:?}");
        ensure!(detail.job.reason.as_deref() == Some("cancelled"), "the reason is {:?}", detail.job.reason);
        ensure!(took_ms < GENEROUS_MS, "it went on for {took_ms} ms");
        ensure!(detail.job.usage.is_some_and(|usage| usage.wall_us > 0), "nothing was reported of its use");
    }
    Ok(())
}

#[test]
fn a_job_that_waits_is_cancelled_at_once_and_may_be_requeued() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let job = host.enqueue("mixed/add", &json!({ "a": 1, "b": 1 }), &["--delay", "1h"])?;
    let id = job.0.to_string();
    ensure!(host.show(job)?.job.state == State::Scheduled, "it is not scheduled");
    let reply: CommandReply = host.json(&["jobs", "cancel", &id])?;
    ensure!(reply.state == State::Deleted && !reply.pending, "{reply:?}");
    host.windlass(&["jobs", "cancel", &id])?.complains_of(&["deleted"])?;
    let reply: CommandReply = host.json(&["jobs", "requeue", &id])?;
    ensure!(reply.state == State::Enqueued, "{reply:?}");
    ensure!(host.result::<i64>(job)? == 2, "the requeued job went wrong");
    Ok(())
}

#[test]
fn a_host_that_is_told_to_stop_lets_jobs_end_within_the_grace_period() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&["--sync-slots", "1", "--async-slots", "1", "--shutdown-grace", "30s"])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let running = [("mixed/compute", 1_000), ("mixed/wait", 1_000)]
        .map(|(handler, ms)| host.enqueue(handler, &json!({ "ms": ms }), &[]));
    let running = running.into_iter().collect::<Result<Vec<Job>>>()?;
    for job in &running {
        host.wait_until(*job, |detail| detail.job.state == State::Processing)?;
    }
    let waiting = host.enqueue("mixed/compute", &json!({ "ms": 1 }), &[])?;
    let status = host.stop()?;
    ensure!(status.success(), "the host ended with {status}");

    let host = site.start(&[])?;
    for job in running {
        let detail = host.show(job)?;
        ensure!(detail.job.state == State::Succeeded && detail.job.run == 1, "it did not end in peace: {detail:?}");
    }
    let detail = host.wait(waiting)?;
    ensure!(detail.job.state == State::Succeeded, "what waited was lost: {detail:?}");
    Ok(())
}

#[test]
fn a_host_that_is_told_to_stop_gives_attempts_back_after_the_grace_period() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&["--sync-slots", "1", "--async-slots", "1", "--shutdown-grace", "100ms"])?;
    host.deploy("loop", &guest("endless_loop")?)?;
    host.deploy("mixed", &guest("mixed")?)?;
    let jobs = [
        host.enqueue("loop/spin", &Value::Null, &["--max-attempts", "1"])?,
        host.enqueue("mixed/wait", &json!({ "ms": 3_600_000 }), &["--max-attempts", "1", "--timeout", "2h"])?,
    ];
    for job in jobs {
        host.wait_until(job, |detail| detail.job.state == State::Processing)?;
    }
    let status = host.stop()?;
    ensure!(status.success(), "the host ended with {status}");

    // A host that takes from another queue only, so that the jobs stay as they were left.
    let host = site.start(&["--queues", "another"])?;
    for job in jobs {
        let detail = host.show(job)?;
        ensure!(detail.job.state == State::Enqueued, "it was not given back: {detail:?}");
        ensure!(detail.job.attempt == 0 && detail.job.run == 1, "its attempt was not given back: {detail:?}");
        let last = detail.history.last().and_then(|line| line.reason.clone());
        ensure!(last.as_deref() == Some("shutdown"), "the history says {:?}", detail.history);
    }
    Ok(())
}
