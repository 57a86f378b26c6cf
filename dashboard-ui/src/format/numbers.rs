//! Counts, sizes and spans.

/// A count with its thousands apart: `12,345`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in little space: `999`, `12.3k`, `4.5M`.
#[must_use]
pub fn compact(value: u64) -> String {
    match value {
        0..1_000 => value.to_string(),
        1_000..1_000_000 => scaled(value, 1_000, "k"),
        1_000_000..1_000_000_000 => scaled(value, 1_000_000, "M"),
        _ => scaled(value, 1_000_000_000, "G"),
    }
}

/// Fuel: `1.2M`, with the whole number for whoever asks.
#[must_use]
pub fn fuel(value: u64) -> String {
    match value {
        0..1_000_000_000_000 => compact(value),
        _ => scaled(value, 1_000_000_000_000, "T"),
    }
}

/// Rounds down, so that `999,999` is `999k` and never `1000k`.
fn scaled(value: u64, unit: u64, suffix: &str) -> String {
    let (whole, tenth) = (value / unit, value % unit * 10 / unit);
    if whole >= 100 || tenth == 0 { format!("{whole}{suffix}") } else { format!("{whole}.{tenth}{suffix}") }
}

/// A size: `0 B`, `1.5 KiB`, `128 MiB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    match value {
        0..0x400 => format!("{value} B"),
        0x400..0x10_0000 => scaled(value, 0x400, " KiB"),
        0x10_0000..0x4000_0000 => scaled(value, 0x10_0000, " MiB"),
        _ => scaled(value, 0x4000_0000, " GiB"),
    }
}

/// A span of milliseconds in its two largest units: `120 ms`, `5.2 s`, `3 min 4 s`, `2 d 5 h`.
#[must_use]
pub fn span(ms: u64) -> String {
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    let seconds = ms / 1_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => scaled(ms, 1_000, " s"),
        10_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600_000..86_400_000 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// A span of microseconds; below a millisecond in those.
#[must_use]
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => scaled(us, 1_000, " ms"),
        _ => span(us / 1_000),
    }
}

/// A length or a share with at most two decimals: `12`, `3.5`, `0.25`. By integers, since what writes floats as exactly
/// as they are is some 15 kB of code.
#[must_use]
pub fn decimal(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "hundredths of pixels; not a number becomes 0")]
    let hundredths = (value * 100.0).round() as i64;
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, part) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
    match part {
        0 => format!("{sign}{whole}"),
        _ if part % 10 == 0 => format!("{sign}{whole}.{}", part / 10),
        _ => format!("{sign}{whole}.{part:02}"),
    }
}

/// A share: `0 %`, `0.4 %`, `12 %`.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    match thousandths {
        0 if part > 0 => "< 0.1 %".to_owned(),
        1..100 if thousandths % 10 != 0 => format!("{}.{} %", thousandths / 10, thousandths % 10),
        _ => format!("{} %", thousandths / 10),
    }
}

/// How often something happens, from how often it happened in a span.
#[must_use]
pub fn rate(happened: u64, span_ms: u64) -> String {
    let per_minute = u128::from(happened) * 60_000 / u128::from(span_ms.max(1));
    let per_minute = u64::try_from(per_minute).unwrap_or(u64::MAX);
    match per_minute {
        0 if happened == 0 => "0/min".to_owned(),
        0 => "< 1/min".to_owned(),
        1..600 => format!("{per_minute}/min"),
        _ => format!("{}/s", compact(per_minute / 60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([999, 1_000, 1_234, 999_999, 2_500_000].map(compact), ["999", "1k", "1.2k", "999k", "2.5M"]);
        assert_eq!(fuel(1_000_000_000_000), "1T");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn sizes_and_spans_have_a_fitting_unit() {
        assert_eq!([0, 1_023, 1_536, 128 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "128 MiB"]);
        assert_eq!([7, 5_234, 59_999, 184_000].map(span), ["7 ms", "5.2 s", "59 s", "3 min 4 s"]);
        assert_eq!([3_600_000, 190_800_000].map(span), ["1 h", "2 d 5 h"]);
        assert_eq!([12, 1_500, 250_000].map(micros), ["12 µs", "1.5 ms", "250 ms"]);
    }

    #[test]
    fn lengths_have_two_decimals_where_they_need_them() {
        let written = [0.0, 12.0, 3.5, 0.254, -0.05, 99.999, f64::NAN].map(decimal);
        assert_eq!(written, ["0", "12", "3.5", "0.25", "-0.05", "100", "0"]);
    }

    #[test]
    fn shares_and_rates_never_hide_that_something_happened() {
        assert_eq!(
            [(0, 10), (1, 2_000), (4, 1_000), (12, 100), (0, 0)].map(|(part, whole)| percent(part, whole)),
            ["0 %", "< 0.1 %", "0.4 %", "12 %", "0 %"]
        );
        assert_eq!(rate(1, 3_600_000), "< 1/min");
        assert_eq!(rate(300, 60_000), "300/min");
        assert_eq!(rate(60_000, 60_000), "1k/s");
    }
}
