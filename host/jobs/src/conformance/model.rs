//! Random commands against a model that is simple enough to be right, and against a second storage.
//!
//! Whatever is done, the storage must agree with the model on every answer and in the end on each job's whole history.
//! Instants are kept apart, so that one job always waits longest and a claim has one right answer.

mod compare;
mod expected;
mod trial;

use std::sync::Arc;

use self::trial::Trial;
use super::{
    random::Random,
    world::{Opened, World},
};
use crate::TestClock;

/// How many trials a test makes, each of its own seed on a storage of its own.
const TRIALS: u64 = 12;

/// How many commands a trial has.
const COMMANDS: usize = 80;

pub async fn whatever_is_done_the_storage_agrees_with_the_model(world: World) {
    let given = std::env::var("WINDLASS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = given.unwrap_or_else(|| Random::new(u64::from(std::process::id())).next());
    for seed in (0..TRIALS).map(|n| first.wrapping_add(n)) {
        // Shown where the test fails, to be given as `WINDLASS_TEST_SEED`.
        eprintln!("seed {seed}");
        let mut trial = Trial::new(seed, world.another().await).await;
        trial.run(COMMANDS).await;
        trial.compare().await;
    }
}

/// Carries out the same random commands on two storages, and fails where the second one answers otherwise, or shows other
/// jobs, histories, counts or queues. The seed is shown where it does.
///
/// # Panics
/// Where the storages differ, or one of them from the model.
pub fn differences<A, B>(first: fn(Arc<TestClock>) -> A, second: fn(Arc<TestClock>) -> B, seed: u64, commands: usize)
where
    A: Future<Output = Opened> + 'static,
    B: Future<Output = Opened> + 'static,
{
    eprintln!("seed {seed}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = async |world: World| {
        let mut trial = Trial::new(seed, world).await;
        trial.run(commands).await;
        trial.compare().await;
        trial.shown().await
    };
    let (one, other) =
        runtime.block_on(async { (shown(World::fresh(first).await).await, shown(World::fresh(second).await).await) });
    assert_eq!(one.jobs.len(), other.jobs.len());
    for (id, detail) in &one.jobs {
        assert_eq!(other.jobs.get(id), Some(detail));
    }
    assert_eq!(one.logs, other.logs);
    assert_eq!((one.counts, one.queues, one.counters), (other.counts, other.queues, other.counters));
}
