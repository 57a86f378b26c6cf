//! Why there is no response.

use std::{fmt, time::Duration};

/// Why there is no response, or none that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The request is not as it must be; the text says what is wrong.
    InvalidRequest(String),
    /// The host does not let this module reach the address: ask the operator to grant it.
    Denied,
    /// The host is allowed, but its address is not a public one: ask the operator for `private_networks`.
    PrivateNetwork,
    /// There was no answer, or no end to it, within the request's timeout.
    Timeout(Duration),
    /// The response is larger than the request allows.
    ResponseTooLarge {
        /// What the request allows, in bytes.
        limit_bytes: usize,
    },
    /// The connection failed, or broke off; the text says how.
    Failed(String),
    /// The response's status is not 200 to 299; see [`Response::error_for_status`](crate::http::Response::error_for_status).
    Status(u16),
    /// The response's body is not what was asked for; the text says why.
    Body(String),
    /// There is no host to send it: this is not a component, and no test answers.
    Unsupported,
}

impl Error {
    /// The code under which a job fails for it.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "http-invalid-request",
            Self::Denied | Self::PrivateNetwork => "http-denied",
            Self::Timeout(_) => "http-timeout",
            Self::ResponseTooLarge { .. } => "http-response-too-large",
            Self::Failed(_) => "http-failed",
            Self::Status(_) => "http-status",
            Self::Body(_) => "http-body",
            Self::Unsupported => "http-unsupported",
        }
    }
}

/// The error in the words of a host that has no code for it.
#[cfg(target_family = "wasm")]
pub(super) fn of_text(text: &str) -> Error {
    // What wasmtime puts before a text of the host's own.
    Error::Failed(text.strip_prefix("internal error: ").unwrap_or(text).to_owned())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRequest(text) => write!(f, "failed to send an HTTP request: {text}"),
            Self::Denied => f.write_str(
                "failed to send an HTTP request: the host does not allow this address, ask the operator to grant it",
            ),
            Self::PrivateNetwork => f.write_str(
                "failed to send an HTTP request: this address is not a public one, ask the operator to set \
                 `private_networks` for the module (addresses of metadata services stay closed)",
            ),
            Self::Timeout(timeout) => write!(f, "failed to get an HTTP response within {timeout:?}"),
            Self::ResponseTooLarge { limit_bytes } => {
                write!(f, "failed to read an HTTP response: its body is over {limit_bytes} bytes")
            }
            Self::Failed(text) => write!(f, "failed to get an HTTP response: {text}"),
            Self::Status(status) => write!(f, "failed to get a good HTTP response: the status is {status}"),
            Self::Body(text) => write!(f, "failed to read an HTTP response: {text}"),
            Self::Unsupported => f.write_str(
                "failed to send an HTTP request: not in a component; in a test, answer it with `TestContext::http`",
            ),
        }
    }
}

impl std::error::Error for Error {}
