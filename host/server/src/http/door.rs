//! The API before the host is ready: it answers that it lives and that it is not ready, until the real routes are there.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use tower::ServiceExt as _;
use windlass_api::ProblemCode;

use super::{error::ApiError, health};

/// Where requests come in; closed at first.
#[derive(Clone, Default)]
pub(crate) struct Door {
    routes: Arc<OnceLock<Router>>,
}

impl Door {
    /// What is served from the beginning.
    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(enter).with_state(self.clone())
    }

    /// From now on the real routes answer.
    pub(crate) fn open(&self, routes: Router) {
        // It is opened once, by whoever has put the host together.
        drop(self.routes.set(routes));
    }
}

async fn enter(State(door): State<Door>, request: Request) -> Response {
    let routes = match door.routes.get() {
        Some(routes) => routes.clone(),
        None => Router::new().route("/healthz", get(health::live)).fallback(starting),
    };
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn starting() -> impl IntoResponse {
    ApiError::new(ProblemCode::Busy, "the host is starting: it waits for its storage; its log tells more")
}
