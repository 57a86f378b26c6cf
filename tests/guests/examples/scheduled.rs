//! Behaves: comes with a recurring job of its own.

use windlass_guest::prelude::*;

/// Gives back what the schedule says.
#[handler(schedule("every 1s", name = "tick", payload = "\"from the schedule\""))]
fn echo(_ctx: &Context, args: String) -> Result<String, JobError> {
    Ok(args)
}

windlass_guest::export!(echo);
