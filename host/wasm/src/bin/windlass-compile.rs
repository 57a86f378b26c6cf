//! The compiler's child process as a program of its own: for a worker that is embedded in another program, which has no
//! `windlass` binary beside it. Called as `windlass-compile compile-component …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The program's own name and the subcommand.
    windlass_wasm::compile_from_stdin(std::env::args_os().skip(2))
}
