//! Takes memory for ever.

use std::hint::black_box;

use windlass_guest::prelude::*;

/// One block.
const BLOCK_BYTES: usize = 1 << 20;

/// Takes block after block and gives none back.
#[handler]
fn hog(_ctx: &Context, _args: ()) -> Result<usize, JobError> {
    let mut blocks = Vec::new();
    loop {
        // Written to, so that the memory is really there.
        blocks.push(black_box(vec![1_u8; BLOCK_BYTES]));
    }
}

windlass_guest::export!(hog);
