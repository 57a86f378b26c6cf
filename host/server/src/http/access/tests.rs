//! Tokens, sessions, and the table walked over the router.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode},
};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use windlass_api::{Digest, Role};

use super::{super::Guard, *};
use crate::config::TokenSettings;

fn token(role: Role) -> String {
    format!("wl_{role}")
}

fn settings(role: Role, expires: Option<Timestamp>) -> TokenSettings {
    let sha256 = Digest(Sha256::digest(token(role).as_bytes()).into());
    TokenSettings { name: role.to_string(), role, sha256, expires }
}

fn access() -> Access {
    Access::new(&AccessSettings {
        tokens: Role::ALL.iter().map(|&role| settings(role, None)).collect(),
        ..AccessSettings::default()
    })
}

fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn bearer_of(token: &str) -> HeaderMap {
    headers(header::AUTHORIZATION, &format!("Bearer {token}"))
}

#[test]
fn a_token_is_known_by_its_digest_until_it_expires() {
    let access = access();
    let caller = access.caller(&bearer_of("wl_operator"), None).unwrap().unwrap();
    assert_eq!((caller.role(), caller.by()), (Role::Operator, "token operator"));
    assert_eq!(access.caller(&HeaderMap::new(), None).unwrap(), None);
    for wrong in ["wl_king", "operator", "", "wl_operator2"] {
        let error = access.caller(&bearer_of(wrong), None).unwrap_err();
        assert_eq!(error.code(), ProblemCode::Unauthenticated, "{wrong}");
    }
    let basic = headers(header::AUTHORIZATION, "Basic wl_operator");
    assert_eq!(access.caller(&basic, None).unwrap(), None);
    let tokens = vec![settings(Role::Admin, Some(Timestamp(1)))];
    let expired = Access::new(&AccessSettings { tokens, ..AccessSettings::default() });
    assert!(expired.caller(&bearer_of("wl_admin"), None).is_err());
}

#[test]
fn a_browser_goes_on_with_a_cookie_until_it_signs_out() {
    let access = access();
    let (value, caller) = access.sign_in("wl_viewer", None).unwrap();
    assert!(caller.role() == Role::Viewer && caller.expires_at().is_some());
    assert!(!value.contains("viewer"));
    let cookie = headers(header::COOKIE, &format!("other=1; {COOKIE}={value}"));
    assert_eq!(access.caller(&cookie, None).unwrap().unwrap().name(), "viewer");
    let forged = headers(header::COOKIE, &format!("{COOKIE}={}", "0".repeat(64)));
    assert_eq!(access.caller(&forged, None).unwrap(), None);
    let mut behind_a_proxy = cookie.clone();
    behind_a_proxy.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic cHJveHk6cGFzc3dvcmQ="));
    assert!(access.caller(&behind_a_proxy, None).unwrap().is_some(), "the password is for somebody else");
    access.sign_out(&cookie);
    assert_eq!(access.caller(&cookie, None).unwrap(), None);
}

#[tokio::test]
async fn the_end_of_a_session_is_told_to_what_goes_on_with_it_and_to_nothing_else() {
    let access = access();
    let (own, other) = (access.sign_in("wl_viewer", None).unwrap().0, access.sign_in("wl_viewer", None).unwrap().0);
    let caller = |value: &str| {
        let cookie = headers(header::COOKIE, &format!("{COOKIE}={value}"));
        (access.caller(&cookie, None).unwrap().unwrap().signed_out(), cookie)
    };
    let ((own, own_cookie), (other, _)) = (caller(&own), caller(&other));
    let token = access.caller(&bearer_of("wl_viewer"), None).unwrap().unwrap().signed_out();
    let (mut other, mut token) = (Box::pin(other), Box::pin(token));
    access.sign_out(&own_cookie);
    own.await;
    assert!(futures::poll!(&mut other).is_pending(), "another session of the same token goes on");
    assert!(futures::poll!(&mut token).is_pending(), "a token is not signed out");
}

#[test]
fn an_address_that_tries_too_often_is_told_so_and_a_good_token_gets_in() {
    let access = access();
    let from: Option<IpAddr> = "203.0.113.9".parse().ok();
    for _ in 0..failures::MAX_FAILURES {
        assert_eq!(access.sign_in("wl_no", from).unwrap_err().code(), ProblemCode::Unauthenticated);
    }
    assert_eq!(access.sign_in("wl_no", from).unwrap_err().code(), ProblemCode::TooManyAttempts);
    assert_eq!(access.caller(&bearer_of("wl_no"), from).unwrap_err().code(), ProblemCode::TooManyAttempts);
    assert!(access.caller(&bearer_of("wl_admin"), from).unwrap().is_some());
    assert!(access.sign_in("wl_admin", from).is_ok());
}

#[test]
fn every_route_of_the_router_is_in_the_table_and_every_one_of_the_table_in_the_router() {
    let source = include_str!("../mod.rs");
    let in_router: BTreeSet<&str> = source.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect();
    let in_table: BTreeSet<&str> = TABLE.iter().map(|(_, path, _)| *path).collect();
    assert!(in_router.len() > 20, "the router is no longer found in its source: {in_router:?}");
    assert_eq!(in_router, in_table);
}

#[tokio::test]
async fn every_route_lets_in_the_roles_of_the_table_and_nobody_else() {
    let api = super::super::sample::api(Guard::Tokens(Arc::new(access())));
    let router = super::super::router(api);
    let callers = [None].into_iter().chain(Role::ALL.iter().copied().map(Some));
    for (caller, (method, path, need)) in callers.flat_map(|caller| TABLE.iter().map(move |route| (caller, route))) {
        let uri = path.replace("{id}", "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55").replace("{name}", "none");
        let mut request = Request::builder().method(*method).uri(&uri).header("content-type", "application/json");
        if let Some(role) = caller {
            request = request.header("authorization", format!("Bearer {}", token(role)));
        }
        let status = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status();
        let expected = match (need.admits(caller), caller) {
            (true, _) => None,
            (false, None) => Some(StatusCode::UNAUTHORIZED),
            (false, Some(_)) => Some(StatusCode::FORBIDDEN),
        };
        let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED];
        match expected {
            Some(expected) => assert_eq!(status, expected, "{method} {uri} as {caller:?}"),
            None => assert!(!refusals.contains(&status), "{method} {uri} as {caller:?} gives {status}"),
        }
    }
}

#[tokio::test]
async fn signing_in_reads_no_more_than_a_token() {
    let router = super::super::router(super::super::sample::api(Guard::Tokens(Arc::new(access()))));
    let sign_in = |token: String| {
        let body = serde_json::json!({ "token": token }).to_string();
        let request =
            Request::builder().method("POST").uri("/api/v1/session").header("content-type", "application/json");
        router.clone().oneshot(request.body(Body::from(body)).unwrap())
    };
    let refused = sign_in("x".repeat(5 << 10)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let wrong = sign_in("wl_no".to_owned()).await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.headers()["cache-control"], "no-store");
    assert!(wrong.headers().contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(sign_in(token(Role::Viewer)).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_route_without_a_rule_is_refused_to_everybody() {
    use axum::{Router, middleware, routing::get};
    for guard in [Guard::Open(Arc::default()), Guard::Tokens(Arc::new(access()))] {
        let door = super::super::guard::Doorkeeper { guard, read_only: false };
        let router: Router = Router::new()
            .route("/forgotten", get(|| async { "told" }))
            .layer(middleware::from_fn_with_state(door, super::super::guard::check));
        let request = Request::builder().uri("/forgotten").header("authorization", "Bearer wl_admin");
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }
}
