use windlass_guest::prelude::*;

#[handler]
fn fine() -> Result<(), JobError> {
    Ok(())
}

windlass_guest::export!(module = "my module"; fine);

fn main() {}
