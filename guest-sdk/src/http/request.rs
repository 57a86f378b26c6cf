//! What is sent.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{Error, url::Url};

/// What to do with a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Reads it.
    Get,
    /// Reads all but its body.
    Head,
    /// Hands something to it.
    Post,
    /// Replaces it.
    Put,
    /// Changes it.
    Patch,
    /// Removes it.
    Delete,
    /// Asks what may be done with it.
    Options,
    /// Anything else, by its name.
    Other(String),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other(name) => name,
        })
    }
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) max_response_bytes: usize,
    /// What went wrong while the request was built, reported where it is sent.
    invalid: Option<String>,
}

impl Request {
    /// A request without headers and body, with a timeout of 30 seconds and room for a response of 16 MiB. The URL is
    /// absolute: `http://…` or `https://…`.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(30),
            max_response_bytes: 16 << 20,
            invalid: None,
        }
    }

    /// A `GET` request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    /// A `HEAD` request.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new(Method::Head, url)
    }

    /// A `POST` request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::Post, url)
    }

    /// A `PUT` request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new(Method::Put, url)
    }

    /// A `PATCH` request.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new(Method::Patch, url)
    }

    /// A `DELETE` request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new(Method::Delete, url)
    }

    /// Adds a header; may be called several times, also with the same name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body, as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of JSON, with its content type. A value that cannot be written as JSON is reported where the request is
    /// sent.
    pub fn json(mut self, value: impl Serialize) -> Self {
        match serde_json::to_vec(&value) {
            Ok(body) => self.body = body,
            Err(error) => self.invalid = Some(format!("the body cannot be written as JSON: {error}")),
        }
        self.header("content-type", "application/json")
    }

    /// How long the connection, the response's beginning and each pause within it may take, and all of it together; 30
    /// seconds unless given.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How large the response's body may be, in bytes; 16 MiB unless given. It lies in the handler's memory, which has a
    /// limit of its own.
    pub const fn max_response_bytes(mut self, limit: usize) -> Self {
        self.max_response_bytes = limit;
        self
    }

    /// What it does.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Where it goes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(at, _)| at.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What it carries.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The headers as they are sent, with the body's length where it has one: many servers take no body in chunks, and
    /// a `GET` without a length would be sent without its body.
    #[cfg(any(test, target_family = "wasm"))]
    pub(super) fn sent_headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        // Of these, servers expect a length even where there is no body.
        let takes_body = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        if (takes_body || !self.body.is_empty()) && self.header_value("content-length").is_none() {
            headers.push(("content-length".to_owned(), self.body.len().to_string().into_bytes()));
        }
        headers
    }

    /// The request, where it is as it must be.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "a component needs the URL's parts"))]
    pub(super) fn checked(self) -> Result<Self, Error> {
        self.parts().map(drop)?;
        Ok(self)
    }

    /// The parts of its URL, where the request is as it must be.
    pub(super) fn parts(&self) -> Result<Url<'_>, Error> {
        if let Some(text) = &self.invalid {
            return Err(Error::InvalidRequest(text.clone()));
        }
        Url::parse(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(request: &Request) -> Vec<String> {
        let lengths =
            request.sent_headers().into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        lengths.map(|(_, value)| String::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn a_body_is_sent_with_its_length_whatever_the_method() {
        assert_eq!(length(&Request::get("http://a.example/").body("four")), ["4"]);
        assert_eq!(length(&Request::post("http://a.example/").json([1, 2])), ["5"]);
    }

    #[test]
    fn an_empty_body_has_a_length_only_where_servers_expect_one() {
        assert_eq!(length(&Request::put("http://a.example/")), ["0"]);
        assert!(length(&Request::get("http://a.example/")).is_empty());
        assert!(length(&Request::delete("http://a.example/")).is_empty());
    }

    #[test]
    fn a_length_that_was_given_stays() {
        assert_eq!(length(&Request::post("http://a.example/").header("Content-Length", "3").body("abc")), ["3"]);
    }
}
