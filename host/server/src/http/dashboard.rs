//! The dashboard: files that were taken in when the host was built. Whatever path a person opens that is not the API's
//! is a page of the dashboard, which finds its way by itself; it asks for everything relative to where it is served, so
//! that it works behind a proxy that puts it under a path.

use axum::{
    extract::{Path, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use windlass_api::ProblemCode;

use super::{
    error::{self, ApiError},
    index,
};

/// A file, as it is and compressed.
struct File {
    name: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// What the page may do: run its own scripts and WebAssembly, show its own style and pictures, ask its own host.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// What stands in the page for where it is served.
const BASE: &str = r#"<base href="./">"#;

/// How a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Brotli,
}

impl Coding {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// `/assets/…`: files whose names tell their content.
#[utoipa::path(
    get,
    path = "/assets/{name}",
    params(("name" = String, Path, description = "The file.")),
    responses(
        (status = 200, description = "The file."),
        (status = 304, description = "It is as it was."),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let wanted = format!("assets/{name}");
    let Some(file) = FILES.iter().find(|file| file.name == wanted) else {
        return ApiError::new(ProblemCode::NotFound, format!("there is nothing at /{wanted}; reload the page"))
            .into_response();
    };
    let coding = coding(&headers);
    // Each form is a content of its own, and so has a tag of its own.
    let tag = format!("\"{}{}\"", file.name, coding.name().map(|name| format!("-{name}")).unwrap_or_default());
    let body = match coding {
        Coding::Plain => file.plain,
        Coding::Gzip => file.gzip,
        Coding::Brotli => file.brotli,
    };
    let mut response = answer(&headers, &tag, kind(file.name), body);
    let set = response.headers_mut();
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    set.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(name) = coding.name() {
        set.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Every path that nothing else is at: the page for people, a problem for programs.
pub(super) async fn page(request: Request) -> Response {
    let path = request.uri().path();
    let is_of_api = path.starts_with("/api/") || path == "/api";
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_of_api || !is_read || (path != "/" && !wants_page(request.headers())) {
        return error::no_such_route(request.uri().clone()).await.into_response();
    }
    let Some(file) = FILES.iter().find(|file| file.name == "index.html") else {
        return index::index().await.into_response();
    };
    let text = String::from_utf8_lossy(file.plain).replace(BASE, &format!(r#"<base href="{}">"#, base(path)));
    let digest: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut response = answer(request.headers(), &format!("\"{digest}\""), "text/html; charset=utf-8", text);
    // It names the files of this version; the tag makes asking again cheap.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// From a page at this path back to where the dashboard is served. Relative, since what a proxy puts before it is not
/// known here.
fn base(path: &str) -> String {
    match path.bytes().filter(|byte| *byte == b'/').count() {
        0 | 1 => "./".to_owned(),
        slashes => "../".repeat(slashes - 1),
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn answer(asked: &HeaderMap, tag: &str, kind: &'static str, body: impl IntoResponse) -> Response {
    let is_known = asked.get_all(header::IF_NONE_MATCH).iter().any(|known| {
        known.to_str().is_ok_and(|known| known.split(',').any(|known| known.trim() == tag || known.trim() == "*"))
    });
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let set = response.headers_mut();
    if !is_known {
        set.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        set.insert(header::ETAG, tag);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        set.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The best form that the browser takes.
fn coding(headers: &HeaderMap) -> Coding {
    let accepted = headers.get_all(header::ACCEPT_ENCODING);
    let takes = |wanted: &str| {
        accepted.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|part| {
            let (name, quality) = part.split_once(';').unwrap_or((part, ""));
            let is_refused =
                quality.trim().strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok()) == Some(0.0);
            name.trim().eq_ignore_ascii_case(wanted) && !is_refused
        })
    };
    match () {
        () if takes("br") => Coding::Brotli,
        () if takes("gzip") => Coding::Gzip,
        () => Coding::Plain,
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_best_form_that_the_browser_takes_is_sent() {
        let chosen = |accepted| coding(&headers(header::ACCEPT_ENCODING, accepted));
        assert_eq!(chosen("gzip, deflate, br, zstd"), Coding::Brotli);
        assert_eq!(chosen("GZIP;q=0.5, br;q=0"), Coding::Gzip);
        assert_eq!(chosen("identity"), Coding::Plain);
        assert_eq!(coding(&HeaderMap::new()), Coding::Plain);
    }

    #[test]
    fn a_page_finds_back_to_where_it_is_served() {
        assert_eq!(["/", "/jobs", "/jobs/1", "/jobs/1/"].map(base), ["./", "./", "../", "../../"]);
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let status = |known| answer(&headers(header::IF_NONE_MATCH, known), "\"a\"", "text/css", "body").status();
        assert_eq!(status("\"b\", \"a\""), StatusCode::NOT_MODIFIED);
        assert_eq!(status("\"b\""), StatusCode::OK);
        assert!(
            answer(&HeaderMap::new(), "\"a\"", "text/css", "body").headers().contains_key("content-security-policy")
        );
    }

    #[tokio::test]
    async fn the_api_never_answers_with_a_page() {
        let ask = |path: &str, accept: &'static str| {
            page(Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap())
        };
        assert_eq!(ask("/api/v1/nothing", "text/html").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(ask("/jobs", "application/json").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(ask("/jobs", "text/html,*/*").await.status(), StatusCode::OK);
        assert_eq!(ask("/", "*/*").await.status(), StatusCode::OK);
    }
}
