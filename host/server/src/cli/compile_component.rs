//! `windlass compile-component`: the child process that compiles. It serves the host alone.

use std::{ffi::OsString, process::ExitCode};

/// Compiles the component on standard input under limits of its own.
pub(super) fn run(arguments: Vec<OsString>) -> ExitCode {
    windlass_wasm::compile_from_stdin(arguments)
}
