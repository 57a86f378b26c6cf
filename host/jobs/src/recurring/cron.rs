//! Cron expressions, and the instants that they mean in a time zone.
//!
//! The `cron` crate works on the clock's face as if there were no zones: days and hours come from it. What becomes of
//! them where clocks are set is decided here:
//!
//! - A local time that is skipped runs right after the gap, once for all that fall into the same gap.
//! - A local time that comes twice runs the first time.
//! - An expression whose hours are `*` or `*/N` names no local time but an interval: it runs through, so nothing that the
//!   clock skips is made up for, and what comes twice runs twice.

use chrono::DateTime;
use cron::Schedule as Crate;
use jiff::{
    Timestamp as Instant,
    tz::{TimeZone, TimeZoneTransition},
};

use super::fields::{self, Fields};

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// An expression that has been read.
#[derive(Clone, Debug)]
pub(super) struct Cron {
    /// One, or two whose instants are taken together.
    schedules: Vec<Crate>,
    /// Whether it runs through where clocks are set.
    is_interval: bool,
}

impl Cron {
    pub(super) fn read(expression: &str) -> Result<Self, String> {
        let nickname = |name: &str| NICKNAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Fields { schedules, any_hour } = match nickname(expression) {
            Some((_, fields)) => fields::read(fields)?,
            None if expression.starts_with('@') => {
                let names = NICKNAMES.map(|(name, _)| name).join(", ");
                return Err(format!("is none of the names that there are: {names}"));
            }
            None => fields::read(expression)?,
        };
        Ok(Self { schedules, is_interval: any_hour })
    }

    /// The first instant after one, both in seconds since the epoch; nothing before 2101.
    pub(super) fn next_after(&self, after: i64, zone: &TimeZone) -> Option<i64> {
        let from = Instant::from_second(after).ok()?;
        let mut clocks =
            zone.following(from).map(|set| (set.timestamp().as_second(), i64::from(set.offset().seconds())));
        let mut offset = offset(zone, from);
        // The first local second that may be meant.
        let mut lowest = after + offset + 1;
        if !self.is_interval {
            lowest = lowest.max(repeated_until(zone, from));
        }
        let mut local = self.local_from(lowest)?;
        loop {
            let Some((at, offset_then)) = clocks.next() else { return Some(local - offset) };
            if local < at + offset {
                return Some(local - offset);
            }
            // The clock is set before that: it skips what lies between, or shows it again.
            if !self.is_interval && local < at + offset_then {
                return Some(at);
            }
            let repeated = if self.is_interval { i64::MIN } else { lowest.max(at + offset) };
            lowest = repeated.max(at + offset_then);
            offset = offset_then;
            // For an interval, what is shown again lies before what was found already.
            if local < lowest || self.is_interval {
                local = self.local_from(lowest)?;
            }
        }
    }

    /// The first local second from this one on that the expression names, counted as if local time were UTC.
    fn local_from(&self, lowest: i64) -> Option<i64> {
        let before = DateTime::from_timestamp(lowest - 1, 0)?;
        let firsts = self.schedules.iter().filter_map(|schedule| schedule.after(&before).next());
        firsts.map(|first| first.timestamp()).min()
    }
}

/// Local seconds before this have been shown already when the clock was last set back.
fn repeated_until(zone: &TimeZone, at: Instant) -> i64 {
    let last_set = at.checked_add(jiff::SignedDuration::from_secs(1)).ok();
    let last_set = last_set.and_then(|soon| zone.preceding(soon).next());
    last_set.map_or(i64::MIN, |set: TimeZoneTransition<'_>| {
        let set = set.timestamp();
        let before = set.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(set);
        set.as_second() + offset(zone, before)
    })
}

/// How far local time is ahead of UTC, in seconds.
fn offset(zone: &TimeZone, at: Instant) -> i64 {
    i64::from(zone.to_offset(at).seconds())
}
