//! `/api/v1/queues`

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use windlass_api::{QueueName, QueueView};

use super::{Api, access::Caller, error::ApiResult};
use crate::events::Hint;

type Name = Result<Path<QueueName>, PathRejection>;

/// Queues that hold jobs or are paused.
#[utoipa::path(
    get,
    path = "/api/v1/queues",
    responses(
        (status = 200, description = "As asked for.", body = Vec<QueueView>),
    )
)]
pub(super) async fn list(State(api): State<Api>) -> ApiResult<Json<Vec<QueueView>>> {
    Ok(Json(api.client.queues().await?))
}

/// Stops taking jobs from a queue.
#[utoipa::path(
    post,
    path = "/api/v1/queues/{name}/pause",
    params(("name" = QueueName, Path, description = "The queue.")),
    responses(
        (status = 200, description = "As asked for.", body = QueueView),
    )
)]
pub(super) async fn pause(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<QueueView>> {
    set_paused(&api, &caller, name?.0, true).await
}

/// Takes jobs from a queue again.
#[utoipa::path(
    post,
    path = "/api/v1/queues/{name}/resume",
    params(("name" = QueueName, Path, description = "The queue.")),
    responses(
        (status = 200, description = "As asked for.", body = QueueView),
    )
)]
pub(super) async fn resume(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<QueueView>> {
    set_paused(&api, &caller, name?.0, false).await
}

async fn set_paused(api: &Api, caller: &Caller, name: QueueName, paused: bool) -> ApiResult<Json<QueueView>> {
    if paused {
        api.client.pause(&name).await?;
    } else {
        api.client.resume(&name).await?;
    }
    tracing::info!(by = caller.by(), queue = %name, paused, "a queue was paused or resumed");
    api.events.tell(Hint::Queues);
    let queue = api.client.queues().await?.into_iter().find(|queue| queue.name == name);
    // A queue that is neither paused nor holds a job is not listed, and yet there.
    Ok(Json(queue.unwrap_or(QueueView { name, paused, enqueued: 0, processing: 0, oldest_at: None })))
}
