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
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return Some("this host does not answer requests from other web sites".to_owned());
    }
    let named = named_host(request);
    if let Some(origin) = headers.get(header::ORIGIN) {
        let authority =
            origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        if authority.is_none() || authority != named.as_deref() {
            return Some("this host does not answer requests from other web sites".to_owned());
        }
    }
    // Where the target names a host too, both must be this machine.
    let names = [request.uri().host().map(str::to_owned), named.as_deref().and_then(host_of)];
    match names.iter().flatten().find(|host| !is_loopback(host)) {
        Some(host) => Some(format!("this host is open to its own machine only, and `{host}` is another name")),
        None if names.iter().all(Option::is_none) => {
            Some("this host is open to its own machine only, and the request names no host".to_owned())
        }
        None => None,
    }
}

/// What the `Host` header says: a name or an address, with or without a port.
fn named_host(request: &Request) -> Option<String> {
    Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned())
}

fn host_of(authority: &str) -> Option<String> {
    Some(authority.parse::<Uri>().ok()?.host()?.to_owned())
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
    fn a_page_of_the_hosts_own_is_served() {
        let own = [("host", "localhost:7878"), ("origin", "http://localhost:7878"), ("sec-fetch-site", "same-origin")];
        assert_eq!(foreign(&request(&own)), None);
    }

    #[test]
    fn a_target_with_another_name_than_the_header_is_refused() {
        let mut request = request(&[("host", "evil.example")]);
        *request.uri_mut() = Uri::from_static("http://127.0.0.1/api/v1/jobs");
        assert!(foreign(&request).is_some());
    }

    #[test]
    fn another_name_a_proxy_and_another_site_are_refused() {
        for headers in [
            &[("host", "evil.example:7878")][..],
            &[("host", "127.0.0.1.nip.io")],
            &[("host", "localhost"), ("x-forwarded-for", "203.0.113.9")],
            &[("host", "localhost"), ("forwarded", "for=203.0.113.9")],
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            &[("host", "localhost:7878"), ("sec-fetch-site", "same-site")],
            &[("host", "localhost:7878"), ("origin", "http://localhost:3000")],
            &[("host", "localhost:7878"), ("origin", "https://evil.example")],
            &[("host", "localhost:7878"), ("origin", "null")],
            &[],
        ] {
            assert!(foreign(&request(headers)).is_some(), "{headers:?}");
        }
    }
}
