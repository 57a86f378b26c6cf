use windlass_guest::prelude::*;

#[handler]
fn generic<T: DeserializeOwned>(args: T) -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn three(ctx: &Context, first: String, second: String) -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn context_last(args: String, ctx: &Context) -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn context_owned(ctx: Context, args: String) -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn context_mutable(ctx: &mut Context) -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn payload_borrowed(ctx: &Context, args: &str) -> Result<(), JobError> {
    Ok(())
}

#[handler]
fn without_result(ctx: &Context) {}

#[handler]
fn method(&self) -> Result<(), JobError> {
    Ok(())
}

#[handler]
unsafe fn dangerous() -> Result<(), JobError> {
    Ok(())
}

#[handler]
struct NoFunction;

fn main() {}
