use windlass_guest::prelude::*;

#[handler(timeout = "30 seconds")]
fn bad_duration() -> Result<(), JobError> {
    Ok(())
}

#[handler(timeout = 30)]
fn duration_without_unit() -> Result<(), JobError> {
    Ok(())
}

#[handler(timeout = "0s")]
fn no_time() -> Result<(), JobError> {
    Ok(())
}

#[handler(memory = "64M")]
fn bad_size() -> Result<(), JobError> {
    Ok(())
}

#[handler(retry = "exponential(15s)")]
fn bad_retry() -> Result<(), JobError> {
    Ok(())
}

#[handler(priority = 10)]
fn bad_priority() -> Result<(), JobError> {
    Ok(())
}

#[handler(max_attempts = 0)]
fn no_attempts() -> Result<(), JobError> {
    Ok(())
}

#[handler(queue = "not a queue")]
fn bad_queue() -> Result<(), JobError> {
    Ok(())
}

#[handler(redact("card"))]
fn bad_pointer() -> Result<(), JobError> {
    Ok(())
}

#[handler(queue = "a", queue = "b")]
fn twice() -> Result<(), JobError> {
    Ok(())
}

#[handler(queue)]
fn without_value() -> Result<(), JobError> {
    Ok(())
}

#[handler(schedule("@daily", zone = "Europe/Zurich"))]
fn bad_schedule() -> Result<(), JobError> {
    Ok(())
}

fn main() {}
