//! Instants, in the viewer's zone.

use std::fmt::Write as _;

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

/// What a zone is ahead of UTC at an instant, in minutes, from how a browser writes the instant there: the numbers of
/// month, day, year, hour, minute and second, with anything between them.
#[must_use]
pub fn offset_from(at: Timestamp, written: &str) -> Option<i32> {
    let numbers: Vec<_> =
        written.split(|character: char| !character.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let [month, day, year, hour, minute, second] = numbers[..] else { return None };
    let there: Timestamp = format!("{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second}Z").parse().ok()?;
    i32::try_from((there.0 - at.0.div_euclid(1_000) * 1_000) / 60_000).ok()
}

/// An instant as it is written in a zone, such as `2026-11-23T15:49:53.120`; absent beyond the years of four digits.
fn civil(at: Timestamp, offset_minutes: i32) -> Option<String> {
    let shifted = Timestamp(at.0.checked_add(i64::from(offset_minutes) * 60_000)?);
    let mut text = String::new();
    write!(text, "{shifted}").ok()?;
    text.ends_with('Z').then(|| text.pop())?;
    (text.len() == 23).then_some(text)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time of day, with the date where that is another than today's: `15:49:53`, `Nov 22, 15:49`.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp, offset_minutes: i32) -> String {
    let (Some(then), Some(today)) = (civil(at, offset_minutes), civil(now, offset_minutes)) else {
        return at.0.to_string();
    };
    if then[..10] == today[..10] {
        return then[11..19].to_owned();
    }
    let month = then[5..7].parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    match month {
        Some(month) if then[..4] == today[..4] => {
            format!("{month} {}, {}", then[8..10].trim_start_matches('0'), &then[11..16])
        }
        _ => then[..10].to_owned(),
    }
}

/// The exact instant, in the viewer's zone and in UTC: what one reads on hover.
#[must_use]
pub fn exact(at: Timestamp, offset_minutes: i32) -> String {
    let (Some(then), Some(utc)) = (civil(at, offset_minutes), civil(at, 0)) else {
        return at.0.to_string();
    };
    let (sign, minutes) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.unsigned_abs());
    format!("{} {} {sign}{:02}:{:02} ({utc}Z)", &then[..10], &then[11..], minutes / 60, minutes % 60)
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
    fn the_offset_of_a_zone_is_read_from_how_a_browser_writes_an_instant_there() {
        assert_eq!(offset_from(THEN, "11/23/2026, 16:49:53"), Some(60));
        assert_eq!(offset_from(THEN, "11/23/2026, 12:19:53"), Some(-210));
        assert_eq!(offset_from(THEN, "11/24/2026, 05:49:53"), Some(840));
        assert_eq!(offset_from(THEN, "Invalid Date"), None);
    }

    #[test]
    fn an_instant_is_shown_in_the_viewers_zone() {
        assert_eq!(clock(THEN, THEN, 60), "16:49:53");
        assert_eq!(clock(THEN, Timestamp(THEN.0 + 86_400_000), -480), "Nov 23, 07:49");
        assert_eq!(clock(THEN, Timestamp(THEN.0 + 18 * 86_400_000), 0), "Nov 23, 15:49");
        assert_eq!(clock(Timestamp(THEN.0 - 18 * 86_400_000), THEN, 0), "Nov 5, 15:49");
        assert_eq!(clock(THEN, Timestamp(0), 0), "2026-11-23");
        assert_eq!(exact(THEN, -210), "2026-11-23 12:19:53.120 -03:30 (2026-11-23T15:49:53.120Z)");
        assert_eq!(exact(Timestamp(i64::MAX), 0), i64::MAX.to_string());
    }
}
