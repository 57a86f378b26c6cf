//! The numbers of jobs: the millisecond in which a job was made, then a count within it. So jobs stand in the order of
//! their making wherever they are ordered by number, and every index that ends in it answers a span of time.

use uuid::Uuid;
use windlass_api::{JobId, Timestamp};

/// How many bits count: the sequence of the database goes on through them over and over, so that two jobs of one
/// millisecond stand the wrong way round once in a million.
const COUNT_BITS: u32 = 20;

/// The last millisecond that a number can tell: in the year 2248.
pub(super) const LAST_MS: i64 = i64::MAX >> COUNT_BITS;

/// The first number for a job that is made at an instant.
pub(super) fn first_of(at: Timestamp) -> i64 {
    at.0.clamp(0, LAST_MS) << COUNT_BITS
}

/// The instant at which a job of this number was made.
pub(super) fn instant_of(number: i64) -> Timestamp {
    Timestamp(number >> COUNT_BITS)
}

/// What a job is called of which nothing is known but its number, and maybe its id.
pub(super) fn name(number: i64, id: Option<Uuid>) -> String {
    match id {
        Some(id) => format!("job {}", JobId(id)),
        None => format!("a job that was made at {}", instant_of(number)),
    }
}

/// A number in SQL, for a job that is made at the instant that an expression gives.
macro_rules! next_number {
    ($at:literal) => {
        concat!("((least(greatest(", $at, ", 0), 8796093022207) << 20) | (nextval('@numbers') & 1048575))")
    };
}
pub(super) use next_number;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_its_instant() {
        assert_eq!(LAST_MS, 8_796_093_022_207, "it stands in the statements too");
        for ms in [0, 1, 1_800_000_000_000, LAST_MS] {
            assert_eq!(instant_of(first_of(Timestamp(ms))), Timestamp(ms));
        }
        assert_eq!(first_of(Timestamp(-7)), 0);
    }
}
