//! Calls itself with so much data each time that the stack in its own memory is full before the one that the host keeps.

use std::hint::black_box;

use windlass_guest::prelude::*;

/// Calls itself too deep, with large arrays.
#[handler]
fn recurse(_ctx: &Context, _args: ()) -> Result<u64, JobError> {
    Ok(deeper(black_box(1)))
}

/// Each call has an array of its own that is used after the call within it, so that the optimiser must keep them all.
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    if black_box(depth) == 0 {
        return 0;
    }
    deeper(depth + 1).wrapping_add(black_box(frame)[0])
}

windlass_guest::export!(recurse);
