//! The handler that does nothing, alone in its component: what a bare loop of wasmtime can run without a runtime for
//! async host functions.

use windlass_guest::prelude::*;

/// Does nothing.
#[handler]
fn noop() -> Result<(), JobError> {
    Ok(())
}

windlass_guest::export!(noop);
