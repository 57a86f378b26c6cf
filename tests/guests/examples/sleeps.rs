//! Sleeps inside the host for far longer than it may run.

use std::{thread, time::Duration};

use windlass_guest::prelude::*;

/// Sleeps for an hour in one call of the host's.
#[handler]
fn sleep(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    thread::sleep(Duration::from_secs(3600));
    Ok(())
}

windlass_guest::export!(sleep);
