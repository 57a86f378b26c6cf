use windlass_guest::prelude::*;

#[handler(queue = "mail", max_attempt = 3)]
fn send() -> Result<(), JobError> {
    Ok(())
}

fn main() {}
