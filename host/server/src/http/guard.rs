//! Who is served. On loopback the host is open to programs of the same machine, but not to web pages that reach it
//! through a browser under another name, nor to the world behind a proxy that nobody meant to set up. Where there are
//! tokens, whoever has one is served, and may do what its role allows.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use windlass_api::ProblemCode;

use super::{
    access::{Access, Caller, Need, Rule, rule},
    error::{self, ApiError},
};
use crate::embed::Visitor;

/// Whether requests are looked at.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// Listening on loopback without tokens: only direct requests from this machine.
    LoopbackOnly,
    /// The operator said that whoever reaches the address may do everything.
    Open(Arc<[String]>),
    /// Whoever has a token may do what its role allows.
    Tokens(Arc<Access>),
    /// Within an application, which says with each request who calls.
    Application,
}

/// What stands at the door: who is served, and whether anything may be changed.
#[derive(Clone, Debug)]
pub(super) struct Doorkeeper {
    pub(super) guard: Guard,
    pub(super) read_only: bool,
}

/// What a proxy adds.
const FORWARDING: [&str; 9] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-port",
    "x-real-ip",
    "cf-connecting-ip",
    "via",
];

/// Refuses what is not to be served, and tells the handlers who calls.
pub(super) async fn check(State(door): State<Doorkeeper>, mut request: Request, next: Next) -> Response {
    match admit(&door, &request) {
        Ok(caller) => {
            if let Some(caller) = caller.clone() {
                request.extensions_mut().insert(caller);
            }
            let is_data = request.uri().path().starts_with("/api/");
            let mut response = known_as(caller, next.run(request).await);
            if is_data {
                // With a cookie instead of `Authorization`, caches that others share would keep what was told to one.
                let no_store = HeaderValue::from_static("no-store");
                response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
            }
            response
        }
        Err(refusal) => *refusal,
    }
}

/// An answer that tells those who note what was done (`audit.rs`) who was answered.
fn known_as(caller: Option<Caller>, mut response: Response) -> Response {
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    response
}

/// The caller, where one is known; else why not.
fn admit(door: &Doorkeeper, request: &Request) -> Result<Option<Caller>, Box<Response>> {
    let guard = &door.guard;
    let reason = match guard {
        Guard::LoopbackOnly => foreign(request),
        Guard::Open(names) => unnamed(names, request).or_else(|| cross_site(request.method(), request.headers())),
        Guard::Tokens(_) | Guard::Application => cross_site(request.method(), request.headers()),
    };
    if let Some(reason) = reason {
        return Err(Box::new(ApiError::new(ProblemCode::Forbidden, reason).into_response()));
    }
    // Without a route it is for the dashboard, which tells nothing of jobs by itself.
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let need = match path.map(|path| rule(request.method().as_str(), path)) {
        None => Need::Nothing,
        Some(Rule::Needs(need)) => need,
        Some(Rule::OtherMethod) => {
            let route = path.unwrap_or_default();
            return Err(Box::new(error::wrong_method(request.method(), request.uri(), route)));
        }
        Some(Rule::Unknown) => {
            tracing::error!(path, "this route is not in the table of roles");
            let detail = "no rule of this host says who may do this, so nobody may";
            return Err(Box::new(ApiError::new(ProblemCode::Forbidden, detail).into_response()));
        }
    };
    let caller = known(guard, need, request)?;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    // Signing in and out changes nothing that is kept.
    if door.read_only && !is_read && need != Need::Nothing {
        let detail = "this host is only to be read: it was started with `read_only`; ask a host that is not";
        let refusal = ApiError::new(ProblemCode::ReadOnly, detail).into_response();
        return Err(Box::new(known_as(caller, refusal)));
    }
    Ok(caller)
}

/// The caller, where they may do what they ask for.
fn known(guard: &Guard, need: Need, request: &Request) -> Result<Option<Caller>, Box<Response>> {
    if let Guard::Application = guard {
        return visitor(request, need).map(Some).map_err(|refusal| Box::new(refusal.into_response()));
    }
    let Guard::Tokens(access) = guard else { return Ok(Some(Caller::anybody())) };
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let caller = match access.caller(request.headers(), from) {
        Ok(caller) => caller,
        // Signing in must not fail for what a browser had from before.
        Err(_) if need == Need::Nothing => None,
        Err(error) => return Err(Box::new(error.into_response())),
    };
    if need.admits(caller.as_ref().map(Caller::role)) {
        return Ok(caller);
    }
    let refusal = match (&caller, need) {
        (Some(caller), Need::Role(needed)) => ApiError::new(
            ProblemCode::RoleTooLow,
            format!(
                "{} has the role {}, and this takes {needed}: come with that role, or have a token made with `windlass token \
                 new --role {needed}`",
                caller.by(),
                caller.role()
            ),
        ),
        _ => ApiError::new(
            ProblemCode::Unauthenticated,
            "this host asks for a token: send it as `Authorization: Bearer wl_…` (the command line takes --token or \
             WINDLASS_TOKEN), or sign in with it in the dashboard",
        ),
    };
    Err(Box::new(known_as(caller, refusal.into_response())))
}

