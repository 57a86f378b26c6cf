//! What a job depends on besides its turn, as arguments.

use clap::{ArgGroup, Args};
use windlass_api::{After, ContinueOn, JobId, LimitKey, OnConflict, State, Timestamp, Unique};

use super::super::format;
use crate::config::Span;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A job that it continues: it waits for that one; may be repeated.
    #[arg(long = "after", value_name = "JOB")]
    after: Vec<JobId>,
    /// How these jobs must have ended: success, failure or finished.
    #[arg(long, value_name = "HOW", default_value_t, requires = "after")]
    on: ContinueOn,
    #[command(flatten)]
    pub(super) uniqueness: Uniqueness,
    /// If it has not been started by then, it is deleted: a span from now such as `10m`.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, conflicts_with = "expires_at")]
    expires: Option<Span>,
    /// If it has not been started by then, it is deleted: an instant such as `2026-11-23T15:00:00Z`.
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<Timestamp>,
    /// What it counts under where an operator limits keys: see `windlass limits`.
    #[arg(long, value_name = "KEY")]
    limit_key: Option<LimitKey>,
}

/// What a job is to be the only one of.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what is unique").args(["unique", "unique_key", "unique_fields"]).multiple(true)))]
pub(in super::super) struct Uniqueness {
    /// Let it be the only unfinished job of its handler with this payload.
    #[arg(long)]
    unique: bool,
    /// Let it be the only one with this key, whatever the payload.
    #[arg(long, value_name = "KEY", conflicts_with = "unique_fields")]
    unique_key: Option<String>,
    /// Let it be the only one with its value at this JSON Pointer into the payload, such as /order; may be repeated.
    #[arg(long = "unique-field", value_name = "POINTER")]
    unique_fields: Vec<String>,
    /// Only for so long after the other one was made, such as `1h`.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, requires = "what is unique")]
    unique_for: Option<Span>,
    /// Count jobs in this state as the other one; may be repeated [default: scheduled, awaiting, enqueued and,
    /// but for `--on-conflict replace`, processing].
    #[arg(long = "unique-state", value_name = "STATE", requires = "what is unique")]
    unique_states: Vec<State>,
    /// What becomes of it where another one is there: reject, existing, or replace, which gives the other one this payload and
    /// time where it still waits.
    #[arg(long, value_name = "HOW", default_value_t, requires = "what is unique")]
    on_conflict: OnConflict,
}

impl Uniqueness {
    pub(in super::super) fn read(self) -> Option<Unique> {
        let Self { unique, unique_key: key, unique_fields: fields, unique_for, unique_states: states, on_conflict } =
            self;
        let is_unique = unique || key.is_some() || !fields.is_empty();
        let states = (!states.is_empty()).then(|| states.into_iter().collect());
        is_unique.then_some(Unique { key, fields, states, period_ms: unique_for.map(Span::as_ms), on_conflict })
    }
}

/// They as the API takes them.
pub(super) struct Conditions {
    pub(super) after: Option<After>,
    pub(super) unique: Option<Unique>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) limit_key: Option<LimitKey>,
}

impl Arguments {
    pub(super) fn read(self) -> Conditions {
        let Self { after, on, uniqueness, .. } = self;
        Conditions {
            after: (!after.is_empty()).then_some(After { jobs: after, on }),
            unique: uniqueness.read(),
            expires_at: self.expires_at.or(self.expires.map(|span| format::now().plus_ms(span.as_ms()))),
            limit_key: self.limit_key,
        }
    }
}
