//! `/api/v1/servers`

use axum::{Json, extract::State};
use windlass_api::ServerView;

use super::{Api, error::ApiResult};

pub(super) async fn list(State(api): State<Api>) -> ApiResult<Json<Vec<ServerView>>> {
    Ok(Json(api.client.servers().await?))
}
