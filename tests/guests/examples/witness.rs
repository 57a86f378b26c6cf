//! Behaves: writes what each run does into a file of the run's own, for the chaos tests. `/records` must be granted.
//!
//! A line is a word and the host's clock in milliseconds: `start`, then `alive` with each beat, and `end`, or `fail` where
//! the job asked for that. So it can be seen when a run that was stopped did its last.
//!
//! Work is counted in beats, not measured by a clock: a run that was suspended has as much to do afterwards as before,
//! so nothing but the host ends it early. A run gives its number, so it can be seen whose outcome counted.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use windlass_guest::prelude::*;

/// How often a run says that it is alive, in milliseconds.
const BEAT_MS: u64 = 20;

/// What to do.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Work {
    /// How much: milliseconds where nothing else goes on. At least one beat.
    ms: u64,
    /// How many attempts fail before one succeeds.
    #[serde(default)]
    fail: u32,
}

impl Work {
    fn beats(self) -> u64 {
        self.ms.div_ceil(BEAT_MS).max(1)
    }
}

/// Works on a thread.
#[handler]
fn compute(ctx: &Context, work: Work) -> Result<u32, JobError> {
    let mut record = Record::open(ctx)?;
    for _ in 0..work.beats() {
        thread::sleep(Duration::from_millis(BEAT_MS));
        record.write("alive")?;
    }
    record.close(ctx, work)
}

/// Works as a task.
#[handler]
async fn wait(ctx: &Context, work: Work) -> Result<u32, JobError> {
    let mut record = Record::open(ctx)?;
    for _ in 0..work.beats() {
        windlass_guest::time::sleep(Duration::from_millis(BEAT_MS)).await;
        record.write("alive")?;
    }
    record.close(ctx, work)
}

/// A run's file, `JOB.RUN`.
struct Record(File);

impl Record {
    /// Never an empty one: should a run be begun twice, both say so in the same file.
    fn open(ctx: &Context) -> Result<Self, JobError> {
        let path = format!("/records/{}.{}", ctx.id(), ctx.run());
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut record = Self(file.map_err(|error| JobError::retry("record", format!("{path}: {error}")))?);
        record.write("start")?;
        Ok(record)
    }

    fn close(&mut self, ctx: &Context, work: Work) -> Result<u32, JobError> {
        if ctx.attempt() <= work.fail {
            self.write("fail")?;
            return Err(JobError::retry("asked", "the job asked for it"));
        }
        self.write("end")?;
        Ok(ctx.run())
    }

    fn write(&mut self, word: &str) -> Result<(), JobError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = self.0.write_all(format!("{word} {}\n", now.as_millis()).as_bytes());
        written.map_err(|error| JobError::retry("record", error.to_string()))
    }
}

windlass_guest::export!(compute, wait);
