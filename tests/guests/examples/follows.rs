//! Behaves: continues other jobs, and asks for jobs that continue it.

use windlass_guest::{ContinueOn, Unique, prelude::*};

/// Gives what it is given, or fails with it for good.
#[handler]
fn give(number: i64) -> Result<i64, JobError> {
    if number < 0 { Err(JobError::fatal("negative", format!("{number} is below zero"))) } else { Ok(number) }
}

/// Adds up what its parents gave.
#[handler]
fn sum(ctx: &Context) -> Result<i64, JobError> {
    let mut sum = 0;
    for parent in ctx.parents() {
        sum += ctx.parent(parent)?.read::<i64>()?;
    }
    Ok(sum)
}

/// Tells why its parents failed.
#[handler]
async fn explain(ctx: &Context) -> Result<Vec<String>, JobError> {
    let told = |parent| Ok(ctx.parent(parent)?.failure.map_or_else(String::new, |failure| failure.to_string()));
    ctx.parents().iter().map(told).collect()
}

/// Asks about a job that it does not continue.
#[handler]
fn pry(ctx: &Context, id: String) -> Result<(), JobError> {
    let stranger = ctx.enqueue(JobRequest::new("give", 1))?;
    ctx.info(format!("asking about {stranger} rather than {id}"));
    ctx.parent(&stranger).map(drop).map_err(JobError::from)
}

/// Asks for a job that adds up what it gives itself and what another one gives, and twice for a third that is unique.
#[handler]
fn spawn(ctx: &Context, number: i64) -> Result<i64, JobError> {
    let other = ctx.enqueue(JobRequest::new("give", 10 * number))?;
    let sum = JobRequest::new("sum", ()).continues(ctx.id()).continues(&other).tag("spawned");
    ctx.enqueue(sum.continues_on(ContinueOn::Success))?;
    for _ in 0..2 {
        ctx.enqueue(JobRequest::new("give", 7).unique(Unique::by_key("seven")).tag("seven").limit_key("sevens"))?;
    }
    Ok(number)
}

windlass_guest::export!(give, sum, explain, pry, spawn);
