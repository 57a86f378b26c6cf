//! Calls itself without end.

use std::hint::black_box;

use windlass_guest::prelude::*;

/// Calls itself too deep.
#[handler]
fn recurse(_ctx: &Context, _args: ()) -> Result<u64, JobError> {
    Ok(deeper(black_box(1)))
}

/// What comes back is used after the call, and each call has a frame of its own, so that the optimiser cannot turn the
/// recursion into a loop.
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    if black_box(depth) == 0 {
        return 0;
    }
    let below = deeper(depth + 1);
    below.wrapping_add(black_box(frame)[0])
}

windlass_guest::export!(recurse);
