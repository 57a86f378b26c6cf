//! Panics.

use windlass_guest::prelude::*;

/// Panics with a message that shows in the job's log.
#[handler]
fn break_down(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    panic!("this guest panics on purpose");
}

windlass_guest::export!(break_down);
