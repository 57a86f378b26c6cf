//! What a claim costs, whatever waits: one among a million jobs beside one among a thousand, in turns.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use windlass_jobs::{api::QueueName, storage::Storage};

use super::{drive, median};

/// The short line.
pub(super) const FEW: usize = 1_000;

/// How many jobs a claim takes.
pub(super) const BATCH: u32 = 20;

/// How many claims of each are measured; those of before warm up.
const CLAIMS: usize = 31;

/// Claims before the measured ones.
const WARM: usize = 5;

#[derive(Serialize)]
pub(crate) struct Figures {
    pub(super) few_us: f64,
    pub(super) many_us: f64,
    /// The claim among many, in claims among few.
    pub(super) ratio: f64,
}

pub(super) async fn measure(storage: &dyn Storage, waiting: usize) -> Result<Figures> {
    let (few, many): (QueueName, QueueName) = ("few".parse()?, "many".parse()?);
    let server = drive::register(storage).await?;
    drive::enqueue_into(storage, waiting, drive::MOST_IN_BULK, &many).await?;
    drive::enqueue_into(storage, FEW, FEW, &few).await?;
    let (mut few_us, mut many_us) = (Vec::new(), Vec::new());
    for number in 0..WARM + CLAIMS {
        for (queue, took) in [(&few, &mut few_us), (&many, &mut many_us)] {
            let begun = Instant::now();
            let claimed = drive::claim(storage, server, queue, BATCH).await?;
            let elapsed = begun.elapsed();
            ensure!(claimed.len() == BATCH as usize, "a claim brought {} of {BATCH} jobs", claimed.len());
            if number >= WARM {
                took.push(elapsed.as_secs_f64() * 1e6);
            }
        }
    }
    let (few_us, many_us) = (median(few_us), median(many_us));
    Ok(Figures { few_us, many_us, ratio: many_us / few_us })
}
