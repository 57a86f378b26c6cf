//! `/metrics`

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use windlass_api::ProblemCode;

use super::{
    Api,
    error::{ApiError, ApiResult},
};

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Numbers for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    responses(
        (status = 200, description = "In the text format of OpenMetrics.", body = String, content_type = "application/openmetrics-text"),
    )
)]
pub(super) async fn scrape(State(api): State<Api>) -> ApiResult<Response> {
    let text = api.metrics.text().await;
    let text = text.map_err(|_| ApiError::new(ProblemCode::Internal, "the numbers cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text.to_string()).into_response())
}
