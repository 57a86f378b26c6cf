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
        write!(f, "`{}` is not an instant: expected RFC 3339, such as 2026-11-23T15:49:53.120Z", self.0)
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
        let instant = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = |_| InvalidTimestamp(text.chars().take(80).collect());
        text.parse::<jiff::Timestamp>().map(|instant| Self(instant.as_millisecond())).map_err(invalid)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
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
        assert_eq!(Timestamp::MAX.plus_ms(u64::MAX).to_string().parse(), Ok(Timestamp::MAX));
    }
}
