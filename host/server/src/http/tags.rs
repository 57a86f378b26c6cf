//! `ETag` and `If-None-Match`: whoever asks again and again is told in a few bytes that nothing has changed.
//!
//! The tag is a hash of the body, and weak, since the same body may be sent compressed or not. The storage is asked all the
//! same: what is spared is the way to the caller.

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use windlass_api::ProblemCode;

use super::error::ApiError;

/// Tags what is read as JSON.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Who is signed in is asked once, and its answer must not be kept.
    if !matches!(*request.method(), Method::GET) || !path.starts_with("/api/v1/") || path == "/api/v1/session" {
        return next.run(request).await;
    }
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    // What has no end that is known beforehand is a stream.
    if response.status() != StatusCode::OK || !is_json || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return ApiError::new(ProblemCode::Internal, "the answer broke off").into_response();
    };
    let tag = of(&body);
    let is_known = known.is_some_and(|known| matches(&known, &tag));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if is_known {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        *response.headers_mut() = without_body(parts.headers);
        return response;
    }
    Response::from_parts(parts, Body::from(body))
}

fn of(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    // 96 bits: two answers of one route that share them do not happen.
    format!("W/\"{}\"", crate::secret::hexadecimal(&digest[..12]))
}

/// Whether a list of tags has this one, or is `*`. Tags are compared weakly.
fn matches(known: &HeaderValue, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let tag = bare(tag);
    known.to_str().is_ok_and(|known| known.trim() == "*" || known.split(',').any(|known| bare(known) == tag))
}

fn without_body(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_TYPE);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_whether_it_is_called_weak_or_not() {
        let tag = of(b"[]");
        assert_ne!(tag, of(b"[1]"));
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [tag.clone(), strong, format!("\"a\", {tag}"), "*".to_owned()] {
            assert!(matches(&HeaderValue::from_str(&known).unwrap(), &tag), "{known}");
        }
        for other in ["\"a\"", "", "W/\"\""] {
            assert!(!matches(&HeaderValue::from_str(other).unwrap(), &tag), "{other}");
        }
    }
}
