//! What happened, counted by the minute and by the hour: what charts are drawn from.

use serde::{Deserialize, Serialize};

use crate::{HandlerName, ModuleName, Timestamp, words::words};

words! {
    /// How long the spans are that things are counted in.
    Grain {
        /// A minute; kept for 2 days.
        Minute = "minute",
        /// An hour; kept for 90 days.
        Hour = "hour",
    }
}

impl Grain {
    /// How long a span is, in milliseconds.
    #[must_use]
    pub const fn span_ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// How long its counters are kept, in milliseconds.
    #[must_use]
    pub const fn kept_ms(self) -> u64 {
        match self {
            Self::Minute => 2 * 24 * 3_600_000,
            Self::Hour => 90 * 24 * 3_600_000,
        }
    }

    /// The beginning of the span that an instant lies in.
    #[must_use]
    pub const fn start_of(self, at: Timestamp) -> Timestamp {
        let span = match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        };
        Timestamp(at.0 - at.0.rem_euclid(span))
    }
}

/// Which counters to read; what is absent does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CounterQuery {
    /// In spans of this length.
    pub grain: Grain,
    /// From the span that this instant lies in. No more than the newest 3,000 spans up to `before` are read.
    pub from: Timestamp,
    /// Up to this instant.
    pub before: Timestamp,
    /// Of this module.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<ModuleName>,
    /// Of this handler.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handler: Option<HandlerName>,
}

/// What happened to the jobs of one handler in one span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CounterRow {
    /// When the span began.
    pub at: Timestamp,
    /// The module.
    pub module: ModuleName,
    /// The handler.
    pub handler: HandlerName,
    /// Jobs that were made, follow-ups included.
    pub made: u64,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Runs that failed and are tried again.
    pub retried: u64,
    /// Jobs that were deleted or cancelled.
    pub deleted: u64,
    /// Runs that ended, whatever came of them, those of lost servers excepted.
    pub runs: u64,
    /// How long these runs took in all, in microseconds.
    pub run_us: u64,
    /// What they used in all: about one per instruction.
    pub fuel: u64,
}
