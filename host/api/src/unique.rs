//! Jobs of which there is to be only one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Digest, State, Timestamp, words::words};

words! {
    /// What becomes of a job where another one is there that it must not stand beside.
    OnConflict {
        /// It is refused, and the other one named.
        Reject = "reject",
        /// It is not made, and the other one given instead.
        Existing = "existing",
        /// It is not made; the other one gets its payload and its time where it still waits, and is given instead.
        Replace = "replace",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the words knows no default")]
impl Default for OnConflict {
    fn default() -> Self {
        Self::Reject
    }
}

/// What a job must be the only one of: those of its handler with the same key, or with the same values in these fields of the
/// payload, or, where neither is given, with the same payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// The key: 1 to 200 bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// JSON Pointers into the payload, at most 20; not together with `key`. A field that is absent is as one that is `null`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fields: Vec<String>,
    /// In which states the other one counts: `scheduled`, `awaiting`, `enqueued` and `processing` where absent, without
    /// `processing` where `on_conflict` is `replace`, so that what comes while a job runs is not lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub states: Option<BTreeSet<State>>,
    /// How long after its making the other one counts, 1 ms to 10 years; however long where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub period_ms: Option<u64>,
    /// What becomes of this one then; `reject` where absent.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// How a job is unique, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UniqueRule {
    /// The SHA-256 of its handler and of what it is the only one of.
    pub key: Digest,
    /// In which states another job counts.
    pub states: BTreeSet<State>,
    /// How long after its making another one counts; however long where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub period_ms: Option<u64>,
    /// What becomes of a job that conflicts.
    pub on_conflict: OnConflict,
}

impl UniqueRule {
    /// Whether a job of the same key that is in this state, and was made then, stands in the way at this instant.
    #[must_use]
    pub fn counts(&self, state: State, made_at: Timestamp, now: Timestamp) -> bool {
        self.states.contains(&state) && self.period_ms.is_none_or(|period_ms| now < made_at.plus_ms(period_ms))
    }
}
