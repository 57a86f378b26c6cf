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
}

impl<T> Page<T> {
    /// A page of a list that was looked at as far as the page reaches.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next, searched_to: None }
    }
}

/// How many entries of a list pass a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilteredCount {
    /// How many were counted: at most 100,000.
    pub count: u64,
    /// Whether there may be more: counting stops at 100,000, and after 50 ms where no index answers the filter.
    pub more: bool,
}
