//! What keeps a checkpoint from being read or kept.

use std::fmt;

use crate::steps;

/// Why a checkpoint was not read or not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The value is not JSON, or what was kept is not of the type that was asked for; the text says why.
    InvalidJson(String),
    /// The key or the value is too long; the text gives the limit in bytes.
    TooLarge(String),
    /// The key, which is given here, is one of those that recorded steps have.
    ReservedKey(String),
    /// The run was taken away from this host: it is about to be stopped, and what it does no longer counts.
    Superseded,
    /// The storage could not be reached; worth another try.
    Unavailable(String),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to use a checkpoint: ")?;
        match self {
            Self::InvalidJson(text) => write!(f, "not the expected JSON: {text}"),
            Self::TooLarge(text) => write!(f, "too large: {text}"),
            Self::ReservedKey(key) => {
                write!(f, "the key `{key}` begins with `{}`, which is kept for steps: choose another", steps::PREFIX)
            }
            Self::Superseded => f.write_str("the run was taken away from this host"),
            Self::Unavailable(text) => write!(f, "the storage is unavailable: {text}"),
        }
    }
}

impl std::error::Error for CheckpointError {}
