//! Runs that end by themselves, and runs that the sandbox ends.

use std::sync::Arc;

use tokio::task::JoinSet;
use windlass_wasm::{
    Compiler, CompilerOptions, Engine, EngineOptions, Grants, Limits, Mode, Outcome, RunCause, RunRequest, Stop,
    StopReason,
};

use crate::{
    harness::{Remembering, Run, failure, job, load, program, runtime},
    wat_guest::{async_guest, sync_guest},
};

const NOTHING: &str = "(i32.const 1024)";

/// Puts "ok, with the text at 4,096" in place and leaves its address.
fn text_result(length: u32) -> String {
    format!(
        "(i32.store8 (i32.const 1032) (i32.const 1)) (i32.store (i32.const 1036) (i32.const 4096))
         (i32.store (i32.const 1040) (i32.const {length})) (i32.const 1024)"
    )
}

fn with_limits(mut run: Run, change: impl FnOnce(&mut Limits)) -> Run {
    change(&mut run.limits);
    run
}

#[test]
fn a_handler_that_returns_nothing_succeeds_and_is_measured() {
    let report = Run::new(Mode::Sync, &sync_guest("", "", NOTHING)).go();
    assert_eq!(report.outcome, Outcome::Ok(None));
    assert!(report.usage.fuel > 0, "{report:?}");
    assert_eq!(report.usage.peak_memory_bytes, 2 * 65_536);
    assert!(report.usage.wall_us > 0, "{report:?}");
}

#[test]
fn an_async_handler_that_returns_nothing_succeeds() {
    let report = Run::new(Mode::Async, &async_guest("", "(call $return_nothing) (i32.const 0)", "unreachable")).go();
    assert_eq!(report.outcome, Outcome::Ok(None));
    assert!(report.usage.fuel > 0, "{report:?}");
}

