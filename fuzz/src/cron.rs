//! An expression for a recurring job, and its time zone on a second line: what is taken has instants that only go on.

use windlass_jobs::{api::Timestamp, recurring::Schedule};

/// How many instants are looked at.
const INSTANTS: usize = 20;

pub fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, zone) = text.split_once('\n').map_or((text, None), |(expression, zone)| (expression, Some(zone)));
    // Not a whole hour, and in a leap year.
    let from = Timestamp(1_709_164_799_123);
    let Ok(schedule) = Schedule::read(expression, zone, from) else { return };
    let mut last = from;
    for _ in 0..INSTANTS {
        let Some(next) = schedule.next_after(last) else { return };
        assert!(next > last, "{expression:?} in {zone:?}: {next} does not come after {last}");
        assert_eq!(
            schedule.last_until(next, next),
            next,
            "{expression:?} in {zone:?}: {next} is an instant of its own"
        );
        last = next;
    }
}
