//! A guest takes down its own job at most. Each guest of `tests/guests` is let loose in every slot of its kind, must fail
//! by its own cause, and must leave every slot fit for good jobs.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{Cause, JobDetail, LogLine, RecurringJob, State};
use windlass_tests::{Effects, Host, Job, Site, chaos::Records, guest, guest_names, overlap, run};

/// Slots of each kind: more than one, so that a slot that is lost shows, and few, so that every one gets its turn.
const SLOTS: usize = 2;

/// Names each guest with the test that lets it loose. A guest without a test does not pass.
macro_rules! guests {
    ($($guest:ident => $test:ident,)*) => {
        const TESTED: &[&str] = &[$(stringify!($guest)),*];
        $(const _: fn() -> Result<()> = $test;)*
    };
}

guests! {
    describe_loops => a_component_that_never_describes_itself_is_refused,
    describe_traps => a_component_that_traps_in_describe_is_refused,
    endless_async => an_endless_loop_in_an_async_handler_is_timed_out,
    endless_loop => an_endless_loop_is_timed_out_or_runs_out_of_fuel,
    exits => a_handler_that_exits_fails_whatever_its_status,
    follow_up_flood => a_flood_of_follow_up_jobs_is_refused_and_leaves_none,
    follows => a_handler_is_told_nothing_of_a_job_that_it_does_not_continue,
    impossible_schedule => a_component_with_an_impossible_schedule_is_refused,
    large_frames => a_stack_overflow_in_the_guests_own_memory_is_a_trap,
    log_flood => a_flood_of_logs_is_cut_off_and_the_log_says_so,
    memory_hog => a_memory_hog_runs_out_of_memory,
    mixed => good_jobs_of_both_modes_run_in_every_slot,
    no_exports => a_component_without_handlers_is_refused,
    panics => a_panic_fails_with_its_message_in_the_log,
    reaches_out => a_handler_reaches_nothing_that_was_not_granted,
    result_not_json => a_result_that_is_not_json_fails,
    result_too_large => a_result_over_the_limit_fails,
    scheduled => what_a_module_declares_is_put_in_place_and_fired,
    sleeps => sleeping_in_a_host_call_does_not_outlast_the_timeout,
    stack_overflow => a_stack_overflow_fails,
    steps => steps_that_are_used_as_they_must_not_be_fail_their_jobs_for_good,
    unknown_import => a_component_with_an_unknown_import_is_refused,
    waits_forever => waiting_for_what_never_comes_is_a_trap,
    witness => each_run_writes_what_it_does_into_a_file_of_its_own,
}

#[test]
fn no_guest_is_without_a_test() -> Result<()> {
    ensure!(guest_names()? == TESTED, "there are {:?}", guest_names()?);
    Ok(())
}

fn start(site: &Site) -> Result<Host<'_>> {
    let slots = SLOTS.to_string();
    let host = site.start(&["--sync-slots", &slots, "--async-slots", &slots])?;
    host.deploy("mixed", &guest("mixed")?)?;
    Ok(host)
}

/// Lets a guest's handler loose in every slot at once, on a host with its module, checks that each job fails by the
/// cause, and that every slot then runs good jobs.
fn let_loose(name: &str, handler: &str, options: &[&str], cause: Cause) -> Result<Vec<JobDetail>> {
    let site = Site::new()?;
    let mut host = start(&site)?;
    let details = let_loose_on(&host, name, handler, options, cause)?;
    every_slot_works(&host)?;
    host.still_runs()?;
    Ok(details)
}

fn let_loose_on(host: &Host<'_>, name: &str, handler: &str, options: &[&str], cause: Cause) -> Result<Vec<JobDetail>> {
    host.deploy("bad", &guest(name)?)?;
    let options = [&["--max-attempts", "1"], options].concat();
    let jobs = (0..SLOTS).map(|_| host.enqueue(&format!("bad/{handler}"), &Value::Null, &options));
    let jobs = jobs.collect::<Result<Vec<Job>>>()?;
    let details = jobs.into_iter().map(|job| host.fails_by(job, cause)).collect::<Result<Vec<_>>>()?;
    for detail in &details {
        let usage = detail.job.usage.unwrap_or_default();
        println!("{name}: {cause}: {:?}; {usage:?}", detail.job.failure.as_ref().map(|failure| &failure.message));
        ensure!(usage.wall_us > 0, "no time was reported: {detail:?}");
    }
    Ok(details)
}

