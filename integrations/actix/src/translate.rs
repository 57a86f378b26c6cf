//! Requests and answers from the words of actix-web, which are those of an earlier `http`, into those of the host, and back. Bodies
//! stream both ways.

use std::io;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::StatusCode,
    web::{Bytes, Payload},
};
use axum::{
    body::{Body, HttpBody as _},
    response::Response,
};
use futures::{StreamExt as _, stream};
use http::Request;
use tokio::sync::mpsc;

/// How many pieces of an upload are held between the connection and the host.
const PIECES: usize = 8;

/// What follows the prefix in a path and query, where the route has captured `below` as what comes after its slash, or nothing for
/// the prefix itself. What stands before the prefix, such as what scopes have captured, is told by the slashes that are left: those
/// that are written as `%2F` stay so in what was captured, while other letters may not.
pub(crate) fn rest<'a>(path_and_query: &'a str, below: Option<&str>) -> Option<&'a str> {
    let end = path_and_query.find('?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at_checked(end)?;
    let Some(below) = below else { return Some(query) };
    let slashes = below.matches('/').count();
    let (at, _) = path.rmatch_indices('/').nth(slashes)?;
    path_and_query.get(at..)
}

/// A request for the host. Nothing where a header or the path is none for it.
pub(crate) fn request(request: &HttpRequest, below: &str, payload: Payload) -> Option<Request<Body>> {
    let mut asked = Request::builder().method(request.method().as_str()).uri(below);
    for (name, value) in request.headers() {
        asked = asked.header(name.as_str(), value.as_bytes());
    }
    // HTTP/2 names the host in its own way, and the host's check for other web sites looks here.
    if let (false, Some(authority)) = (request.headers().contains_key("host"), request.uri().authority()) {
        asked = asked.header("host", authority.as_str());
    }
    asked.body(body(payload)).ok()
}

/// The payload stays on the thread of its connection; its pieces go where the host is.
fn body(mut payload: Payload) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    actix_web::rt::spawn(async move {
        while let Some(piece) = payload.next().await {
            // An error says that nobody reads on.
            if sender.send(piece.map_err(io::Error::other)).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// The host's answer. One to HEAD tells how long the body would be, or that it would be a stream.
pub(crate) fn response(answer: Response, is_head: bool) -> HttpResponse {
    let (parts, body) = answer.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponseBuilder::new(status);
    for (name, value) in &parts.headers {
        // How long it is, is said with the body.
        if name != http::header::CONTENT_LENGTH {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    let told = parts.headers.get(http::header::CONTENT_LENGTH).and_then(|told| told.to_str().ok()?.parse::<u64>().ok());
    match (body.size_hint().exact(), told) {
        (Some(0), Some(length)) if is_head => response.body(SizedStream::new(length, body.into_data_stream())),
        (Some(0), None) if is_head => response.streaming(body.into_data_stream()),
        (Some(0), _) => response.finish(),
        (Some(length), _) => response.body(SizedStream::new(length, body.into_data_stream())),
        (None, _) => response.streaming(body.into_data_stream()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_prefix_is_as_long_as_what_was_captured() {
        let jobs = "/api/v1/jobs?text=/a";
        assert_eq!(rest(&format!("/jobs{jobs}"), Some("api/v1/jobs")), Some(jobs));
        assert_eq!(rest("/tenant/jobs/", Some("")), Some("/"));
        assert_eq!(rest("/tenants/%2Fa/jobs/queues/a%2Fb%20c", Some("queues/a%2Fb c")), Some("/queues/a%2Fb%20c"));
        assert_eq!(rest("/jobs?a=/b", None), Some("?a=/b"));
        assert_eq!(rest("/jobs", None), Some(""));
    }
}
