//! `/api/v1/limits`

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use windlass_api::{LimitRule, LimitTarget, LimitView, ProblemCode};

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
};
use crate::events::Hint;

type Target = Result<Path<LimitTarget>, PathRejection>;

/// Limits, with what they hold at the moment.
#[utoipa::path(
    get,
    path = "/api/v1/limits",
    responses((status = 200, description = "As asked for.", body = Vec<LimitView>))
)]
pub(super) async fn list(State(api): State<Api>) -> ApiResult<Json<Vec<LimitView>>> {
    Ok(Json(api.client.limits().await?))
}

/// Puts a limit in place or changes it.
#[utoipa::path(
    put,
    path = "/api/v1/limits/{target}",
    params(("target" = LimitTarget, Path, description = "What the limit is on.")),
    request_body = LimitRule,
    responses(
        (status = 200, description = "As asked for.", body = LimitView),
        (status = 422, description = "A field is not as it must be."),
    )
)]
pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    target: Target,
    body: Result<Json<LimitRule>, JsonRejection>,
) -> ApiResult<Json<LimitView>> {
    let (target, rule) = (target?.0, body?.0);
    api.client.put_limit(&target, rule).await?;
    tracing::info!(by = caller.by(), limit = %target, ?rule, "a limit was put");
    api.events.tell(Hint::Queues);
    let view = api.client.limits().await?.into_iter().find(|limit| limit.target == target);
    // Somebody else may have removed it again at this very moment.
    Ok(Json(view.unwrap_or(LimitView { target, rule, running: 0, held: 0, keys: None })))
}

/// Removes a limit.
#[utoipa::path(
    delete,
    path = "/api/v1/limits/{target}",
    params(("target" = LimitTarget, Path, description = "What the limit is on.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is none on this."),
    )
)]
pub(super) async fn remove(State(api): State<Api>, caller: Caller, target: Target) -> ApiResult<StatusCode> {
    let target = target?.0;
    if !api.client.remove_limit(&target).await? {
        let detail = format!("there is no limit on {target}; `windlass limits list` shows all");
        return Err(ApiError::new(ProblemCode::NotFound, detail));
    }
    tracing::info!(by = caller.by(), limit = %target, "a limit was removed");
    api.events.tell(Hint::Queues);
    Ok(StatusCode::NO_CONTENT)
}
