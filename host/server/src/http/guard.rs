//! Who is served. On loopback the host is open to programs of the same machine, but not to web pages that reach it
//! through a browser under another name, nor to the world behind a proxy that nobody meant to set up.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use windlass_api::ProblemCode;

use super::error::ApiError;

/// Whether requests are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    /// Listening on loopback without tokens: only direct requests from this machine.
    LoopbackOnly,
    /// The operator said that whoever reaches the address may do everything.
    Open,
}

/// What a proxy adds.
const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Refuses what is not to be served.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard {
        Guard::Open => next.run(request).await,
        Guard::LoopbackOnly => match foreign(&request) {
            None => next.run(request).await,
            Some(reason) => ApiError::new(ProblemCode::Forbidden, reason).into_response(),
        },
    }
}

fn foreign(request: &Request) -> Option<String> {
    let headers = request.headers();
    if let Some(name) = FORWARDING.iter().find(|name| headers.contains_key(**name)) {
        return Some(format!(
            "this host is open to its own machine only, and the request came through a proxy (header `{name}`)"
        ));
    }
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Some("this host does not answer requests from other web sites".to_owned());
    }
    let host = request.uri().host().map(str::to_owned).or_else(|| {
        let value = headers.get(header::HOST)?.to_str().ok()?;
        value.parse::<Uri>().ok()?.host().map(str::to_owned)
    });
    match host {
        Some(host) if is_loopback(&host) => None,
        Some(host) => Some(format!("this host is open to its own machine only, and `{host}` is another name")),
        None => Some("this host is open to its own machine only, and the request names no host".to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let builder = Request::builder().uri("/api/v1/jobs");
        headers
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn direct_requests_by_a_loopback_name_are_served() {
        for host in ["127.0.0.1:7878", "localhost:7878", "localhost", "[::1]:7878", "127.0.0.2"] {
            assert_eq!(foreign(&request(&[("host", host)])), None, "{host}");
        }
    }

    #[test]
    fn another_name_a_proxy_and_another_site_are_refused() {
        for headers in [
            &[("host", "evil.example:7878")][..],
            &[("host", "127.0.0.1.nip.io")],
            &[("host", "localhost"), ("x-forwarded-for", "203.0.113.9")],
            &[("host", "localhost"), ("forwarded", "for=203.0.113.9")],
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            &[],
        ] {
            assert!(foreign(&request(headers)).is_some(), "{headers:?}");
        }
    }
}
