//! The numbers of jobs: the millisecond in which a job was made, then a count within it. So jobs stand in the order of
//! their making wherever they are ordered by number, also when they are imported after younger ones, and every index of
//! jobs answers a span of time.

use rusqlite::Connection;
use windlass_api::Timestamp;

use super::fault::Fault;

/// How many bits count within a millisecond. Jobs beyond a million in one would go on into the next, where a filter by
/// time misses them by that millisecond.
const COUNT_BITS: u32 = 20;

/// The last millisecond that a number can tell: in the year 2248.
const LAST_MS: i64 = i64::MAX >> COUNT_BITS;

/// The first number for a job that is made at an instant.
pub(super) fn first_of(at: Timestamp) -> i64 {
    at.0.clamp(0, LAST_MS) << COUNT_BITS
}

/// The instant at which a job of this number was made.
pub(super) fn instant_of(number: i64) -> Timestamp {
    Timestamp(number >> COUNT_BITS)
}

/// A number after all others that are given to jobs of the same millisecond.
pub(super) fn next(db: &Connection, made_at: Timestamp) -> Result<i64, Fault> {
    let first = first_of(made_at);
    let end = first.saturating_add(1 << COUNT_BITS);
    let last = db
        .prepare_cached("SELECT max(seq) FROM jobs WHERE seq >= ?1 AND seq < ?2")?
        .query_row((first, end), |row| row.get::<_, Option<i64>>(0))?;
    match last {
        Some(last) if last + 1 == end => next(db, instant_of(end)),
        Some(last) => Ok(last + 1),
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_its_instant() {
        for ms in [0, 1, 1_800_000_000_000, LAST_MS] {
            assert_eq!(instant_of(first_of(Timestamp(ms))), Timestamp(ms));
            assert_eq!(instant_of(first_of(Timestamp(ms)) + ((1 << COUNT_BITS) - 1)), Timestamp(ms));
        }
        assert_eq!(first_of(Timestamp(-7)), 0);
        assert_eq!(instant_of(first_of(Timestamp(i64::MAX))), Timestamp(LAST_MS));
    }

    #[test]
    fn a_millisecond_that_is_full_goes_on_into_the_next() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut db, "a test", true).unwrap();
        let insert = |seq: i64| {
            db.execute(
                "INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses,
                 lines, created_at, at, ready_at) VALUES (?1, ?2, 1, 1, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0)",
                (seq, seq.to_be_bytes()),
            )
            .unwrap();
        };
        assert_eq!(next(&db, Timestamp(7)).unwrap(), first_of(Timestamp(7)));
        insert(first_of(Timestamp(7)));
        assert_eq!(next(&db, Timestamp(7)).unwrap(), first_of(Timestamp(7)) + 1);
        insert(first_of(Timestamp(8)) - 1);
        insert(first_of(Timestamp(8)));
        assert_eq!(next(&db, Timestamp(7)).unwrap(), first_of(Timestamp(8)) + 1);
    }
}
