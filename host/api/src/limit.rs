//! Limits on how many jobs run at once, and on how many start in a span of time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{HandlerPath, QueueName, Timestamp};

/// No key is longer, in bytes.
const MAX_KEY_BYTES: usize = 200;

/// A key that a job counts under: a tenant, an account, a far side. 1 to 200 bytes, without `*` and control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey(Box<str>);

/// What a limit is on, written `queue:NAME`, `handler:MODULE/HANDLER`, `key:KEY` or `key:START*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitTarget {
    /// All jobs of a queue together.
    Queue(QueueName),
    /// All jobs of a handler together.
    Handler(HandlerPath),
    /// All jobs of a key together.
    Key(LimitKey),
    /// The jobs of each key that starts so, each key for itself. The empty start is that of every key.
    Keys(String),
}

/// Text that is no key, or no target of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLimit(String);

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidLimit {}

impl LimitKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_key(text: &str, least: usize) -> Result<(), InvalidLimit> {
    if (least..=MAX_KEY_BYTES).contains(&text.len()) && !text.contains(|char: char| char.is_control() || char == '*') {
        return Ok(());
    }
    let given = text.chars().take(MAX_KEY_BYTES + 1).collect::<String>();
    Err(InvalidLimit(format!(
        "`{given}` is not a limit key: expected {least} to {MAX_KEY_BYTES} bytes without `*` and control characters"
    )))
}

impl FromStr for LimitKey {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        check_key(text, 1).map(|()| Self(text.into()))
    }
}

impl FromStr for LimitTarget {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let invalid = |error: &dyn fmt::Display| InvalidLimit(error.to_string());
        match text.split_once(':') {
            Some(("queue", name)) => name.parse().map(Self::Queue).map_err(|error| invalid(&error)),
            Some(("handler", path)) => path.parse().map(Self::Handler).map_err(|error| invalid(&error)),
            Some(("key", pattern)) => match pattern.strip_suffix('*') {
                Some(start) => check_key(start, 0).map(|()| Self::Keys(start.to_owned())),
                None => pattern.parse().map(Self::Key),
            },
            _ => Err(InvalidLimit(format!(
                "`{}` is not what a limit can be on: expected `queue:NAME`, `handler:MODULE/HANDLER`, `key:KEY` or \
                 `key:START*`, which is each key that starts so",
                text.chars().take(MAX_KEY_BYTES).collect::<String>()
            ))),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for LimitTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue:{name}"),
            Self::Handler(path) => write!(f, "handler:{path}"),
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Keys(start) => write!(f, "key:{start}*"),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

as_text!(LimitKey);
as_text!(LimitTarget);

/// How many jobs may start in a span of time, wherever the span begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many: 1 to 1,000,000.
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// In how long: 1 second to 31 days.
    #[serde(deserialize_with = "period")]
    pub period_ms: u64,
}

impl Rate {
    /// A start is counted by the part of a period that it falls into, of which there are so many: it counts for a period from
    /// the end of its part. So a rate needs little room and is never exceeded, and reaches 60 parts of 61.
    pub const PARTS: u64 = 60;

    /// How long a part is, in milliseconds.
    #[must_use]
    pub const fn part_ms(&self) -> u64 {
        let part_ms = self.period_ms.div_ceil(Self::PARTS);
        if part_ms == 0 { 1 } else { part_ms }
    }

    /// The number of the part that an instant falls into.
    #[must_use]
    pub fn part_of(&self, at: Timestamp) -> u64 {
        u64::try_from(at.0).unwrap_or(0) / self.part_ms()
    }

    /// From when on a start of this part no longer counts.
    #[must_use]
    pub fn free_at(&self, part: u64) -> Timestamp {
        let end = part.saturating_add(1).saturating_mul(self.part_ms());
        Timestamp(i64::try_from(end).unwrap_or(i64::MAX)).plus_ms(self.period_ms)
    }
}

/// Reads a number as the nearest that there may be, so that [`LimitRule::check`] says of one below 0 what it says of 0.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    i64::deserialize(deserializer).map(nearest)
}

fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<i64>::deserialize(deserializer)?.map(nearest))
}

fn nearest(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    i64::deserialize(deserializer).map(|number| u64::try_from(number).unwrap_or(0))
}

/// A limit: at least one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// How many may run at once, over all hosts: 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "optional_count")]
    pub concurrency: Option<u32>,
    /// How many may start in a span of time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rate: Option<Rate>,
}

impl LimitRule {
    /// No limit allows more jobs at once, nor more starts in a span.
    pub const MAX_COUNT: u32 = 1_000_000;
    const MIN_PERIOD_MS: u64 = 1_000;
    const MAX_PERIOD_MS: u64 = 31 * 24 * 3_600_000;