/// Runs good jobs in all slots of both kinds at once.
fn every_slot_works(host: &Host<'_>) -> Result<()> {
    for (handler, ms) in [("mixed/compute", 500), ("mixed/wait", 500)] {
        let requests = (0..SLOTS).map(|_| json!({ "handler": handler, "payload": { "ms": ms } }));
        let jobs = host.enqueue_all(requests)?;
        let ended = jobs.into_iter().map(|job| host.wait(job)).collect::<Result<Vec<_>>>()?;
        let jobs: Vec<_> = ended.into_iter().map(|detail| detail.job).collect();
        ensure!(jobs.iter().all(|job| job.state == State::Succeeded), "a good job did not succeed: {jobs:#?}");
        ensure!(overlap(&jobs), "good jobs of {handler} did not run in all {SLOTS} slots at once: {jobs:#?}");
    }
    Ok(())
}

/// Deploys a guest that must be refused, on a running host and with `windlass run`, and checks that nothing of it stays.
fn is_refused(name: &str, words: &[&str]) -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let file = guest(name)?;
    host.windlass(&["deploy", &file.to_string_lossy(), "--name", "bad"])?.complains_of(words)?;
    let modules: Value = host.json(&["modules", "list"])?;
    ensure!(!modules.to_string().contains("\"bad\""), "a refused module is there: {modules}");
    run(&["run".as_ref(), file.as_os_str(), "anything".as_ref(), "null".as_ref()], "")?.complains_of(words)?;
    every_slot_works(&host)
}

#[test]
fn good_jobs_of_both_modes_run_in_every_slot() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    every_slot_works(&host)?;
    let sum: i64 = host.result(host.enqueue("mixed/add", &json!({ "a": 2, "b": 40 }), &[])?)?;
    ensure!(sum == 42, "2 and 40 make {sum}");
    Ok(())
}

#[test]
fn each_run_writes_what_it_does_into_a_file_of_its_own() -> Result<()> {
    let site = Site::new()?;
    let records = Records::new(&site)?;
    site.write("windlass.toml", records.grant("witness"))?;
    let host = site.start(&[])?;
    host.deploy("witness", &guest("witness")?)?;
    for handler in ["witness/compute", "witness/wait"] {
        let job = host.enqueue(handler, &json!({ "ms": 100 }), &[])?;
        ensure!(host.result::<u64>(job)? == 1, "{handler} did not give the number of its run");
        let record = records.of(job.0, 1)?;
        ensure!(record.starts == 1 && record.ends == 1, "{record:?}");
        ensure!((90..60_000).contains(&(record.last_ms - record.first_ms)), "{record:?}");
    }
    Ok(())
}

#[test]
fn steps_that_are_used_as_they_must_not_be_fail_their_jobs_for_good() -> Result<()> {
    let site = Site::new()?;
    let effects = Effects::new(&site)?;
    site.write("windlass.toml", effects.grant("steps"))?;
    let host = site.start(&[])?;
    host.deploy("steps", &guest("steps")?)?;
    for (handler, attempts, code, words) in [
        ("steps/twice", 1, "bad-step", &["`again` is used twice"][..]),
        ("steps/too_large", 1, "step-too-large", &["`fetch`", "307202 bytes", "at most 262144"]),
        ("steps/changed", 2, "step-unreadable", &["`charge`", "windlass jobs requeue --fresh"]),
    ] {
        let job = host.enqueue(handler, &Value::Null, &[])?;
        let detail = host.fails_by(job, Cause::Handler)?;
        let failure = detail.job.failure.context("no failure")?;
        println!("{handler}: {}", failure.message);
        ensure!(detail.job.attempt == attempts, "{handler} had {} attempts", detail.job.attempt);
        ensure!(failure.code.as_deref() == Some(code), "{handler} failed by {:?}", failure.code);
        ensure!(words.iter().all(|word| failure.message.contains(word)), "{handler} says {}", failure.message);
    }
    Ok(())
}

