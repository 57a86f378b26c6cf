//! A request to the API: `METHOD PATH` on the first line, headers as `name: value`, an empty line, a body.

use std::sync::{Mutex, PoisonError};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use tower::ServiceExt as _;
use windlass_api::Problem;

use crate::http::{Guard, router, sample};

/// After so many requests they meet a host that knows of none, so that its memory does not grow.
const FRESH_AFTER: usize = 500;

/// No answer is longer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What answers, and how often it has.
struct World {
    runtime: tokio::runtime::Runtime,
    router: Router,
    answered: usize,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

/// It is answered, refused with a problem that says so, and never by a failure of the host's.
pub fn request(bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    let mut world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    if world.as_ref().is_some_and(|world| world.answered >= FRESH_AFTER) {
        *world = None;
    }
    let world = world.get_or_insert_with(World::new);
    world.answered += 1;
    let asked = format!("{} {}", request.method(), request.uri());
    let router = world.router.clone();
    world.runtime.block_on(async {
        let Ok(answer) = router.oneshot(request).await;
        let status = answer.status();
        let is_problem =
            answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        let is_stream = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{asked}");
        if !is_stream && is_problem {
            let body = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await.expect("a body that ends");
            let problem: Problem = serde_json::from_slice(&body).expect("a problem");
            assert_eq!(problem.status, status.as_u16(), "{asked}");
        } else {
            assert!(status.as_u16() < 400, "{asked}: {status} without a problem");
        }
    });
}

fn read(bytes: &[u8]) -> Option<Request<Body>> {
    let mut rest = bytes;
    let mut line = || {
        let at = rest.iter().position(|&byte| byte == b'\n')?;
        let (line, more) = rest.split_at(at);
        rest = &more[1..];
        std::str::from_utf8(line).ok()
    };
    let (method, path) = line()?.split_once(' ')?;
    // What waits would have the fuzzer wait, and a problem without its body cannot be read.
    if path.contains("/wait") || path.contains("/events") || method == "HEAD" {
        return None;
    }
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        // The answer is read here, and not taken apart.
        if name.eq_ignore_ascii_case("accept-encoding") {
            return None;
        }
        request = request.header(name, value);
    }
    // Such a one would be compiled, by a program that is not there.
    if rest.starts_with(b"\0asm") {
        return None;
    }
    request.body(Body::from(rest.to_vec())).ok()
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let router = runtime.block_on(async { router(sample::api(Guard::LoopbackOnly)) });
        Self { runtime, router, answered: 0 }
    }
}
