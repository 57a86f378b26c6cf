//! Durations, sizes and retry policies as an author writes them: `90s`, `1m30s`, `64MiB`, `exponential(15s, 1h)`.

use proc_macro2::TokenStream;
use quote::quote;

/// Reads a duration into milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let expected = || {
        format!(
            "`{text}` is not a duration: expected numbers with the units ms, s, m, h or d, such as \"90s\" or \"1m30s\""
        )
    };
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(expected());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(expected()),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(expected)?;
        total = total.checked_add(part).ok_or_else(expected)?;
        rest = tail.trim_start();
    }
    Ok(total)
}

/// Reads a size into bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}` is not a size: expected a number with a unit, such as \"64MiB\" or \"500KB\"");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = trimmed.split_at(digits);
    let unit: u64 = match unit.trim_start() {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(expected()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(expected)
}

/// Reads a retry policy into an expression of the contract's type.
pub(crate) fn retry_policy(text: &str) -> Result<TokenStream, String> {
    let expected = || {
        format!(
            "`{text}` is not a retry policy: expected \"fixed(10s)\", \"linear(10s)\", \"exponential(15s, 1h)\" or \
             \"delays(1s, 10s, 1m)\""
        )
    };
    let (kind, rest) = text.trim().split_once('(').ok_or_else(expected)?;
    let list = rest.strip_suffix(')').ok_or_else(expected)?;
    let delays = list.split(',').map(milliseconds).collect::<Result<Vec<_>, _>>()?;
    match (kind.trim_end(), &delays[..]) {
        ("fixed", [delay]) => Ok(quote!(RetryPolicy::Fixed(#delay))),
        ("linear", [delay]) => Ok(quote!(RetryPolicy::Linear(#delay))),
        ("exponential", [base, max]) if base <= max => Ok(
            quote!(RetryPolicy::Exponential(::windlass_guest::__private::wit::Exponential { base: #base, max: #max })),
        ),
        ("exponential", [_, _]) => Err(format!("`{text}` has its base above its bound: expected the base first")),
        ("delays", delays) => Ok(quote!(RetryPolicy::Delays(::std::vec![#(#delays),*]))),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        assert_eq!(milliseconds("250ms"), Ok(250));
        assert_eq!(milliseconds("1m30s"), Ok(90_000));
        assert_eq!(milliseconds(" 1d 2h "), Ok(93_600_000));
        for wrong in ["", "30", "s", "30 s", "-1s", "1.5s", "1w", "99999999999999999999s", "9999999999999999d"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("2 KB"), Ok(2_000));
        for wrong in ["", "64", "MiB", "1.5GiB", "64mb", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn retry_policies_look_like_calls() {
        assert!(retry_policy("exponential(15s, 1h)").is_ok());
        assert!(retry_policy("delays(1s, 5s, 1m)").is_ok());
        for wrong in ["exponential(1h, 15s)", "exponential(15s)", "fixed()", "often(1s)", "fixed 1s", "fixed(1s, 2s)"] {
            assert!(retry_policy(wrong).is_err(), "{wrong}");
        }
    }
}
