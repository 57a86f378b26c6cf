//! Computes for ever and never calls the host.

use std::hint::black_box;

use windlass_guest::prelude::*;

/// Never returns.
#[handler]
fn spin(_ctx: &Context, _args: ()) -> Result<u64, JobError> {
    let mut rounds: u64 = 0;
    loop {
        rounds = black_box(rounds.wrapping_add(1));
    }
}

windlass_guest::export!(spin);
