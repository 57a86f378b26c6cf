//! Ends its process instead of returning.

use std::process;

use windlass_guest::prelude::*;

/// Ends with status 0, as if all were well.
#[handler]
fn exit_well(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    process::exit(0);
}

/// Ends with status 1.
#[handler]
fn exit_badly(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    process::exit(1);
}

windlass_guest::export!(exit_well, exit_badly);
