//! Instants, in the viewer's zone.

use jiff::tz::Offset;
use windlass_api::Timestamp;

use super::numbers::span;

/// How long ago an instant is, or how long until then: `12 s ago`, `in 5 min`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let coarse = |ms: u64| match ms {
        0..60_000 => format!("{} s", ms / 1_000),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => span(ms / 86_400_000 * 86_400_000),
    };
    // Clocks of browser and host differ a little: what is half a second in the future is now.
    match now.0.saturating_sub(at.0) {
        -999..1_000 => "now".to_owned(),
        past @ 1_000.. => format!("{} ago", coarse(past.unsigned_abs())),
        future => format!("in {}", coarse(future.unsigned_abs())),
    }
}

fn civil(at: Timestamp, offset_minutes: i32) -> Option<jiff::civil::DateTime> {
    let offset = Offset::from_seconds(offset_minutes.checked_mul(60)?).ok()?;
    Some(offset.to_datetime(jiff::Timestamp::from_millisecond(at.0).ok()?))
}

/// The time of day, with the date where that is another than today's: `15:49:53`, `Nov 22, 15:49`.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp, offset_minutes: i32) -> String {
    let (Some(then), Some(today)) = (civil(at, offset_minutes), civil(now, offset_minutes)) else {
        return at.0.to_string();
    };
    let format = match then.date() == today.date() {
        true => "%H:%M:%S",
        false if then.year() == today.year() => "%b %-d, %H:%M",
        false => "%Y-%m-%d",
    };
    then.strftime(format).to_string()
}

/// The exact instant, in the viewer's zone and in UTC: what one reads on hover.
#[must_use]
pub fn exact(at: Timestamp, offset_minutes: i32) -> String {
    let Some(then) = civil(at, offset_minutes) else {
        return at.0.to_string();
    };
    let (sign, minutes) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.unsigned_abs());
    let utc = civil(at, 0).map(|utc| utc.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default();
    let local = then.strftime("%Y-%m-%d %H:%M:%S%.3f");
    format!("{local} {sign}{:02}:{:02} ({utc})", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Timestamp = Timestamp(1_795_448_993_120);

    #[test]
    fn ages_are_coarse() {
        let ago = |ms| relative(THEN, Timestamp(THEN.0 + ms));
        assert_eq!(
            [0, 400, 12_900, 65_000, 7_300_000, 200_000_000].map(ago),
            ["now", "now", "12 s ago", "1 min ago", "2 h ago", "2 d ago"]
        );
        assert_eq!(relative(Timestamp(THEN.0 + 300_000), THEN), "in 5 min");
        assert_eq!(relative(Timestamp(i64::MIN), Timestamp(i64::MAX)), "106751991167 d ago");
    }

    #[test]
    fn an_instant_is_shown_in_the_viewers_zone() {
        assert_eq!(clock(THEN, THEN, 60), "16:49:53");
        assert_eq!(clock(THEN, Timestamp(THEN.0 + 86_400_000), -480), "Nov 23, 07:49");
        assert_eq!(exact(THEN, -210), "2026-11-23 12:19:53.120 -03:30 (2026-11-23T15:49:53.120Z)");
        assert_eq!(exact(Timestamp(i64::MAX), 0), i64::MAX.to_string());
    }
}
