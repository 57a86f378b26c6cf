//! How long runs went on that should have been over.

use std::collections::BTreeMap;

use super::Record;

/// From when to when a host was suspended: runs did nothing then, however long it was.
#[derive(Clone, Copy, Debug)]
pub struct Suspension {
    /// When it was stopped.
    pub from_ms: i64,
    /// When it went on.
    pub to_ms: i64,
}

/// How long a run went on after an instant, without the time during which hosts were suspended: 0 where it did not.
pub(super) fn after(at_ms: i64, record: &Record, suspensions: &[Suspension]) -> i64 {
    let suspended = suspensions
        .iter()
        .map(|suspension| (suspension.to_ms.min(record.last_ms) - suspension.from_ms.max(at_ms)).max(0));
    (record.last_ms - at_ms - suspended.sum::<i64>()).max(0)
}

/// How long a run went on after a later one had begun.
pub(super) fn overlap(runs: &BTreeMap<u32, Record>, suspensions: &[Suspension]) -> i64 {
    let beside = |(run, record): (&u32, &Record)| {
        let next_ms = runs.range(run + 1..).map(|(_, later)| later.first_ms).min();
        next_ms.map_or(0, |next_ms| after(next_ms, record, suspensions))
    };
    runs.iter().map(beside).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(first_ms: i64, last_ms: i64) -> Record {
        Record { starts: 1, ends: 0, fails: 0, first_ms, last_ms }
    }

    #[test]
    fn runs_one_after_the_other_do_not_overlap() {
        let runs = BTreeMap::from([(1, record(0, 100)), (2, record(100, 200)), (3, record(300, 400))]);
        assert_eq!(overlap(&runs, &[]), 0);
    }

    #[test]
    fn a_run_that_goes_on_beside_any_later_one_overlaps() {
        let runs = BTreeMap::from([(1, record(0, 350)), (2, record(100, 200)), (3, record(300, 400))]);
        assert_eq!(overlap(&runs, &[]), 250);
    }

    #[test]
    fn the_time_of_a_suspension_does_not_count() {
        let runs = BTreeMap::from([(1, record(0, 1_050)), (2, record(500, 900))]);
        assert_eq!(overlap(&runs, &[Suspension { from_ms: 100, to_ms: 1_000 }]), 50);
        assert_eq!(after(500, &record(0, 1_050), &[Suspension { from_ms: 100, to_ms: 1_000 }]), 50);
        assert_eq!(after(2_000, &record(0, 1_050), &[]), 0);
    }
}
