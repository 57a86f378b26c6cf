//! `/api/v1/servers`

use axum::{Json, extract::State};
use windlass_api::ServerView;

use super::{Api, error::ApiResult};

/// Host processes that take jobs.
#[utoipa::path(
    get,
    path = "/api/v1/servers",
    responses(
        (status = 200, description = "As asked for.", body = Vec<ServerView>),
    )
)]
pub(super) async fn list(State(api): State<Api>) -> ApiResult<Json<Vec<ServerView>>> {
    Ok(Json(api.client.servers().await?))
}
