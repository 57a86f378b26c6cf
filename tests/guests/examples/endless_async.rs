//! Computes for ever inside an async handler: it never gives way by itself.

use std::hint::black_box;

use windlass_guest::prelude::*;

/// Never returns and never waits.
#[handler]
async fn spin(_ctx: &Context, _args: ()) -> Result<u64, JobError> {
    let mut rounds: u64 = 0;
    loop {
        rounds = black_box(rounds.wrapping_add(1));
    }
}

windlass_guest::export!(spin);
