//! What can go wrong. The variants are what a caller can do differently.

use reqwest::Url;
use windlass_api::{Problem, ProblemCode};

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used at all.
    #[error("failed to use `{url}` as the URL of a host: {reason}; expected one such as http://127.0.0.1:7878")]
    Url {
        /// What was given, without a name and a password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent. It is not shown.
    #[error(
        "failed to use the token: expected one as `windlass token new` prints it, such as wl_…, without spaces, line ends \
         and letters that are not ASCII"
    )]
    Token,
    /// Nobody answers there. Whether the last request was done is not known.
    #[error(
        "failed to reach a host at {url}: {reason}; start one with `windlass serve`, or name another with --url or \
         WINDLASS_URL"
    )]
    Unreachable {
        /// Where nobody answers.
        url: Url,
        /// What happened instead, and for how long it was tried.
        reason: String,
    },
    /// The host refused, and said why.
    #[error("{0}{advice}", advice = advice(.0))]
    Refused(Problem),
    /// Something answers that is no host, or one of another version.
    #[error("failed to understand the answer of {url}: {reason}; is it a Windlass host of this version?")]
    NotUnderstood {
        /// Who answered.
        url: Url,
        /// What was not understood.
        reason: String,
    },
}

impl Error {
    /// The kind of problem that the host told of.
    #[must_use]
    pub const fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }
}

/// What a host does not know although this version of it does.
fn advice(problem: &Problem) -> &'static str {
    let is_unknown = problem.detail.contains("unknown field") || problem.detail.contains("there is nothing at");
    if is_unknown { " (the host may be older than this client: bring both to the same version)" } else { "" }
}
