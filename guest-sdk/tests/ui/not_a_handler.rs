use windlass_guest::prelude::*;

fn plain() -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn fine() -> Result<(), JobError> {
    Ok(())
}

windlass_guest::export!(fine, plain);

fn main() {}