#[test]
fn an_endless_loop_is_timed_out_or_runs_out_of_fuel() -> Result<()> {
    let_loose("endless_loop", "spin", &["--timeout", "300ms"], Cause::Timeout)?;

    let site = Site::new()?;
    let config = site.write("windlass.toml", "[module.bad.limits]\nfuel = 1000000\n")?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let details = let_loose_on(&host, "endless_loop", "spin", &[], Cause::OutOfFuel)?;
    let fuel = details.iter().map(|detail| detail.job.usage.unwrap_or_default().fuel);
    ensure!(
        fuel.clone().all(|fuel| (990_000..=1_000_000).contains(&fuel)),
        "fuel used: {:?}",
        fuel.collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn an_endless_loop_in_an_async_handler_is_timed_out() -> Result<()> {
    let_loose("endless_async", "spin", &["--timeout", "300ms"], Cause::Timeout).map(drop)
}

#[test]
fn a_panic_fails_with_its_message_in_the_log() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let details = let_loose_on(&host, "panics", "break_down", &[], Cause::Trap)?;
    for detail in details {
        let log = host.logs(Job(detail.job.id))?;
        ensure!(log.iter().any(|line| line.message.contains("this guest panics on purpose")), "the log is {log:?}");
        let backtrace = detail.job.failure.and_then(|failure| failure.backtrace).unwrap_or_default();
        ensure!(backtrace.contains("panic"), "the backtrace is {backtrace:?}");
    }
    every_slot_works(&host)
}

#[test]
fn a_memory_hog_runs_out_of_memory() -> Result<()> {
    for detail in let_loose("memory_hog", "hog", &[], Cause::OutOfMemory)? {
        let peak = detail.job.usage.unwrap_or_default().peak_memory_bytes;
        ensure!((100 << 20..=128 << 20).contains(&peak), "the peak is {peak}: the limit is 128 MiB");
    }
    Ok(())
}

#[test]
fn a_stack_overflow_fails() -> Result<()> {
    let_loose("stack_overflow", "recurse", &[], Cause::StackOverflow).map(drop)
}

#[test]
fn a_stack_overflow_in_the_guests_own_memory_is_a_trap() -> Result<()> {
    for detail in let_loose("large_frames", "recurse", &[], Cause::Trap)? {
        let message = detail.job.failure.map(|failure| failure.message).unwrap_or_default();
        ensure!(message.contains("out of bounds memory access"), "the message is {message}");
    }
    Ok(())
}

#[test]
fn a_handler_that_exits_fails_whatever_its_status() -> Result<()> {
    let_loose("exits", "exit_well", &[], Cause::Exited)?;
    let_loose("exits", "exit_badly", &[], Cause::Exited).map(drop)
}

#[test]
fn sleeping_in_a_host_call_does_not_outlast_the_timeout() -> Result<()> {
    for detail in let_loose("sleeps", "sleep", &["--timeout", "300ms"], Cause::Timeout)? {
        let wall = detail.job.usage.unwrap_or_default().wall_us;
        ensure!(wall < 2_000_000, "it slept for {wall} µs with a timeout of 300 ms");
    }
    Ok(())
}

#[test]
fn waiting_for_what_never_comes_is_a_trap() -> Result<()> {
    // The guest's own runtime sees that nothing can wake it, and panics, before the host sees it wait.
    for detail in let_loose("waits_forever", "wait", &["--timeout", "10s"], Cause::Trap)? {
        let message = detail.job.failure.map(|failure| failure.message).unwrap_or_default();
        ensure!(message.contains("cannot sleep"), "the message is {message}");
    }
    Ok(())
}

#[test]
fn a_result_over_the_limit_fails() -> Result<()> {
    let_loose("result_too_large", "boast", &[], Cause::ResultTooLarge).map(drop)
}

#[test]
fn a_result_that_is_not_json_fails() -> Result<()> {
    let_loose("result_not_json", "babble", &[], Cause::ResultNotJson).map(drop)
}

#[test]
fn a_flood_of_follow_up_jobs_is_refused_and_leaves_none() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    for detail in let_loose_on(&host, "follow_up_flood", "flood", &[], Cause::Handler)? {
        let message = detail.job.failure.map(|failure| failure.message).unwrap_or_default();
        ensure!(message.contains("1000") || message.contains("1,000"), "the limit is not named: {message}");
    }
    let leaves = host.all_jobs()?.into_iter().filter(|job| job.handler.as_str() == "leaf").count();
    ensure!(leaves == 0, "{leaves} follow-up jobs of failed jobs are there");
    every_slot_works(&host)
}

