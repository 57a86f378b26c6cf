//! Long lists, a page at a time.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A part of a list. Pages are followed by cursor, so a list that changes meanwhile neither repeats nor skips entries
/// that stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
    /// Where the search for entries was cut short, because no index answers the filter: everything newer than this
    /// instant was looked at. There may be fewer entries than asked for, even none; `next` goes on from there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub searched_to: Option<Timestamp>,
    /// How many entries of this part were left out, since what is kept of them is damaged. `windlass check` names some.
    #[serde(skip_serializing_if = "is_none", default)]
    pub damaged: u64,
}

const fn is_none(number: &u64) -> bool {
    *number == 0
}

impl<T> Page<T> {
    /// A page of a list that was looked at as far as the page reaches.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next, searched_to: None, damaged: 0 }
    }
}

/// How many entries of a list pass a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilteredCount {
    /// How many were counted: at most 100,000.
    pub count: u64,
    /// Whether there may be more: counting stops at 100,000, and after 1 s where no index answers the filter.
    pub more: bool,
}

impl FilteredCount {
    /// What this and another count come to, of entries that differ.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        const MOST: u64 = 100_000;
        let count = self.count.saturating_add(other.count);
        Self { count: count.min(MOST), more: self.more || other.more || count > MOST }
    }
}
