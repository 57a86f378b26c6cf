//! `/api/v1/session`: browsers sign in with a token and go on with a cookie, which no script can read.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Extension, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use windlass_api::{ProblemCode, SessionRequest, SessionView};

use super::{
    Api,
    access::{COOKIE, Caller, SESSION},
    error::{ApiError, ApiResult},
    guard::{Guard, is_loopback_name},
};

type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// Who the caller is taken for.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    responses(
        (status = 200, description = "As asked for.", body = SessionView),
    )
)]
pub(super) async fn show(State(api): State<Api>, caller: Option<Extension<Caller>>) -> Response {
    let view = view(&api, caller.as_ref().map(|caller| &caller.0));
    (uncached(), Json(view)).into_response()
}

/// Signs a browser in: sets a cookie.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    request_body = SessionRequest,
    responses(
        (status = 200, description = "Signed in.", body = SessionView),
        (status = 401, description = "The token is not known or no longer good."),
        (status = 409, description = "Nobody is asked for a token here."),
        (status = 422, description = "A field is not as it must be."),
    )
)]
pub(super) async fn sign_in(
    State(api): State<Api>,
    from: Peer,
    headers: HeaderMap,
    body: Result<Json<SessionRequest>, JsonRejection>,
) -> ApiResult<Response> {
    up_to_this_host(&api)?;
    let Guard::Tokens(access) = &api.guard else {
        let detail = "this host asks nobody for a token: there is nothing to sign in to";
        return Err(ApiError::new(ProblemCode::Conflict, detail));
    };
    let from = from.map(|Extension(ConnectInfo(address))| address.ip());
    let (value, caller) = access.sign_in(body?.0.token.trim(), from)?;
    let cookie = cookie(&value, SESSION.as_secs(), &headers)?;
    Ok((uncached(), AppendHeaders([(header::SET_COOKIE, cookie)]), Json(view(&api, Some(&caller)))).into_response())
}

/// Ends the session of a browser.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    responses(
        (status = 204, description = "Signed out."),
        (status = 409, description = "Signing out is up to the application that this is a part of."),
    )
)]
pub(super) async fn sign_out(State(api): State<Api>, headers: HeaderMap) -> ApiResult<Response> {
    up_to_this_host(&api)?;
    if let Guard::Tokens(access) = &api.guard {
        access.sign_out(&headers);
    }
    let cookie = cookie("", 0, &headers)?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)])).into_response())
}

/// Within an application, its own sessions are none of the host's business.
fn up_to_this_host(api: &Api) -> ApiResult<()> {
    if let Guard::Application { .. } = &api.guard {
        let detail = "signing in and out is up to the application that this dashboard is a part of";
        return Err(ApiError::new(ProblemCode::Conflict, detail));
    }
    Ok(())
}

fn view(api: &Api, caller: Option<&Caller>) -> SessionView {
    SessionView {
        required: matches!(api.guard, Guard::Tokens(_)),
        read_only: api.read_only,
        role: caller.map(Caller::role),
        name: caller.map(|caller| caller.name().to_owned()).filter(|name| !name.is_empty()),
        expires_at: caller.and_then(Caller::expires_at),
    }
}

fn uncached() -> AppendHeaders<[(header::HeaderName, HeaderValue); 1]> {
    AppendHeaders([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
}

/// Sent back over TLS only, except to this very machine where there is none: not every proxy with TLS says that the request was
/// for it, but a browser says what page it comes from.
fn cookie(value: &str, seconds: u64, headers: &HeaderMap) -> ApiResult<HeaderValue> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_from_tls = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if host.is_some_and(is_loopback_name) && !is_from_tls { "" } else { "; Secure" };
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&cookie).map_err(|_| ApiError::new(ProblemCode::Internal, "the cookie cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_for(host: &'static str, origin: Option<&'static str>) -> String {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
        cookie("a", 5, &headers).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_leaves_this_machine_over_tls_only() {
        assert_eq!(
            made_for("localhost:7878", None),
            "windlass_session=a; Path=/; Max-Age=5; HttpOnly; SameSite=Strict"
        );
        assert!(made_for("127.0.0.1:7878", Some("http://127.0.0.1:7878")).ends_with("SameSite=Strict"));
        assert!(made_for("windlass.example", None).ends_with("SameSite=Strict; Secure"));
        let behind_a_proxy = made_for("127.0.0.1:7878", Some("https://windlass.example"));
        assert!(behind_a_proxy.ends_with("SameSite=Strict; Secure"), "{behind_a_proxy}");
    }
}