#[test]
fn a_flood_of_logs_is_cut_off_and_the_log_says_so() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    host.deploy("bad", &guest("log_flood")?)?;
    let job = host.enqueue("bad/flood", &Value::Null, &[])?;
    let rounds: u64 = host.result(job)?;
    let kept = |lines: &[LogLine]| lines.iter().map(|line| line.message.len()).sum::<usize>();
    let log = host.logs(job)?;
    ensure!(kept(&log) <= 2 << 20, "{} bytes of {rounds} rounds were kept: the limit is 1 MiB", kept(&log));
    ensure!(kept(&log) > 1 << 19, "only {} bytes were kept", kept(&log));
    let last = log.last().map(|line| line.message.as_str()).unwrap_or_default();
    ensure!(last.contains("the log ends here"), "the log does not say that it was cut off, it ends with `{last}`");
    every_slot_works(&host)
}

#[test]
fn a_handler_reaches_nothing_that_was_not_granted() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    host.deploy("bad", &guest("reaches_out")?)?;
    let reached: Vec<String> = host.result(host.enqueue("bad/reach", &Value::Null, &[])?)?;
    ensure!(reached.is_empty(), "it reached {reached:?}");
    Ok(())
}

#[test]
fn a_component_that_traps_in_describe_is_refused() -> Result<()> {
    is_refused("describe_traps", &["describe"])
}

#[test]
fn a_component_that_never_describes_itself_is_refused() -> Result<()> {
    is_refused("describe_loops", &["describe"])
}

#[test]
fn a_component_with_an_unknown_import_is_refused() -> Result<()> {
    is_refused("unknown_import", &["acme:shop/warehouse"])
}

#[test]
fn a_component_without_handlers_is_refused() -> Result<()> {
    is_refused("no_exports", &["windlass:job/handlers", "windlass:job/async-handlers"])
}

#[test]
fn a_component_with_an_impossible_schedule_is_refused() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    let file = guest("impossible_schedule")?;
    let words = ["handler `leap`", "never comes", "date"];
    host.windlass(&["deploy", &file.to_string_lossy(), "--name", "bad"])?.complains_of(&words)?;
    let recurring: Value = host.json(&["recurring", "list"])?;
    ensure!(recurring["items"] == json!([]), "a refused module left {recurring}");
    Ok(())
}

#[test]
fn what_a_module_declares_is_put_in_place_and_fired() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("scheduled", &guest("scheduled")?)?;
    let fired = host.until("a job of the declared schedule", || {
        let recurring: RecurringJob = host.json(&["recurring", "show", "scheduled.tick"])?;
        ensure!(recurring.module.is_some_and(|module| module.as_str() == "scheduled"), "it does not say where from");
        Ok(recurring.last.and_then(|last| last.job))
    })?;
    let said: String = host.result(Job(fired))?;
    ensure!(said == "from the schedule", "it was given `{said}`");
    Ok(())
}

#[test]
fn a_handler_is_told_nothing_of_a_job_that_it_does_not_continue() -> Result<()> {
    let site = Site::new()?;
    let host = start(&site)?;
    host.deploy("follows", &guest("follows")?)?;
    let stranger = host.enqueue("follows/give", &json!(1), &[])?;
    let pry = host.enqueue("follows/pry", &json!(stranger.0), &[])?;
    let failure = host.fails_by(pry, Cause::Handler)?.job.failure.context("no failure")?;
    ensure!(failure.code.as_deref() == Some("unknown-parent"), "{failure:?}");
    Ok(())
}
