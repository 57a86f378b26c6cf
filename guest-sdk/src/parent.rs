//! How the jobs ended that a job continues.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::{Failure, JobError, JobId};

/// How a job ended that this one continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub id: JobId,
    /// Where it went: `module/handler`.
    pub handler: String,
    /// `succeeded`, `failed` or `deleted`; another state where it was requeued meanwhile.
    pub state: String,
    /// What it gave, as JSON text; absent where it gave nothing.
    pub result: Option<String>,
    /// Why its last run did not succeed, where one did not.
    pub failure: Option<Failure>,
}

impl Parent {
    /// What it gave; read as `null` where it gave nothing.
    ///
    /// # Errors
    /// [`JobError::Fatal`] with the code `bad-parent-result` where it is not of this type: no further attempt would change that.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_str(self.result.as_deref().unwrap_or("null")).map_err(|error| {
            let message = format!("failed to read the result of job {} ({}): {error}", self.id, self.handler);
            JobError::fatal("bad-parent-result", message)
        })
    }
}

/// Why nothing can be told of a parent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParentError {
    /// It is no parent of this job, or it has been removed since it ended; the text says which.
    Unknown(String),
    /// The storage could not be reached; worth another try.
    Unavailable(String),
}

impl fmt::Display for ParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to ask about a parent: ")?;
        match self {
            Self::Unknown(text) => f.write_str(text),
            Self::Unavailable(text) => write!(f, "the storage is unavailable: {text}"),
        }
    }
}

impl std::error::Error for ParentError {}
