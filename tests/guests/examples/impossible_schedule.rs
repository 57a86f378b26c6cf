//! Declares a recurring job for a day that there never is.

use windlass_guest::prelude::*;

/// Never comes to run.
#[handler(schedule = "30 2 30 2 *")]
fn leap(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    Ok(())
}

windlass_guest::export!(leap);
