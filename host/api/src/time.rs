//! Instants.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant with millisecond resolution, kept as milliseconds since the Unix epoch and written as RFC 3339 in UTC,
/// such as `2026-11-23T15:49:53.120Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// An instant that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTimestamp(String);

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an instant: expected one that the calendar has, up to the year 9999, in RFC 3339, such as \
             2026-11-23T15:49:53.120Z",
            self.0
        )
    }
}

impl std::error::Error for InvalidTimestamp {}

impl Timestamp {
    /// The latest instant that can be written.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// This long after the instant, in milliseconds; never past [`Self::MAX`].
    #[must_use]
    pub fn plus_ms(self, span_ms: u64) -> Self {
        let span = i64::try_from(span_ms).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(span)).min(Self::MAX)
    }

    /// The milliseconds from an earlier instant to this one; 0 where it is not earlier.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        calendar::write(self.0, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        calendar::read(text).map(Self).ok_or_else(|| InvalidTimestamp(text.chars().take(80).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant as a string in RFC 3339, such as 2026-11-23T15:49:53.120Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// Years, months and days.
#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
mod calendar {
    use std::fmt;

    pub(super) fn write(ms: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(ms).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.3}")
    }

    pub(super) fn read(text: &str) -> Option<i64> {
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
    }
}

/// Years, months and days as the browser knows them: a calendar of its own would be a tenth of the dashboard's code.
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod calendar {
    use std::fmt;

    use js_sys::Date;

    pub(super) fn write(ms: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The browser throws where it cannot write an instant.
        if ms.unsigned_abs() > super::Timestamp::MAX.0.unsigned_abs() {
            return Err(fmt::Error);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let date = Date::new(&(ms as f64).into());
        f.write_str(&String::from(date.to_iso_string()))
    }

    pub(super) fn read(text: &str) -> Option<i64> {
        // The browser also reads much that is no instant, and takes one without an offset for one of its own zone.
        let bytes = text.as_bytes();
        let is_instant = bytes.len() >= 20
            && bytes[0].is_ascii_digit()
            && matches!(bytes[10], b'T' | b't' | b' ')
            && (matches!(bytes[bytes.len() - 1], b'Z' | b'z') || matches!(bytes[bytes.len() - 6], b'+' | b'-'));
        let ms = Date::new(&text.into()).get_time();
        #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds, and checked to be a number")]
        (is_instant && ms.is_finite()).then_some(ms as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_milliseconds_in_utc() {
        let instant = Timestamp(1_795_448_993_120);
        assert_eq!(instant.to_string(), "2026-11-23T15:49:53.120Z");
        assert_eq!(instant.to_string().parse(), Ok(instant));
        assert_eq!("2026-11-23T16:49:53.12+01:00".parse(), Ok(instant));
        assert!("yesterday".parse::<Timestamp>().is_err());
        let refusal = serde_json::from_str::<Timestamp>("5").unwrap_err().to_string();
        assert!(refusal.contains("expected an instant as a string in RFC 3339"), "{refusal}");
        assert_eq!(Timestamp::MAX.plus_ms(u64::MAX).to_string().parse(), Ok(Timestamp::MAX));
    }
}
