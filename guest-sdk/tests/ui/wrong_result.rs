use windlass_guest::prelude::*;

struct NotSerialisable;

#[handler]
fn opaque() -> Result<NotSerialisable, JobError> {
    Ok(NotSerialisable)
}

#[handler]
fn no_result() -> String {
    String::new()
}

fn main() {}
