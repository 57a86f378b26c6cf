//! Numbers of JSON as they are written, of any length. Floats would take the neighbours of a bound for the bound itself, and
//! what reads them brings tables of 10 kB that cannot be compressed.

use std::cmp::Ordering;

/// A number as 0.DIGITS × 10^EXPONENT, without zeros at either end; 0 has no digits.
#[derive(Debug)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

/// Which of two numbers is larger. What is no number of JSON counts as something near it.
#[must_use]
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (read(one), read(other));
    let size = || one.exponent.cmp(&other.exponent).then_with(|| one.digits.cmp(&other.digits));
    match (one.digits.is_empty(), other.digits.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) if other.is_negative => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, true) if one.is_negative => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => match (one.is_negative, other.is_negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => size(),
            (true, true) => size().reverse(),
        },
    }
}

fn read(text: &str) -> Decimal {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // A power that is too long for this is beyond all others of its sign.
    let most = if power.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    let power =
        power.trim_start_matches('+').parse::<i64>().map_or(most, |power| power.clamp(i64::MIN / 2, i64::MAX / 2));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let length = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX / 4);
    Decimal {
        is_negative,
        exponent: power + length(whole.len()) - length(all.len() - digits.len()),
        digits: digits.trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_exactly_as_they_are_written() {
        let rising = [
            "-1e99999999999999999999",
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-0.0001",
            "0",
            "1E-99999999999999999999",
            "1e-7",
            "0.001",
            "9.99",
            "10",
            "18446744073709551615",
            "18446744073709551616",
            "1.8446744073709551616000001e19",
            "1e+400",
        ];
        for (at, one) in rising.iter().enumerate() {
            for (beside, other) in rising.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&beside), "{one} and {other}");
            }
        }
    }

    #[test]
    fn there_are_many_ways_to_write_a_number() {
        for (one, other) in [("0", "-0.00e7"), ("100", "1e2"), ("1.50", "15E-1"), ("0.01", "1e-2"), ("-20", "-0.2e+2")]
        {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} and {other}");
        }
    }
}
