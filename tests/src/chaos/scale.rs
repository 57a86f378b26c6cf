//! How much is done, and by which dice.

use std::{env, time::Duration};

use anyhow::{Context, Result};
use fastrand::Rng;

/// The variable that chooses the whole suite: `full`. Otherwise it is the short one.
const SCALE: &str = "WINDLASS_CHAOS";

/// The variable that sets the seed.
const SEED: &str = "WINDLASS_CHAOS_SEED";

/// How much a test does.
#[derive(Debug)]
pub struct Scale {
    full: bool,
    seed: u64,
}

impl Scale {
    /// What the environment asks for. Prints the seed, with which the same choices can be made again; what they meet
    /// depends on the machine all the same.
    ///
    /// # Errors
    /// Where the seed is not a number.
    pub fn chosen() -> Result<Self> {
        let seed = match env::var(SEED) {
            Ok(seed) => seed.parse().with_context(|| format!("{SEED}={seed} is not a number"))?,
            Err(_) => fastrand::u64(0..1_000_000_000),
        };
        let full = env::var(SCALE).is_ok_and(|scale| scale == "full");
        println!("{} form, {SEED}={seed}", if full { "full" } else { "short" });
        Ok(Self { full, seed })
    }

    /// One of two figures: the full form's, or the short one's.
    #[must_use]
    pub fn of<T>(&self, full: T, short: T) -> T {
        if self.full { full } else { short }
    }

    /// Dice of one's own: each user has a number, so that what one throws does not change what another gets.
    #[must_use]
    pub fn dice(&self, user: u64) -> Rng {
        Rng::with_seed(self.seed.wrapping_mul(1_000).wrapping_add(user))
    }
}

/// A span between these, in milliseconds.
pub(crate) fn span(dice: &mut Rng, range_ms: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(dice.u64(range_ms))
}
