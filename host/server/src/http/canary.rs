//! `/api/v1/modules/{name}/canary` and `/api/v1/modules/{name}/promote`

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
};
use serde::Deserialize;
use windlass_api::{CanaryDropped, CanaryRequest, ModuleName, ModuleView, PromoteRequest};

use super::{
    Api,
    access::Caller,
    error::ApiResult,
    modules::{changed, find},
};

type Name = Result<Path<ModuleName>, PathRejection>;

/// Sends a share of the new jobs to a version beside the active one, in place of any other that got one.
#[utoipa::path(
    put,
    path = "/api/v1/modules/{name}/canary",
    params(("name" = ModuleName, Path, description = "The module.")),
    request_body = CanaryRequest,
    responses(
        (status = 200, description = "As asked for.", body = ModuleView),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Something would break, or there is no other version that is active."),
        (status = 422, description = "A field is not as it must be."),
    )
)]
pub(super) async fn begin(
    State(api): State<Api>,
    caller: Caller,
    name: Name,
    body: Result<Json<CanaryRequest>, JsonRejection>,
) -> ApiResult<Json<ModuleView>> {
    let (Path(name), Json(request)) = (name?, body?);
    let begun = api.modules.begin_canary(&name, request).await;
    changed(&api);
    begun?;
    let (version, percent) = (request.digest.short(), request.percent);
    tracing::info!(by = caller.by(), module = %name, version, percent, "a canary was begun on request");
    find(&api, &caller, &name).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DropQuery {
    /// Whether jobs that began on it and wait to go on stay with it; false where absent.
    #[serde(default)]
    #[param(required = false)]
    keep_pins: bool,
}

/// Ends a canary: all new jobs go to the active version.
#[utoipa::path(
    delete,
    path = "/api/v1/modules/{name}/canary",
    params(("name" = ModuleName, Path, description = "The module."), DropQuery),
    responses(
        (status = 200, description = "It is no canary any more.", body = CanaryDropped),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn end(
    State(api): State<Api>,
    caller: Caller,
    name: Name,
    query: Result<Query<DropQuery>, QueryRejection>,
) -> ApiResult<Json<CanaryDropped>> {
    let (Path(name), Query(DropQuery { keep_pins })) = (name?, query?);
    let dropped = api.modules.drop_canary(&name, keep_pins).await;
    changed(&api);
    let dropped = dropped?;
    let (version, unpinned) = (dropped.digest.short(), dropped.unpinned);
    tracing::info!(by = caller.by(), module = %name, version, unpinned, "a canary was dropped on request");
    Ok(Json(dropped))
}

/// Makes the canary the version that all new jobs go to.
#[utoipa::path(
    post,
    path = "/api/v1/modules/{name}/promote",
    params(("name" = ModuleName, Path, description = "The module.")),
    request_body = PromoteRequest,
    responses(
        (status = 200, description = "As asked for.", body = ModuleView),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Something would break if all new jobs went to it."),
        (status = 422, description = "A field is not as it must be."),
    )
)]
pub(super) async fn promote(
    State(api): State<Api>,
    caller: Caller,
    name: Name,
    body: Result<Json<PromoteRequest>, JsonRejection>,
) -> ApiResult<Json<ModuleView>> {
    let (Path(name), Json(PromoteRequest { force })) = (name?, body?);
    let promoted = api.modules.promote_canary(&name, force).await;
    changed(&api);
    let version = promoted?.short();
    tracing::info!(by = caller.by(), module = %name, version, "a canary was promoted on request");
    find(&api, &caller, &name).await
}
