//! Outbound HTTP, as far as the operator allows it: [`send`] for sync handlers, [`send_async`] for async ones.
//!
//! The host decides which addresses a module may reach; anything else is [`Error::Denied`]. Redirects are handed back as
//! they are, not followed: where they lead needs the host's leave too. Natively, a
//! [`TestContext`](crate::testing::TestContext) answers.
//!
//! ```
//! use windlass_guest::{JobError, http};
//!
//! fn weather() -> Result<String, JobError> {
//!     let response = http::send(http::Request::get("https://weather.example/today"))?.error_for_status()?;
//!     Ok(response.text()?.to_owned())
//! }
//! # let _ = weather;
//! ```

#[cfg(target_family = "wasm")]
mod component_async;
#[cfg(target_family = "wasm")]
mod component_sync;
mod error;
mod request;
mod response;
mod url;

pub use self::{
    error::Error,
    request::{Method, Request},
    response::Response,
};

/// Sends a request and waits for the whole response. For sync handlers, over WASI 0.2.
///
/// # Errors
/// Where there is no response, whatever the reason; a response of any status is none. Natively
/// [`Error::Unsupported`], unless a [`TestContext`](crate::testing::TestContext) of this thread answers.
#[cfg_attr(target_family = "wasm", expect(clippy::needless_pass_by_value, reason = "as `send_async` takes it"))]
pub fn send(request: Request) -> Result<Response, Error> {
    #[cfg(target_family = "wasm")]
    return component_sync::send(&request);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::respond(&request.checked()?)
}

/// Sends a request and waits for the whole response, taking no thread meanwhile. For async handlers, over WASI 0.3.
///
/// # Errors
/// As for [`send`].
pub async fn send_async(request: Request) -> Result<Response, Error> {
    #[cfg(target_family = "wasm")]
    return component_async::send(request).await;
    #[cfg(not(target_family = "wasm"))]
    crate::testing::respond(&request.checked()?)
}

/// Turns the error code of either version of WASI into an error: they have the same cases in types of their own.
#[cfg(target_family = "wasm")]
macro_rules! error_from_code {
    ($code:expr, $timeout:expr, $limit:expr, $codes:path) => {{
        use $codes as Code;
        match $code {
            Code::HttpRequestDenied => $crate::http::Error::Denied,
            Code::DestinationIpProhibited => $crate::http::Error::PrivateNetwork,
            // Limits of the run, among others: the host's own words.
            Code::InternalError(Some(text)) => $crate::http::Error::Failed(text),
            Code::DnsTimeout
            | Code::ConnectionTimeout
            | Code::ConnectionReadTimeout
            | Code::ConnectionWriteTimeout
            | Code::HttpResponseTimeout => $crate::http::Error::Timeout($timeout),
            Code::HttpResponseBodySize(_) => $crate::http::Error::ResponseTooLarge { limit_bytes: $limit },
            Code::HttpRequestMethodInvalid | Code::HttpRequestUriInvalid | Code::HttpRequestUriTooLong => {
                $crate::http::Error::InvalidRequest(format!("the host refused it: {:?}", $code))
            }
            other => {
                let text = format!("{other:?}");
                $crate::http::Error::Failed(text.trim_start_matches("ErrorCode::").to_owned())
            }
        }
    }};
}
#[cfg(target_family = "wasm")]
use error_from_code;
