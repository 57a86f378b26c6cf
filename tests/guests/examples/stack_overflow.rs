//! Calls itself without end, until the stack that the host keeps for calls is full.

use std::hint::black_box;

use windlass_guest::prelude::*;

/// Calls itself too deep.
#[handler]
fn recurse(_ctx: &Context, _args: ()) -> Result<u64, JobError> {
    Ok(deeper(black_box(1)))
}

/// What comes back is used after the call, so that the optimiser cannot turn the recursion into a loop.
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    if black_box(depth) == 0 {
        return 0;
    }
    deeper(depth + 1).wrapping_add(black_box(depth))
}

windlass_guest::export!(recurse);
