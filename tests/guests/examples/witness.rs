//! Behaves: writes what each run does into a file of the run's own, for the chaos tests. `/records` must be granted.
//!
//! A line is a word and the host's clock in milliseconds: `start` and `end`, and `alive` meanwhile, so that it can be
//! seen when a run that was stopped did its last.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use windlass_guest::prelude::*;

/// How often a run says that it is alive.
const BEAT: Duration = Duration::from_millis(20);

/// How long to work.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Work {
    /// Milliseconds, by a clock that nobody sets.
    ms: u64,
}

/// Works on a thread.
#[handler]
fn compute(ctx: &Context, work: Work) -> Result<u64, JobError> {
    let mut record = Record::open(ctx)?;
    let end = Instant::now() + Duration::from_millis(work.ms);
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        thread::sleep(rest.min(BEAT));
        record.write("alive")?;
    }
    record.write("end")?;
    Ok(work.ms)
}

/// Works as a task.
#[handler]
async fn wait(ctx: &Context, work: Work) -> Result<u64, JobError> {
    let mut record = Record::open(ctx)?;
    let end = Instant::now() + Duration::from_millis(work.ms);
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        windlass_guest::time::sleep(rest.min(BEAT)).await;
        record.write("alive")?;
    }
    record.write("end")?;
    Ok(work.ms)
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

    fn write(&mut self, word: &str) -> Result<(), JobError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = self.0.write_all(format!("{word} {}\n", now.as_millis()).as_bytes());
        written.map_err(|error| JobError::retry("record", error.to_string()))
    }
}

windlass_guest::export!(compute, wait);
