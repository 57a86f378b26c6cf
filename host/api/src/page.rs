//! Long lists, a page at a time.

use serde::{Deserialize, Serialize};

/// A part of a list. Pages are followed by cursor, so a list that changes meanwhile neither repeats nor skips entries
/// that stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}
