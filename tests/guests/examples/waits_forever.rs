//! Waits for something that will never come, without the host's having any part in it.

use std::future;

use windlass_guest::prelude::*;

/// Waits for ever.
#[handler]
async fn wait(_ctx: &Context, _args: ()) -> Result<(), JobError> {
    future::pending::<()>().await;
    Ok(())
}

windlass_guest::export!(wait);
