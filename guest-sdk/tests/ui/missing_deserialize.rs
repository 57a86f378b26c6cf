use windlass_guest::prelude::*;

#[derive(JsonSchema)]
struct Args {
    name: String,
}

#[handler]
fn greet(args: Args) -> Result<String, JobError> {
    Ok(args.name)
}

fn main() {}
