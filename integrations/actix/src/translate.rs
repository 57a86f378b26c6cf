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

/// What is left of a path and query without its first segments, from a slash on.
pub(crate) fn below(path_and_query: &str, depth: usize) -> Option<&str> {
    let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
    let (at, _) = path.match_indices('/').nth(depth)?;
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

/// The host's answer.
pub(crate) fn response(answer: Response) -> HttpResponse {
    let (parts, body) = answer.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponseBuilder::new(status);
    for (name, value) in &parts.headers {
        // How long it is, is said with the body.
        if name != http::header::CONTENT_LENGTH {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    match body.size_hint().exact() {
        Some(0) => response.finish(),
        Some(length) => response.body(SizedStream::new(length, body.into_data_stream())),
        None => response.streaming(body.into_data_stream()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_segments_are_left_out_as_the_route_has() {
        assert_eq!(below("/jobs/api/v1/jobs?text=/a", 1), Some("/api/v1/jobs?text=/a"));
        assert_eq!(below("/tenant/jobs/", 2), Some("/"));
        assert_eq!(below("/jobs?a=/b", 1), None);
    }
}