/// Whom the application has let in.
fn visitor(request: &Request, need: Need) -> Result<Caller, ApiError> {
    let Some(visitor) = request.extensions().get::<Visitor>() else {
        let detail = "the application that this dashboard is a part of did not say who calls";
        return Err(ApiError::new(ProblemCode::Forbidden, detail));
    };
    let caller = Caller::of_application(visitor);
    match need {
        Need::Role(needed) if !need.admits(Some(caller.role())) => {
            let (name, role) = (caller.name(), caller.role());
            let detail = format!(
                "`{name}` has the role {role} here, and this takes {needed}: the application decides who has which"
            );
            Err(ApiError::new(ProblemCode::RoleTooLow, detail))
        }
        _ => Ok(caller),
    }
}

const OTHER_SITE: &str = "this host does not answer requests from other web sites; where there is a proxy before it, let that pass \
                          the `Host` header on";

/// Why a request that changes something is not one of the host's own pages, where it comes from a browser at all. A browser
/// that says how the page is related is believed; of an older one the page's origin must be where the request goes.
fn cross_site(method: &Method, headers: &HeaderMap) -> Option<String> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let is_own = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            named.is_some() && authority(origin) == named
        }
        (None, None) => true,
    };
    (!is_own).then(|| OTHER_SITE.to_owned())
}

/// The ends of names that nobody can register for the whole world.
const NAMES_OF_NETWORKS: [&str; 4] = [".localhost", ".local", ".internal", ".home.arpa"];

/// Why a host that asks nobody does not answer to the name that it is called by. Anybody may have a name lead to its address, and
/// so have a browser take its answers for those of their own site.
fn unnamed(names: &[String], request: &Request) -> Option<String> {
    let named = named_host(request);
    let called = [request.uri().host().map(str::to_owned), named.as_deref().and_then(host_of)];
    let is_known = |host: &str| {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || NAMES_OF_NETWORKS.iter().any(|end| host.ends_with(end))
            || names.iter().any(|name| name.eq_ignore_ascii_case(&host))
    };
    let stranger = called.iter().flatten().find(|host| !is_known(host))?;
    Some(format!(
        "this host asks nobody who they are, so it answers to names that are known only: name `{stranger}` in `hosts` under \
         [access], or have it ask for tokens"
    ))
}

fn authority(origin: &HeaderValue) -> Option<&str> {
    Some(origin.to_str().ok()?.split_once("://")?.1)
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
        return Some(OTHER_SITE.to_owned());
    }
    let named = named_host(request);
    if let Some(origin) = headers.get(header::ORIGIN) {
        let authority = authority(origin);
        if authority.is_none() || authority != named.as_deref() {
            return Some(OTHER_SITE.to_owned());
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

/// Whether a `Host` header names this machine.
pub(super) fn is_loopback_name(authority: &str) -> bool {
    host_of(authority).is_some_and(|host| is_loopback(&host))
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
            &[("host", "localhost"), ("via", "1.1 proxy.example")],
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

    #[test]
    fn a_host_that_asks_nobody_answers_to_known_names_only() {
        let names = ["jobs.example.com".to_owned()];
        for host in [
            "192.0.2.7:7878",
            "[2001:db8::7]:7878",
            "windlass:7878",
            "windlass.default.svc.cluster.local",
            "printer.home.arpa",
            "Jobs.Example.Com:7878",
            "jobs.example.com.",
        ] {
            assert_eq!(unnamed(&names, &request(&[("host", host)])), None, "{host}");
        }
        for host in ["evil.example:7878", "192.0.2.7.nip.io", "jobs.example.com.evil.example"] {
            let told = unnamed(&names, &request(&[("host", host)])).unwrap();
            assert!(told.contains("`hosts` under [access]"), "{told}");
        }
    }

    #[test]
    fn what_changes_something_comes_from_no_other_site() {
        let refused =
            |method: Method, headers: &[(&str, &str)]| cross_site(&method, request(headers).headers()).is_some();
        let host = ("host", "windlass.example");
        for headers in [
            &[host][..],
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "https://outside.example")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("origin", "https://windlass.example")],
        ] {
            assert!(!refused(Method::POST, headers), "{headers:?}");
        }
        for headers in [
            &[host, ("sec-fetch-site", "cross-site")][..],
            &[host, ("sec-fetch-site", "same-site"), ("origin", "https://windlass.example")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "null")],
            &[("origin", "https://windlass.example")],
        ] {
            assert!(refused(Method::DELETE, headers), "{headers:?}");
            assert!(!refused(Method::GET, headers), "reading is for the token and the cookie to guard: {headers:?}");
        }
    }
}
