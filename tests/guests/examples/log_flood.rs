//! Logs far more than it may, in all three ways, and then succeeds.

use windlass_guest::prelude::*;

/// Ten times this many lines of 1 KiB is far over any sensible limit.
const ROUNDS: usize = 4_000;

/// Writes 4 MiB each to the log, to standard output and to standard error.
#[handler]
fn flood(ctx: &Context, _args: ()) -> Result<usize, JobError> {
    let line = "x".repeat(1024);
    for _ in 0..ROUNDS {
        ctx.info(&line);
        println!("{line}");
        eprintln!("{line}");
    }
    Ok(ROUNDS)
}

windlass_guest::export!(flood);
