//! Runs that are ended from outside, by the clock or by a word, wherever the guest is.

use std::{
    thread,
    time::{Duration, Instant},
};

use windlass_wasm::{Limits, Mode, Outcome, RunCause, RunReport, StopReason};

use crate::{
    harness::{Run, failure, runtime},
    wat_guest::{async_guest, sync_guest},
};

/// The guests here would go on for an hour or for ever, so this tells apart what it must on the busiest machine. That it
/// takes at most 50 ms is for the benchmark to show.
const PROMPTLY: Duration = Duration::from_secs(2);

const SLEEP_IMPORTS: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
"#;

const SLEEP_AN_HOUR: &str = "(call $block (call $after (i64.const 3600000000000)))";

fn computing() -> [(Mode, Vec<u8>); 3] {
    [
        (Mode::Sync, sync_guest("", "", "(loop (br 0)) unreachable")),
        (Mode::Async, async_guest("", "(loop (br 0)) unreachable", "unreachable")),
        // Gives up its turn each time, and never ends.
        (Mode::Async, async_guest("", "(i32.const 1)", "(i32.const 1)")),
    ]
}

fn sleeping() -> [(Mode, Vec<u8>); 2] {
    let then = |end: &str| format!("{SLEEP_AN_HOUR} {end}");
    [
        (Mode::Sync, sync_guest(SLEEP_IMPORTS, "", &then("(i32.const 1024)"))),
        (Mode::Async, async_guest(SLEEP_IMPORTS, &then("(i32.const 0)"), "unreachable")),
    ]
}

/// Runs a guest and does something to its stop handle once it is under way; gives how long after that it ended.
fn stopped_after(run: Run, act: impl FnOnce(&windlass_wasm::Stop)) -> (RunReport, Duration) {
    let stop = run.stop.clone();
    let host = std::sync::Arc::clone(&run.host);
    let running = thread::spawn(move || (run.go(), Instant::now()));
    // The guest is under way when its thread holds the host too.
    while std::sync::Arc::strong_count(&host) < 3 {
        thread::yield_now();
    }
    let acted_at = Instant::now();
    act(&stop);
    let (report, ended_at) = running.join().unwrap();
    (report, ended_at.saturating_duration_since(acted_at))
}

#[test]
fn a_timeout_ends_a_guest_that_computes_or_sleeps() {
    for (mode, guest) in computing().into_iter().chain(sleeping()) {
        let mut run = Run::new(mode, &guest);
        run.limits = Limits { timeout: Some(Duration::from_millis(30)), ..Limits::default() };
        let started_at = Instant::now();
        let report = run.go();
        let took = started_at.elapsed();
        assert_eq!(failure(&report), (RunCause::Timeout, "the run took longer than its 0.03 s"));
        assert!(took < Duration::from_millis(30) + PROMPTLY, "{mode:?} took {took:?}");
    }
}

#[test]
fn a_cancel_ends_a_guest_that_computes_or_sleeps() {
    for (mode, guest) in computing().into_iter().chain(sleeping()) {
        let run = Run::new(mode, &guest);
        let (report, took) = stopped_after(run, |stop| stop.cancel(Duration::ZERO));
        assert_eq!(report.outcome, Outcome::Stopped(StopReason::Cancelled), "{mode:?}");
        assert!(took < PROMPTLY, "{mode:?} took {took:?}");
    }
}

#[test]
fn a_shutdown_and_a_lost_lease_are_told_apart() {
    for reason in [StopReason::Shutdown, StopReason::LeaseLost] {
        let [(mode, guest), ..] = computing();
        let (report, took) = stopped_after(Run::new(mode, &guest), |stop| stop.stop(reason));
        assert_eq!(report.outcome, Outcome::Stopped(reason));
        assert!(took < PROMPTLY, "{took:?}");
    }
}

#[test]
fn a_guest_that_was_stopped_beforehand_does_not_start() {
    let run = Run::new(Mode::Sync, &sync_guest("", "", "unreachable"));
    run.stop.stop(StopReason::Shutdown);
    assert_eq!(run.go().outcome, Outcome::Stopped(StopReason::Shutdown));
}

#[test]
fn a_cancelled_guest_sees_it_and_may_use_its_grace() {
    let import = r#"(import "windlass:job/context@0.1.0" "cancelled" (func $cancelled (result i32)))"#;
    // Goes on until it sees that it was cancelled, then returns.
    let guest = sync_guest(import, "", "(loop (br_if 0 (i32.eqz (call $cancelled)))) (i32.const 1024)");
    let (report, took) = stopped_after(Run::new(Mode::Sync, &guest), |stop| stop.cancel(Duration::from_secs(3600)));
    assert_eq!(report.outcome, Outcome::Ok(None));
    assert!(took < PROMPTLY, "{took:?}");
}

#[test]
fn a_cancelled_guest_that_does_not_look_is_stopped_after_its_grace() {
    for (mode, guest) in computing().into_iter().chain(sleeping()) {
        let grace = Duration::from_millis(20);
        let (report, took) = stopped_after(Run::new(mode, &guest), |stop| stop.cancel(grace));
        assert_eq!(report.outcome, Outcome::Stopped(StopReason::Cancelled), "{mode:?}");
        assert!((grace..grace + PROMPTLY).contains(&took), "{mode:?} took {took:?}");
    }
}

#[test]
fn an_async_guest_that_computes_lets_others_have_the_thread() {
    let [_, (mode, guest), _] = computing();
    let run = Run::new(mode, &guest);
    let stop = run.stop.clone();
    let (report, waited) = stopped_after(run, |_| {
        // The runtime has one worker, and the guest is on it.
        let asked_at = Instant::now();
        runtime().block_on(async { tokio::spawn(async {}).await.unwrap() });
        assert!(asked_at.elapsed() < PROMPTLY, "{:?}", asked_at.elapsed());
        stop.stop(StopReason::Shutdown);
    });
    assert_eq!(report.outcome, Outcome::Stopped(StopReason::Shutdown), "{waited:?}");
}
