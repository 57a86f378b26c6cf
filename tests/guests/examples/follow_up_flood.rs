//! Enqueues jobs until the host refuses one.

use windlass_guest::prelude::*;

/// Enqueues far more jobs than it may, and fails when one is refused: then none of them must ever have been.
#[handler]
fn flood(ctx: &Context, _args: ()) -> Result<u32, JobError> {
    for _ in 0..100_000 {
        ctx.enqueue(JobRequest::new("leaf", ()))?;
    }
    Ok(100_000)
}

/// What it enqueues.
#[handler]
fn leaf(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    Ok(())
}

windlass_guest::export!(flood, leaf);
