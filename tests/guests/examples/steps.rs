//! Does things in durable steps, and writes down each time that it does one, in a file for each job. `/effects` must be
//! granted. Some of its handlers use steps as they must not.

use std::{fs::OpenOptions, io::Write as _, path::Path, thread, time::Duration};

use windlass_guest::{prelude::*, time};

/// What is to go wrong.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Trouble {
    /// The attempts up to this one fail: the first one after the first step, and so on.
    #[serde(default)]
    fail: u32,
}

/// A run that is held waits in its second step until this is gone.
const HOLD: &str = "/effects/hold";

const LOOK: Duration = Duration::from_millis(10);

/// Three steps on a thread; gives the runs in which they were recorded.
#[handler(max_attempts = 10, retry = "fixed(10ms)")]
fn on_a_thread(ctx: &Context, trouble: Trouble) -> Result<[u32; 3], JobError> {
    let one = ctx.step("one", |key| effect(ctx, key))?;
    trouble.after(ctx, 1)?;
    let two = ctx.step("two", |key| {
        let run = effect(ctx, key)?;
        while Path::new(HOLD).exists() {
            thread::sleep(LOOK);
        }
        Ok(run)
    })?;
    trouble.after(ctx, 2)?;
    let three = ctx.step("three", |key| effect(ctx, key))?;
    trouble.after(ctx, 3)?;
    Ok([one, two, three])
}

/// The same as a task.
#[handler(max_attempts = 10, retry = "fixed(10ms)")]
async fn as_a_task(ctx: &Context, trouble: Trouble) -> Result<[u32; 3], JobError> {
    let one = ctx.step_async("one", async |key| effect(ctx, key)).await?;
    trouble.after(ctx, 1)?;
    let two = ctx.step_async("two", async |key| {
        let run = effect(ctx, key)?;
        while Path::new(HOLD).exists() {
            time::sleep(LOOK).await;
        }
        Ok(run)
    });
    let two = two.await?;
    trouble.after(ctx, 2)?;
    let three = ctx.step_async("three", async |key| effect(ctx, key)).await?;
    trouble.after(ctx, 3)?;
    Ok([one, two, three])
}

/// Uses a name twice.
#[handler]
fn twice(ctx: &Context) -> Result<u32, JobError> {
    ctx.step("again", |key| effect(ctx, key))?;
    ctx.step("again", |key| effect(ctx, key))
}

/// Returns more from a step than can be recorded.
#[handler]
fn too_large(ctx: &Context) -> Result<usize, JobError> {
    Ok(ctx.step("fetch", |_| Ok("x".repeat(300 << 10)))?.len())
}

/// Reads in its second attempt what its first recorded as something else.
#[handler(retry = "fixed(10ms)")]
fn changed(ctx: &Context) -> Result<(), JobError> {
    if ctx.attempt() == 1 {
        ctx.step("charge", |key| effect(ctx, key))?;
        return Err(JobError::retry("asked", "the second attempt is what matters"));
    }
    ctx.step("charge", |_| Ok(String::new())).map(drop)
}

impl Trouble {
    fn after(self, ctx: &Context, step: u32) -> Result<(), JobError> {
        if step == ctx.attempt() && step <= self.fail {
            return Err(JobError::retry("asked", format!("fails after step {step}, as the job asked for")));
        }
        Ok(())
    }
}

/// Writes down a key and the run; gives the run.
fn effect(ctx: &Context, key: &str) -> Result<u32, JobError> {
    let file = OpenOptions::new().create(true).append(true).open(format!("/effects/{}", ctx.id()));
    file?.write_all(format!("{key} {}\n", ctx.run()).as_bytes())?;
    Ok(ctx.run())
}

windlass_guest::export!(on_a_thread, as_a_task, twice, too_large, changed);
