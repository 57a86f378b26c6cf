//! What a claim costs, whatever waits: in a storage with a million waiting jobs beside one with a thousand, in turns; from a
//! queue by its name, and from all queues.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use windlass_jobs::{
    api::{QueueName, ServerId},
    storage::Storage,
};

use super::{drive, median};

/// How many jobs wait in the storage with few.
pub(super) const FEW: usize = 1_000;

/// How many jobs a claim takes.
pub(super) const BATCH: u32 = 20;

/// How many claims of each are measured; those of before warm up.
const CLAIMS: usize = 101;

/// Claims before the measured ones.
const WARM: usize = 10;

#[derive(Serialize)]
pub(crate) struct Figures {
    pub(super) from_one_queue: Pair,
    pub(super) from_all_queues: Pair,
}

/// Medians.
#[derive(Serialize)]
pub(super) struct Pair {
    pub(super) few_us: f64,
    pub(super) many_us: f64,
    /// The claim among many, in claims among few.
    pub(super) ratio: f64,
}

/// A storage with so many jobs that wait in two queues.
struct Line<'a> {
    storage: &'a dyn Storage,
    server: ServerId,
}

impl<'a> Line<'a> {
    async fn fill(storage: &'a dyn Storage, waiting: usize) -> Result<Self> {
        for queue in queues()? {
            drive::enqueue_into(storage, waiting / 2, drive::MOST_IN_BULK, &queue).await?;
        }
        Ok(Self { storage, server: drive::register(storage).await? })
    }

    /// How long a claim takes, in microseconds. What it took is put back, so that there are always as many.
    async fn claim(&self, from: &[QueueName]) -> Result<f64> {
        let begun = Instant::now();
        let claimed = drive::claim(self.storage, self.server, from, BATCH).await?;
        let took = begun.elapsed();
        ensure!(claimed.len() == BATCH as usize, "a claim brought {} of {BATCH} jobs", claimed.len());
        for run in claimed {
            drive::enqueue_into(self.storage, 1, 1, &run.queue).await?;
        }
        Ok(took.as_secs_f64() * 1e6)
    }
}

fn queues() -> Result<[QueueName; 2]> {
    Ok(["first".parse()?, "second".parse()?])
}

/// Of a storage that is filled with few jobs and one that is filled with many.
pub(super) async fn measure(few: &dyn Storage, many: &dyn Storage, waiting: usize) -> Result<Figures> {
    let few = Line::fill(few, FEW).await?;
    let many = Line::fill(many, waiting).await?;
    let [one, _] = queues()?;
    Ok(Figures {
        from_one_queue: compare(&few, &many, &[one]).await?,
        from_all_queues: compare(&few, &many, &[]).await?,
    })
}

async fn compare(few: &Line<'_>, many: &Line<'_>, from: &[QueueName]) -> Result<Pair> {
    let (mut few_us, mut many_us) = (Vec::new(), Vec::new());
    for number in 0..WARM + CLAIMS {
        for (line, took) in [(few, &mut few_us), (many, &mut many_us)] {
            let micros = line.claim(from).await?;
            if number >= WARM {
                took.push(micros);
            }
        }
    }
    let (few_us, many_us) = (median(few_us), median(many_us));
    Ok(Pair { few_us, many_us, ratio: many_us / few_us })
}