#[test]
fn a_result_is_passed_on() {
    let guest = sync_guest("", r#"(data (i32.const 4096) "{\"n\":1}")"#, &text_result(7));
    assert_eq!(Run::new(Mode::Sync, &guest).go().outcome, Outcome::Ok(Some(r#"{"n":1}"#.to_owned())));
}

#[test]
fn a_result_that_is_not_json_fails_the_run() {
    let guest = sync_guest("", r#"(data (i32.const 4096) "{oops}")"#, &text_result(6));
    let report = Run::new(Mode::Sync, &guest).go();
    assert_eq!(failure(&report).0, RunCause::ResultNotJson);
}

#[test]
fn a_result_over_its_limit_fails_the_run() {
    let guest = sync_guest("", r#"(data (i32.const 4096) "\"12345678\"")"#, &text_result(10));
    let report = with_limits(Run::new(Mode::Sync, &guest), |limits| limits.result_bytes = 9).go();
    assert_eq!(failure(&report), (RunCause::ResultTooLarge, "the result has 10 bytes and may have 9"));
}

#[test]
fn a_result_too_long_to_be_copied_fails_the_run_for_the_same_cause() {
    // 40 MiB: more than the host copies out of a guest in one call.
    let body = format!("(drop (memory.grow (i32.const 700))) {}", text_result(40 << 20));
    let report = Run::new(Mode::Sync, &sync_guest("", "", &body)).go();
    assert_eq!(failure(&report).0, RunCause::ResultTooLarge);
}

#[test]
fn a_trap_is_told_with_the_guests_stack() {
    let guest = sync_guest("", "(func $deep_inside unreachable)", "(call $deep_inside) (i32.const 1024)");
    let report = Run::new(Mode::Sync, &guest).go();
    let Outcome::Failed(failure) = report.outcome else { panic!("{report:?}") };
    assert_eq!(failure.cause, RunCause::Trap);
    assert!(failure.message.contains("unreachable"), "{failure:?}");
    assert!(failure.backtrace.as_ref().is_some_and(|trace| trace.contains("deep_inside")), "{failure:?}");
}

#[test]
fn a_handler_that_computes_too_much_runs_out_of_fuel() {
    let guest = sync_guest("", "", "(loop (br 0)) unreachable");
    let report = with_limits(Run::new(Mode::Sync, &guest), |limits| limits.fuel = 1_000_000).go();
    assert_eq!(failure(&report).0, RunCause::OutOfFuel);
    assert_eq!(report.usage.fuel, 1_000_000);
}

#[test]
fn an_async_handler_that_computes_too_much_runs_out_of_fuel() {
    let guest = async_guest("", "(loop (br 0)) unreachable", "unreachable");
    let report = with_limits(Run::new(Mode::Async, &guest), |limits| limits.fuel = 50_000_000).go();
    assert_eq!(failure(&report).0, RunCause::OutOfFuel);
    assert_eq!(report.usage.fuel, 50_000_000);
}

#[test]
fn growth_past_the_limit_ends_the_run() {
    let guest = sync_guest("", "", "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable");
    let report = with_limits(Run::new(Mode::Sync, &guest), |limits| limits.memory_bytes = 8 << 20).go();
    assert_eq!(failure(&report).0, RunCause::OutOfMemory);
    assert!((7 << 20..=8 << 20).contains(&report.usage.peak_memory_bytes), "{report:?}");
}

#[test]
fn memory_is_summed_over_all_memories() {
    let more = "(memory $other 1)";
    let body = "(drop (memory.grow (i32.const 50))) (drop (memory.grow $other (i32.const 50))) (i32.const 1024)";
    let guest = sync_guest("", more, body);
    let report = with_limits(Run::new(Mode::Sync, &guest), |limits| limits.memory_bytes = 104 * 65_536).go();
    assert_eq!(report.outcome, Outcome::Ok(None));
    assert_eq!(report.usage.peak_memory_bytes, 103 * 65_536);
    let report = with_limits(Run::new(Mode::Sync, &guest), |limits| limits.memory_bytes = 102 * 65_536).go();
    assert_eq!(failure(&report).0, RunCause::OutOfMemory);
}

#[test]
fn a_guest_that_starts_with_too_much_memory_does_not_start() {
    let guest = sync_guest("", "(memory $other 1000)", NOTHING);
    let report = with_limits(Run::new(Mode::Sync, &guest), |limits| limits.memory_bytes = 1 << 20).go();
    assert_eq!(failure(&report).0, RunCause::OutOfMemory);
}

#[test]
fn a_guest_that_bounds_its_own_memory_is_told_no_and_goes_on() {
    let guest = sync_guest("", "(memory $other 1 2)", "(drop (memory.grow $other (i32.const 5))) (i32.const 1024)");
    assert_eq!(Run::new(Mode::Sync, &guest).go().outcome, Outcome::Ok(None));
}

#[test]
fn a_table_that_grows_without_end_ends_the_run() {
    let body = "(loop (drop (table.grow $t (ref.null func) (i32.const 1000))) (br 0)) unreachable";
    let report = Run::new(Mode::Sync, &sync_guest("", "(table $t 1 funcref)", body)).go();
    assert_eq!(failure(&report).0, RunCause::OutOfMemory);
}

#[test]
fn a_handler_that_calls_itself_without_end_overflows_its_stack() {
    let recursion = "(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))";
    let report = Run::new(Mode::Sync, &sync_guest("", recursion, "(call $deeper (i32.const 0))")).go();
    assert_eq!(failure(&report).0, RunCause::StackOverflow);
}

#[test]
fn a_handler_that_exits_its_process_fails_whatever_the_code() {
    let import = r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#;
    for (status, code) in [(0, 0), (1, 1)] {
        let report =
            Run::new(Mode::Sync, &sync_guest(import, "", &format!("(call $exit (i32.const {status})) unreachable")))
                .go();
        let message = format!("the handler exited with code {code} instead of returning");
        assert_eq!(failure(&report), (RunCause::Exited, message.as_str()));
    }
}

#[test]
fn an_async_handler_that_waits_for_nothing_is_a_deadlock() {
    let import = r#"(import "$root" "[waitable-set-new]" (func $set (result i32)))"#;
    let guest = async_guest(import, "(i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4)))", "unreachable");
    let report = Run::new(Mode::Async, &guest).go();
    assert_eq!(failure(&report).0, RunCause::Deadlock);
}

#[test]
fn a_mode_that_the_component_does_not_have_fails_the_run_as_unloadable() {
    let report = Run::new(Mode::Async, &sync_guest("", "", NOTHING)).go();
    assert_eq!(failure(&report).0, RunCause::Unloadable);
}

#[test]
fn nothing_is_left_from_one_run_to_the_next() {
    // Succeeds only where the word at 5,000 is still zero, and leaves a one there.
    let body = "(if (i32.load (i32.const 5000)) (then unreachable)) (i32.store (i32.const 5000) (i32.const 1)) (i32.const 1024)";
    let guest = sync_guest("", "", body);
    let first = Run::new(Mode::Sync, &guest);
    let component = first.component.clone();
    assert_eq!(first.go().outcome, Outcome::Ok(None));
    let mut second = Run::new(Mode::Sync, &guest);
    second.component = component;
    assert_eq!(second.go().outcome, Outcome::Ok(None));
}

#[test]
fn an_engine_for_ten_thousand_runs_gets_its_pool() {
    let options = EngineOptions { concurrent_runs: 10_000, ..EngineOptions::default() };
    assert!(Engine::new(&options).unwrap().is_pooling());
}

#[test]
fn a_run_too_many_finds_no_room_and_is_not_failed() {
    let engine = Engine::new(&EngineOptions { concurrent_runs: 1, ..EngineOptions::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let compiler = Compiler::new(engine, CompilerOptions::new(program(), folder.path().join("cache"))).unwrap();
    let imports = r#"
        (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
        (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
    let sleeps =
        async_guest(imports, "(call $block (call $after (i64.const 3600000000000))) (i32.const 0)", "unreachable");
    let stop = Stop::new();
    runtime().block_on(async {
        let component = load(&compiler, &sleeps).await.unwrap();
        let mut runs = JoinSet::new();
        // One, the 16 that are kept for descriptions, and one too many.
        for _ in 0..18 {
            let component = component.clone();
            let request = RunRequest {
                mode: Mode::Async,
                job: job(),
                limits: Limits::default(),
                grants: Arc::new(Grants::default()),
                host: Arc::new(Remembering::default()),
                stop: stop.clone(),
            };
            runs.spawn(async move { component.run(request).await.outcome });
        }
        assert_eq!(runs.join_next().await.unwrap().unwrap(), Outcome::NoRoom);
        stop.stop(StopReason::Shutdown);
        for outcome in runs.join_all().await {
            assert_eq!(outcome, Outcome::Stopped(StopReason::Shutdown));
        }
    });
}
