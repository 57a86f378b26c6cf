//! The one body of every error.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::JobId;

/// An error as the API gives it: a problem document after RFC 9457, sent as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// What kind of problem it is, for programs.
    pub code: ProblemCode,
    /// The kind in words, the same for all problems of the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong, with what, and what to do.
    pub detail: String,
    /// The job that stands in the way, with `not-unique`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<JobId>,
}

/// The kinds of problems. They stay the same from version to version; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// The request itself cannot be read.
    BadRequest,
    /// A field is not as it must be.
    InvalidField,
    /// No module has the handler.
    UnknownHandler,
    /// The payload does not match the handler's schema.
    PayloadMismatch,
    /// The idempotency key was used before, with another request.
    KeyReused,
    /// Something is over its limit.
    TooLarge,
    /// The request came too slowly, or broke off.
    TooSlow,
    /// The thing does not exist, or no longer.
    NotFound,
    /// The thing is not in a state that allows this.
    Conflict,
    /// The job is to be unique, and another one is there that it must not stand beside.
    NotUnique,
    /// The component was refused.
    ModuleRefused,
    /// Something would break if new jobs went to this version.
    WouldBreak,
    /// The request came from where none is served.
    Forbidden,
    /// The request does not say who sends it, or with a token that is not known here or no longer good.
    Unauthenticated,
    /// The token's role does not allow this.
    RoleTooLow,
    /// There were too many wrong tokens of late; the request may be repeated later.
    TooManyAttempts,
    /// The host is only to be read.
    ReadOnly,
    /// The host gave the request up, because it took too long; what was asked may be done all the same.
    TimedOut,
    /// The storage cannot be reached; the request may be repeated.
    StorageUnavailable,
    /// The host cannot do it now, such as while it is being shut down; the request may be repeated.
    Busy,
    /// The host did something wrong; its log tells what.
    Internal,
}

impl ProblemCode {
    /// The HTTP status of this kind.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::RoleTooLow | Self::ReadOnly => 403,
            Self::NotFound => 404,
            Self::TooSlow => 408,
            Self::Conflict | Self::NotUnique | Self::WouldBreak => 409,
            Self::TooLarge => 413,
            Self::InvalidField
            | Self::UnknownHandler
            | Self::PayloadMismatch
            | Self::ModuleRefused
            | Self::KeyReused => 422,
            Self::TooManyAttempts => 429,
            Self::Internal => 500,
            Self::StorageUnavailable | Self::Busy | Self::TimedOut => 503,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "the request cannot be read",
            Self::InvalidField => "a field is not as it must be",
            Self::UnknownHandler => "no module has this handler",
            Self::PayloadMismatch => "the payload does not match the handler's schema",
            Self::KeyReused => "the idempotency key was used before, with another request",
            Self::TooLarge => "over a limit",
            Self::TooSlow => "the request came too slowly",
            Self::NotFound => "not found",
            Self::Conflict => "not in a state that allows this",
            Self::NotUnique => "another job is there already",
            Self::ModuleRefused => "the component was refused",
            Self::WouldBreak => "something would break",
            Self::Forbidden => "not served here",
            Self::Unauthenticated => "a token is needed",
            Self::RoleTooLow => "the token's role does not allow this",
            Self::TooManyAttempts => "too many wrong tokens",
            Self::ReadOnly => "this host is only to be read",
            Self::TimedOut => "it took too long",
            Self::StorageUnavailable => "the storage cannot be reached",
            Self::Busy => "not now",
            Self::Internal => "the host failed",
        }
    }
}

impl Problem {
    /// A problem of this kind; `detail` says what was wrong, with what, and what to do.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, title: code.title().to_owned(), status: code.status(), detail: detail.into(), job: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}
