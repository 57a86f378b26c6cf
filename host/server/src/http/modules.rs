//! `/api/v1/modules`

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
};
use serde::Deserialize;
use windlass_api::{ActivateRequest, Deployed, ModuleName, ModuleView, ProblemCode};

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
};
use crate::{events::Hint, modules::Activation};

pub(super) async fn list(State(api): State<Api>) -> ApiResult<Json<Vec<ModuleView>>> {
    Ok(Json(api.client.modules().await?))
}

pub(super) async fn show(
    State(api): State<Api>,
    name: Result<Path<ModuleName>, PathRejection>,
) -> ApiResult<Json<ModuleView>> {
    find(&api, &name?.0).await
}

async fn find(api: &Api, name: &ModuleName) -> ApiResult<Json<ModuleView>> {
    let module = api.client.modules().await?.into_iter().find(|module| module.name == *name);
    module.map(Json).ok_or_else(|| {
        ApiError::new(ProblemCode::NotFound, format!("there is no module `{name}`; `windlass modules list` shows all"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeployQuery {
    name: Option<ModuleName>,
    #[serde(default = "yes")]
    activate: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn deploy(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<DeployQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<(StatusCode, Json<Deployed>)> {
    let Query(DeployQuery { name, activate }) = query?;
    let body = body.map_err(|rejection| match ApiError::from(rejection) {
        error if error.code() == ProblemCode::TooLarge => ApiError::new(
            ProblemCode::TooLarge,
            format!("the component is over the limit of {} bytes", api.max_component_bytes),
        ),
        error => error,
    })?;
    let activation = if activate { Activation::Always } else { Activation::Never };
    let deployed = api.modules.deploy(name, body.into(), activation).await?;
    tracing::info!(by = caller.by(), module = %deployed.module, version = %deployed.version.digest.short(), activate, "deployed on request");
    api.client.admission().invalidate();
    api.events.tell(Hint::Modules);
    Ok((StatusCode::CREATED, Json(deployed)))
}

pub(super) async fn activate(
    State(api): State<Api>,
    caller: Caller,
    name: Result<Path<ModuleName>, PathRejection>,
    body: Result<Json<ActivateRequest>, JsonRejection>,
) -> ApiResult<Json<ModuleView>> {
    let (Path(name), Json(ActivateRequest { digest })) = (name?, body?);
    let known = api.modules.activate(&name, digest).await;
    api.client.admission().invalidate();
    api.events.tell(Hint::Modules);
    if !known? {
        let detail = format!("module `{name}` has no version {digest}; `windlass modules show {name}` shows all");
        return Err(ApiError::new(ProblemCode::NotFound, detail));
    }
    tracing::info!(by = caller.by(), module = %name, version = %digest.short(), "activated on request");
    find(&api, &name).await
}
