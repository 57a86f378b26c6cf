//! `/api/v1/modules`

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use windlass_api::{ActivateRequest, Deployed, ModuleName, ModuleView, ProblemCode, RetireRequest, Retired};

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
    guard::Guard,
};
use crate::{
    events::Hint,
    modules::{Activation, MAX_SIGNATURE_BYTES, Upload},
};

/// What carries a signature: the text of a `.minisig` file, in base64, since a header has one line.
const SIGNATURE: &str = "windlass-signature";

/// Modules, their versions and handlers.
#[utoipa::path(
    get,
    path = "/api/v1/modules",
    responses(
        (status = 200, description = "As asked for.", body = Vec<ModuleView>),
    )
)]
pub(super) async fn list(State(api): State<Api>, caller: Caller) -> ApiResult<Json<Vec<ModuleView>>> {
    Ok(Json(shown(&api, &caller).await?))
}

/// All modules, as this caller may see them.
async fn shown(api: &Api, caller: &Caller) -> ApiResult<Vec<ModuleView>> {
    let mut modules = api.client.modules().await?;
    if let Some(rules) = api.redaction.for_caller(&api.client, caller).await? {
        modules.iter_mut().for_each(|module| rules.module(module));
    }
    Ok(modules)
}

/// A module.
#[utoipa::path(
    get,
    path = "/api/v1/modules/{name}",
    params(("name" = ModuleName, Path, description = "The module.")),
    responses(
        (status = 200, description = "As asked for.", body = ModuleView),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    name: Result<Path<ModuleName>, PathRejection>,
) -> ApiResult<Json<ModuleView>> {
    find(&api, &caller, &name?.0).await
}

pub(super) async fn find(api: &Api, caller: &Caller, name: &ModuleName) -> ApiResult<Json<ModuleView>> {
    let module = shown(api, caller).await?.into_iter().find(|module| module.name == *name);
    module.map(Json).ok_or_else(|| {
        ApiError::new(ProblemCode::NotFound, format!("there is no module `{name}`; `windlass modules list` shows all"))
    })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DeployQuery {
    /// The module's name; the one that the component gives itself where absent.
    name: Option<ModuleName>,
    /// Whether new jobs go to it from now on; true where absent.
    #[serde(default = "yes")]
    #[param(required = false)]
    activate: bool,
    /// Whether new jobs go to it whatever breaks; false where absent.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

fn yes() -> bool {
    true
}

/// Deploys the component that is the body.
#[utoipa::path(
    post,
    path = "/api/v1/modules",
    params(
        DeployQuery,
        ("Windlass-Signature" = Option<String>, Header, description = "The component's `.minisig` file, in base64."),
    ),
    request_body(content = String, content_type = "application/wasm", description = "The component."),
    responses(
        (status = 201, description = "The version is there.", body = Deployed),
        (status = 409, description = "Something would break if new jobs went to it; or it is not taken here at all."),
        (status = 413, description = "Over a limit."),
        (status = 422, description = "The component was refused."),
    )
)]
pub(super) async fn deploy(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<DeployQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<(StatusCode, Json<Deployed>)> {
    let Query(DeployQuery { name, activate, force }) = query?;
    if let Guard::Application { takes_components: false } = api.guard {
        let detail = "this application does not know whose components the hosts take ([signatures]), so it takes none: deploy to a \
                      host, or have the application give the hosts' settings to its plugin (`settings`)";
        return Err(ApiError::new(ProblemCode::Conflict, detail));
    }
    let body = body.map_err(|rejection| match ApiError::from(rejection) {
        error if error.code() == ProblemCode::TooLarge => ApiError::new(
            ProblemCode::TooLarge,
            format!("the component is over the limit of {} bytes", api.max_component_bytes),
        ),
        error => error,
    })?;
    let upload = Upload { name, bytes: body.into(), signature: signature(&headers)? };
    let activation = match (activate, force) {
        (false, _) => Activation::Never,
        (true, false) => Activation::Carefully,
        (true, true) => Activation::Always,
    };
    let deployed = api.modules.deploy(upload, activation).await?;
    tracing::info!(by = caller.by(), module = %deployed.module, version = %deployed.version.digest.short(), activate, "deployed on request");
    changed(&api);
    Ok((StatusCode::CREATED, Json(deployed)))
}

fn signature(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(header) = headers.get(SIGNATURE) else { return Ok(None) };
    let text = Some(header.as_bytes()).filter(|text| text.len() <= MAX_SIGNATURE_BYTES * 4 / 3);
    let text = text.and_then(|text| BASE64_STANDARD.decode(text).ok()).and_then(|text| String::from_utf8(text).ok());
    text.map(Some).ok_or_else(|| {
        let detail =
            format!("Windlass-Signature: expected a `.minisig` file in base64, of at most {MAX_SIGNATURE_BYTES} bytes");
        ApiError::new(ProblemCode::BadRequest, detail)
    })
}

/// Makes a version the one that new jobs go to.
#[utoipa::path(
    post,
    path = "/api/v1/modules/{name}/activate",
    params(("name" = ModuleName, Path, description = "The module.")),
    request_body = ActivateRequest,
    responses(
        (status = 200, description = "As asked for.", body = ModuleView),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Something would break if new jobs went to it, or it is retired."),
        (status = 422, description = "A field is not as it must be."),
    )
)]
pub(super) async fn activate(
    State(api): State<Api>,
    caller: Caller,
    name: Result<Path<ModuleName>, PathRejection>,
    body: Result<Json<ActivateRequest>, JsonRejection>,
) -> ApiResult<Json<ModuleView>> {
    let (Path(name), Json(ActivateRequest { digest, force })) = (name?, body?);
    if !force {
        api.modules.check_activation(&name, digest).await?;
    }
    let known = api.modules.activate(&name, digest).await;
    changed(&api);
    if !known? {
        let is_retired = api.client.storage().version(&name, digest).await?.is_some();
        let (code, detail) = if is_retired {
            let version = digest.short();
            (
                ProblemCode::Conflict,
                format!("version {version} of module `{name}` is retired: deploy its component again"),
            )
        } else {
            let detail = format!("module `{name}` has no version {digest}; `windlass modules show {name}` shows all");
            (ProblemCode::NotFound, detail)
        };
        return Err(ApiError::new(code, detail));
    }
    tracing::info!(by = caller.by(), module = %name, version = %digest.short(), "activated on request");
    find(&api, &caller, &name).await
}

/// Retires a version: nothing starts on it any more, and its component is removed.
#[utoipa::path(
    post,
    path = "/api/v1/modules/{name}/retire",
    params(("name" = ModuleName, Path, description = "The module.")),
    request_body = RetireRequest,
    responses(
        (status = 200, description = "It is retired.", body = Retired),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "New jobs go to it, or jobs need it."),
        (status = 422, description = "A field is not as it must be."),
    )
)]
pub(super) async fn retire(
    State(api): State<Api>,
    caller: Caller,
    name: Result<Path<ModuleName>, PathRejection>,
    body: Result<Json<RetireRequest>, JsonRejection>,
) -> ApiResult<Json<Retired>> {
    let (Path(name), Json(request)) = (name?, body?);
    let retired = api.modules.retire(&name, request).await;
    changed(&api);
    let retired = retired?;
    let (version, unpinned) = (retired.digest.short(), retired.unpinned);
    tracing::info!(by = caller.by(), module = %name, version, unpinned, "retired on request");
    Ok(Json(retired))
}

/// What is remembered of modules is not true any more.
pub(super) fn changed(api: &Api) {
    api.client.admission().invalidate();
    api.redaction.forget();
    api.events.tell(Hint::Modules);
}
