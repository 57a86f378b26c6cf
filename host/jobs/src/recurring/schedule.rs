//! What a schedule's text means: when, and when next.

use jiff::tz::TimeZone;
use windlass_api::Timestamp;

use super::{cron::Cron, every, zone};

/// No schedule's text is longer, in bytes.
const MAX_BYTES: usize = 400;

/// A schedule that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct InvalidSchedule {
    /// The field's name on the wire: `schedule` or `time_zone`.
    pub field: &'static str,
    /// What is wrong with it, and what was expected.
    pub message: String,
}

/// When a recurring job is due.
///
/// ```
/// use windlass_jobs::{api::Timestamp, recurring::Schedule};
///
/// let made_at = "2026-03-28T12:00:00Z".parse::<Timestamp>()?;
/// let nightly = Schedule::read("30 2 * * *", Some("Europe/Berlin"), made_at)?;
///
/// // On 29 March the clocks go from 2:00 to 3:00: what they skip runs right after the gap.
/// let first = nightly.next_after(made_at).expect("there is a next time");
/// assert_eq!(first.to_string(), "2026-03-29T01:00:00.000Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
    from: Timestamp,
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Cron),
    Every { period_ms: u64 },
}

impl Schedule {
    /// Reads a schedule: five fields of Unix cron, six with seconds first, `@daily` and its kin, or `every 90s`. Its zone
    /// is UTC where none is given. Intervals are counted from `from`.
    ///
    /// # Errors
    /// Where it is not one, its zone is not known, or it has no instant from `from` to the end of 2100.
    pub fn read(text: &str, time_zone: Option<&str>, from: Timestamp) -> Result<Self, InvalidSchedule> {
        let wrong = |message| InvalidSchedule { field: "schedule", message };
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("has {} bytes: at most {MAX_BYTES} are allowed", text.len())));
        }
        let text = text.trim();
        let interval = text.get(..5).filter(|word| word.eq_ignore_ascii_case("every")).map(|_| &text[5..]);
        let rule = match interval {
            Some(interval) => Rule::Every { period_ms: every::read(interval).map_err(wrong)? },
            None => Rule::Cron(Cron::read(text).map_err(wrong)?),
        };
        let zone = match time_zone {
            Some(name) => zone::find(name).map_err(|message| InvalidSchedule { field: "time_zone", message })?,
            None => TimeZone::UTC,
        };
        let schedule = Self { rule, zone, from };
        if schedule.next_after(from).is_none() {
            return Err(wrong("never comes: expected a date that there is before 2101".to_owned()));
        }
        Ok(schedule)
    }

    /// The first instant after one; nothing where there is none any more.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Cron(cron) => {
                let next = cron.next_after(after.0.div_euclid(1_000), &self.zone)?;
                next.checked_mul(1_000).map(Timestamp)
            }
            Rule::Every { period_ms } => every::next_after(after, self.from, *period_ms),
        }
    }

    /// The instants after one, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last))
    }

    /// The last instant up to `until` and not before `from`, which is one itself. However many lie between, it takes few
    /// steps: it halves what is left.
    pub fn last_until(&self, from: Timestamp, until: Timestamp) -> Timestamp {
        let next = |after: Timestamp| self.next_after(after).filter(|next| *next <= until);
        let mut best = from;
        let mut span = 1_000;
        while until.0 - span > from.0 {
            if let Some(instant) = next(Timestamp(until.0 - span)) {
                best = instant;
                break;
            }
            span = span.saturating_mul(2);
        }
        // No instant lies after this one.
        let mut highest = until;
        while best < highest {
            let middle = Timestamp(best.0 + (highest.0 - best.0) / 2);
            match next(middle) {
                Some(instant) => best = instant,
                None => highest = middle,
            }
        }
        best
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
