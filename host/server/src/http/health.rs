//! Whether the host lives, and whether it is ready.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::extract::State;
use windlass_api::ProblemCode;

use super::{
    Api,
    error::{ApiError, ApiResult},
};

/// What the host knows of its own readiness.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    draining: Arc<AtomicBool>,
}

impl Health {
    /// From now on the host is not ready: it is being shut down.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

/// How long storage may take to answer before the host is not ready.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    responses(
        (status = 200, description = "It lives.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The host takes jobs and its storage answers.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "It is ready.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn ready(State(api): State<Api>) -> ApiResult<&'static str> {
    if api.health.draining.load(Ordering::Acquire) {
        return Err(ApiError::new(ProblemCode::Busy, "the host is being shut down"));
    }
    match tokio::time::timeout(STORAGE_TIMEOUT, api.client.counts()).await {
        Ok(Ok(_)) => Ok("ready\n"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ApiError::new(ProblemCode::StorageUnavailable, "the storage has not answered for 2 seconds")),
    }
}
