//! Returns more than a result may be.

use windlass_guest::prelude::*;

/// Twice the default limit of 256 KiB.
const RESULT_BYTES: usize = 512 << 10;

/// Returns half a mebibyte.
#[handler]
fn boast(_ctx: &Context, _args: ()) -> Result<String, JobError> {
    Ok("x".repeat(RESULT_BYTES))
}

windlass_guest::export!(boast);