    /// Checks that the limit can be kept.
    ///
    /// # Errors
    /// What it must be instead, naming the field.
    pub fn check(&self) -> Result<(), String> {
        let counts = 1..=Self::MAX_COUNT;
        if self.concurrency.is_none() && self.rate.is_none() {
            return Err("`concurrency` or `rate` must be given: remove the limit to have none".to_owned());
        }
        if self.concurrency.is_some_and(|concurrency| !counts.contains(&concurrency)) {
            return Err(format!("`concurrency` must be 1 to {}; pause a queue to stop it", Self::MAX_COUNT));
        }
        let Some(rate) = self.rate else { return Ok(()) };
        if !counts.contains(&rate.count) {
            return Err(format!("`rate.count` must be 1 to {}", Self::MAX_COUNT));
        }
        if !(Self::MIN_PERIOD_MS..=Self::MAX_PERIOD_MS).contains(&rate.period_ms) {
            return Err(format!(
                "`rate.period_ms` must be {}, which is 1 s, to {}, which is 31 days",
                Self::MIN_PERIOD_MS,
                Self::MAX_PERIOD_MS
            ));
        }
        Ok(())
    }
}

/// A limit with what it holds at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitView {
    /// What it is on.
    pub target: LimitTarget,
    /// The limit.
    #[serde(flatten)]
    pub rule: LimitRule,
    /// How many jobs run under it.
    pub running: u64,
    /// How many jobs are ready and wait for room under it.
    pub held: u64,
    /// For `key:START*`: how many keys have jobs that run or wait under it, counted to 1,000; `running` and `held` are of those.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keys: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_back_as_it_was_written() {
        for text in ["queue:mail", "handler:images/thumbnail", "key:tenant 7", "key:tenant:*", "key:*"] {
            assert_eq!(text.parse::<LimitTarget>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_is_expected() {
        for text in ["mail", "queues:mail", "", ":"] {
            assert!(text.parse::<LimitTarget>().unwrap_err().to_string().contains("expected `queue:NAME`"), "{text}");
        }
        assert!("queue:a b".parse::<LimitTarget>().unwrap_err().to_string().contains("is not a queue name"));
        for key in ["", "a*b", "a\n", &"x".repeat(201)] {
            let error = format!("key:{key}").parse::<LimitTarget>().unwrap_err().to_string();
            assert!(error.contains("1 to 200 bytes"), "{error}");
        }
    }

    #[test]
    fn a_limit_that_could_never_be_kept_is_refused_by_its_field() {
        let rate = |count, period_ms| LimitRule { concurrency: None, rate: Some(Rate { count, period_ms }) };
        assert!(LimitRule::default().check().is_err());
        assert!(LimitRule { concurrency: Some(0), rate: None }.check().unwrap_err().starts_with("`concurrency`"));
        assert!(rate(0, 1_000).check().unwrap_err().starts_with("`rate.count`"));
        assert!(rate(1, 999).check().unwrap_err().starts_with("`rate.period_ms`"));
        assert!(rate(1, 1_000).check().is_ok());
        assert!(LimitRule { concurrency: Some(5), rate: None }.check().is_ok());
    }

    #[test]
    fn a_number_below_0_is_told_what_is_allowed() {
        for (text, field) in [
            (r#"{"concurrency":-1}"#, "`concurrency` must be 1 to 1000000"),
            (r#"{"concurrency":5000000000}"#, "`concurrency` must be 1 to 1000000"),
            (r#"{"rate":{"count":-5,"period_ms":1000}}"#, "`rate.count` must be 1 to 1000000"),
            (r#"{"rate":{"count":5,"period_ms":-1}}"#, "`rate.period_ms` must be 1000, which is 1 s"),
        ] {
            let refusal = serde_json::from_str::<LimitRule>(text).unwrap().check().unwrap_err();
            assert!(refusal.starts_with(field), "{text}: {refusal}");
        }
        assert!(serde_json::from_str::<LimitRule>(r#"{"concurrency":1.5}"#).is_err());
        assert_eq!(serde_json::from_str::<LimitRule>(r#"{"concurrency":null}"#).unwrap(), LimitRule::default());
    }

    #[test]
    fn a_start_counts_for_a_whole_period_and_at_most_a_part_longer() {
        let rate = Rate { count: 1, period_ms: 60_000 };
        assert_eq!(rate.part_ms(), 1_000);
        assert_eq!(rate.free_at(rate.part_of(Timestamp(10_999))), Timestamp(71_000));
        assert_eq!(rate.free_at(rate.part_of(Timestamp(11_000))), Timestamp(72_000));
    }
}
