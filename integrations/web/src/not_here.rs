//! What a route answers that cannot do what it is for.

use windlass_jobs::{
    ClientError,
    api::{Problem, ProblemCode},
};

/// Why a route has no client, or there is no dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHere {
    /// The application was made without it.
    #[error("this application has no Windlass: {hint}")]
    NotInstalled {
        /// How it is put there.
        hint: &'static str,
    },
    /// It has a dashboard or a worker, and was not started.
    #[error("Windlass is not started: call `windlass.start().await` before the server takes requests")]
    NotStarted,
    /// It was stopped.
    #[error("Windlass is stopped: call `windlass.stop().await` after the server has ended, not before")]
    Stopped,
}

impl NotHere {
    /// What is answered.
    #[must_use]
    pub fn problem(self) -> Problem {
        let code = match self {
            Self::NotInstalled { .. } | Self::NotStarted => ProblemCode::Internal,
            Self::Stopped => ProblemCode::Busy,
        };
        Problem::new(code, self.to_string())
    }
}

/// What a route answers where its client did not do what it was asked. What a storage said goes to the log.
#[must_use]
pub fn problem(error: &ClientError) -> Problem {
    if let ClientError::Storage(error) = error {
        tracing::error!(%error, "the storage of jobs did not do what a route asked for");
    }
    error.problem()
}
