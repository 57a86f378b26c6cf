//! Intervals: `every 90s`, counted from when they were put, whatever clocks are set to.

use windlass_api::Timestamp;

/// What a unit has, in milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// More often than this, a job that runs all the time is what is wanted.
const MIN_PERIOD_MS: u64 = 1_000;

/// 10 years, as long as a job may wait.
const MAX_PERIOD_MS: u64 = 10 * 365 * 86_400_000;

/// Reads what follows `every`, such as `90s` or `1h 30m`: the period in milliseconds.
pub(super) fn read(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let wrong = || {
        let given = text.chars().take(40).collect::<String>();
        format!(
            "has the interval `{given}`: expected a number with ms, s, m, h or d, such as `every 90s` or `every 1h 30m`"
        )
    };
    let mut period_ms = 0_u64;
    let mut rest = text;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let number = rest[..unit_at].parse::<u64>().map_err(|_| wrong())?;
        let after = rest[unit_at..].trim_start();
        let end = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (_, unit_ms) = UNITS.iter().find(|(unit, _)| *unit == &after[..end]).ok_or_else(wrong)?;
        period_ms = period_ms.saturating_add(number.saturating_mul(*unit_ms));
        rest = after[end..].trim_start();
    }
    if !(MIN_PERIOD_MS..=MAX_PERIOD_MS).contains(&period_ms) {
        return Err(format!("has an interval of {period_ms} ms: expected at least 1s and at most 3650d"));
    }
    Ok(period_ms)
}

/// The first instant after one, of those that are whole periods after `from`.
pub(super) fn next_after(after: Timestamp, from: Timestamp, period_ms: u64) -> Option<Timestamp> {
    let period = i64::try_from(period_ms).ok()?;
    if after < from {
        return from.0.checked_add(period).map(Timestamp);
    }
    let past = after.0.checked_sub(from.0)? / period;
    let next = past.checked_add(1)?.checked_mul(period)?.checked_add(from.0).map(Timestamp)?;
    (next <= Timestamp::MAX).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_with_their_units() {
        for (text, ms) in
            [("90s", 90_000), ("1500ms", 1_500), ("1h 30m", 5_400_000), ("1h30m", 5_400_000), (" 2 d ", 172_800_000)]
        {
            assert_eq!(read(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_interval_is_refused_with_what_is() {
        for text in ["", "s", "90", "0.5h", "-1s", "5 weeks", "1s,", "99999999999999999999s", "ä"] {
            assert!(read(text).unwrap_err().contains("such as `every 90s`"), "{text}");
        }
        for text in ["0s", "999ms", "3651d", "18446744073709551615d"] {
            assert!(read(text).unwrap_err().contains("at least 1s and at most 3650d"), "{text}");
        }
    }

    #[test]
    fn an_interval_keeps_its_phase() {
        let from = Timestamp(10_500);
        let next = |after| next_after(Timestamp(after), from, 1_000).unwrap().0;
        assert_eq!(
            [0, 10_499, 10_500, 11_499, 11_500, 99_999].map(next),
            [11_500, 11_500, 11_500, 11_500, 12_500, 100_500]
        );
        assert_eq!(next_after(Timestamp::MAX, from, 1_000), None);
    }
}
