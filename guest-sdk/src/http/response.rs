//! What comes back.

use serde::{Serialize, de::DeserializeOwned};

use super::Error;

/// An HTTP response, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// A response as a test gives it.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A response of JSON as a test gives it; empty where the value cannot be written as JSON.
    pub fn json_body(status: u16, value: impl Serialize) -> Self {
        Self::new(status, serde_json::to_vec(&value).unwrap_or_default())
            .with_header("content-type", "application/json")
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The status, such as 200.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The response, where its status is 200 to 299.
    ///
    /// # Errors
    /// [`Error::Status`] for any other status.
    pub fn error_for_status(self) -> Result<Self, Error> {
        if self.is_success() { Ok(self) } else { Err(Error::Status(self.status)) }
    }

    /// All headers, each a name with a value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(at, _)| at.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body, to keep.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.body
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::Body`] where it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|error| Error::Body(format!("its body is not UTF-8: {error}")))
    }

    /// The body as a value read from JSON.
    ///
    /// # Errors
    /// [`Error::Body`] where it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Body(format!("its body is not as expected: {error}")))
    }
}

/// Collects a body piece by piece, and stops where it gets too large.
#[cfg(target_family = "wasm")]
pub(super) struct Body {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

#[cfg(target_family = "wasm")]
impl Body {
    pub(super) const fn new(limit_bytes: usize) -> Self {
        Self { bytes: Vec::new(), limit_bytes }
    }

    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.bytes.len().saturating_add(piece.len()) > self.limit_bytes {
            return Err(Error::ResponseTooLarge { limit_bytes: self.limit_bytes });
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The response, with its headers' values read as text.
    pub(super) fn into_response(self, status: u16, headers: Vec<(String, Vec<u8>)>) -> Response {
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        Response {
            status,
            headers: headers.into_iter().map(|(name, value)| (name, text(value))).collect(),
            body: self.bytes,
        }
    }
}
