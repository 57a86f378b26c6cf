//! What guests write.

use windlass_wasm::{Mode, Outcome, RunCause, contract::Level};

use crate::{
    harness::{Run, failure},
    wat_guest::sync_guest,
};

const LOG: &str = r#"(import "windlass:job/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#;

/// Both standard streams; a write's result goes to 3,000.
const STREAMS: &str = r#"
    (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
    (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
    (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
        (func $write (param i32 i32 i32 i32)))
"#;

#[test]
fn log_lines_carry_their_level() {
    let text = r#"(data (i32.const 4096) "hello")"#;
    let body = "(call $log (i32.const 3) (i32.const 4096) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 1024)";
    let run = Run::new(Mode::Sync, &sync_guest(LOG, text, body));
    let host = run.host.clone();
    let report = run.go();
    assert_eq!(report.outcome, Outcome::Ok(None));
    assert_eq!(host.lines(), [(Level::Warn, "hello".to_owned())]);
    assert!(report.usage.log_bytes >= 5, "{report:?}");
}

#[test]
fn a_flood_of_lines_is_cut_off_and_the_log_says_so() {
    let text = r#"(data (i32.const 4096) "hello")"#;
    let body = "(local $n i32)
        (loop
            (call $log (i32.const 2) (i32.const 4096) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
        (i32.const 1024)";
    let mut run = Run::new(Mode::Sync, &sync_guest(LOG, text, body));
    run.limits.log_bytes = 2_100;
    let host = run.host.clone();
    let report = run.go();
    assert_eq!(report.outcome, Outcome::Ok(None));
    let lines = host.lines();
    assert_eq!(lines.len(), 101, "100 lines of 21 bytes each, and the note");
    assert_eq!(lines[100], (Level::Warn, "the log ends here: the run wrote more than its 2100 bytes".to_owned()));
    assert_eq!(report.usage.log_bytes, 2_100_000);
}

#[test]
fn standard_output_and_error_become_lines() {
    let text = r#"(data (i32.const 4096) "one\r\ntwo\n\nthree")"#;
    let body = "(call $write (call $stdout) (i32.const 4096) (i32.const 2) (i32.const 3000))
        (call $write (call $stdout) (i32.const 4098) (i32.const 13) (i32.const 3000))
        (call $write (call $stderr) (i32.const 4101) (i32.const 4) (i32.const 3000))
        (i32.const 1024)";
    let run = Run::new(Mode::Sync, &sync_guest(STREAMS, text, body));
    let host = run.host.clone();
    assert_eq!(run.go().outcome, Outcome::Ok(None));
    let expected = [(Level::Info, "one"), (Level::Info, "two"), (Level::Error, "two"), (Level::Info, "three")];
    assert_eq!(host.lines(), expected.map(|(level, text)| (level, text.to_owned())));
}

#[test]
fn a_line_that_never_ends_is_broken_up() {
    let body = "(memory.fill (i32.const 4096) (i32.const 120) (i32.const 4096))
        (call $write (call $stdout) (i32.const 4096) (i32.const 4096) (i32.const 3000))
        (call $write (call $stdout) (i32.const 4096) (i32.const 4096) (i32.const 3000))
        (call $write (call $stdout) (i32.const 4096) (i32.const 1) (i32.const 3000))
        (i32.const 1024)";
    let run = Run::new(Mode::Sync, &sync_guest(STREAMS, "", body));
    let host = run.host.clone();
    assert_eq!(run.go().outcome, Outcome::Ok(None));
    let lengths: Vec<usize> = host.lines().iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lengths, [8_192, 1]);
}

#[test]
fn a_long_line_is_broken_up_between_characters() {
    // 8,195 bytes, so that the limit falls into a character of two bytes, as does the end of each write.
    let text = format!(r#"(data (i32.const 4096) "x{}")"#, "é".repeat(4_097));
    let body = "(call $write (call $stdout) (i32.const 4096) (i32.const 4096) (i32.const 3000))
        (call $write (call $stdout) (i32.const 8192) (i32.const 4096) (i32.const 3000))
        (call $write (call $stdout) (i32.const 12288) (i32.const 3) (i32.const 3000))
        (i32.const 1024)";
    let run = Run::new(Mode::Sync, &sync_guest(STREAMS, &text, body));
    let host = run.host.clone();
    assert_eq!(run.go().outcome, Outcome::Ok(None));
    let lines: Vec<String> = host.lines().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, [format!("x{}", "é".repeat(4_095)), "éé".to_owned()]);
}

#[test]
fn a_traps_message_begins_with_the_last_words_on_standard_error() {
    let text = r#"(data (i32.const 4096) "panicked: no more tea\n")"#;
    let body = "(call $write (call $stderr) (i32.const 4096) (i32.const 22) (i32.const 3000)) unreachable";
    let report = Run::new(Mode::Sync, &sync_guest(STREAMS, text, body)).go();
    let (cause, message) = failure(&report);
    assert_eq!(cause, RunCause::Trap);
    assert!(message.starts_with("panicked: no more tea ("), "{message}");
}

#[test]
fn progress_that_is_no_number_counts_as_none() {
    let import = r#"(import "windlass:job/context@0.1.0" "progress" (func $progress (param f32 i32 i32 i32)))"#;
    let told = |value: &str| format!("(call $progress (f32.const {value}) (i32.const 0) (i32.const 0) (i32.const 0))");
    let body = format!("{}{}{}{}(i32.const 1024)", told("nan"), told("-3"), told("55.5"), told("inf"));
    let run = Run::new(Mode::Sync, &sync_guest(import, "", &body));
    let host = run.host.clone();
    assert_eq!(run.go().outcome, Outcome::Ok(None));
    assert_eq!(*host.progress.lock().unwrap(), [0.0, 0.0, 55.5, 100.0]);
}
