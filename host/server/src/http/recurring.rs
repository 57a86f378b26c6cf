//! `/api/v1/recurring`

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
};
use serde::Deserialize;
use windlass_api::{Enqueued, Page, ProblemCode, RecurringJob, RecurringName, RecurringRequest};

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
    page_limit,
};

type Name = Result<Path<RecurringName>, PathRejection>;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How long the page is: 50 where absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A page of recurring jobs, by name.
#[utoipa::path(
    get,
    path = "/api/v1/recurring",
    params(ListQuery),
    responses(
        (status = 200, description = "As asked for.", body = Page<RecurringJob>),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> ApiResult<Json<Page<RecurringJob>>> {
    let Query(ListQuery { cursor, limit }) = query?;
    let mut page = api.client.recurring_jobs(cursor.as_deref(), page_limit(limit)?).await?;
    if let Some(rules) = api.redaction.for_caller(&api.client, &caller).await? {
        page.items.iter_mut().for_each(|entry| rules.recurring(entry));
    }
    Ok(Json(page))
}

/// A recurring job.
#[utoipa::path(
    get,
    path = "/api/v1/recurring/{name}",
    params(("name" = RecurringName, Path, description = "The recurring job.")),
    responses(
        (status = 200, description = "As asked for.", body = RecurringJob),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn show(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<RecurringJob>> {
    let name = name?.0;
    let Json(mut entry) = found(&name, api.client.recurring(&name).await?)?;
    if let Some(rules) = api.redaction.for_caller(&api.client, &caller).await? {
        rules.recurring(&mut entry);
    }
    Ok(Json(entry))
}

/// Puts a recurring job in place or changes it.
#[utoipa::path(
    put,
    path = "/api/v1/recurring/{name}",
    params(("name" = RecurringName, Path, description = "The recurring job.")),
    request_body = RecurringRequest,
    responses(
        (status = 200, description = "As asked for.", body = RecurringJob),
        (status = 413, description = "Over a limit."),
        (status = 422, description = "A field, the handler or the payload is not as it must be."),
    )
)]
pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    name: Name,
    body: Result<Json<RecurringRequest>, JsonRejection>,
) -> ApiResult<Json<RecurringJob>> {
    let (name, request) = (name?.0, body?.0);
    let put = api.client.put_recurring(&name, request).await?;
    note(&caller, "put", &name);
    Ok(Json(put))
}

/// Removes a recurring job; the jobs that it made stay.
#[utoipa::path(
    delete,
    path = "/api/v1/recurring/{name}",
    params(("name" = RecurringName, Path, description = "The recurring job.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn remove(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<StatusCode> {
    let name = name?.0;
    if !api.client.remove_recurring(&name).await? {
        return Err(not_found(&name));
    }
    note(&caller, "removed", &name);
    Ok(StatusCode::NO_CONTENT)
}

/// Passes a recurring job over.
#[utoipa::path(
    post,
    path = "/api/v1/recurring/{name}/pause",
    params(("name" = RecurringName, Path, description = "The recurring job.")),
    responses(
        (status = 200, description = "As asked for.", body = RecurringJob),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn pause(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<RecurringJob>> {
    let name = name?.0;
    let paused = found(&name, api.client.pause_recurring(&name).await?)?;
    note(&caller, "paused", &name);
    Ok(paused)
}

/// Goes on with the next instant of a recurring job.
#[utoipa::path(
    post,
    path = "/api/v1/recurring/{name}/resume",
    params(("name" = RecurringName, Path, description = "The recurring job.")),
    responses(
        (status = 200, description = "As asked for.", body = RecurringJob),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn resume(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<RecurringJob>> {
    let name = name?.0;
    let resumed = found(&name, api.client.resume_recurring(&name).await?)?;
    note(&caller, "resumed", &name);
    Ok(resumed)
}

/// Enqueues the job of a recurring job now.
#[utoipa::path(
    post,
    path = "/api/v1/recurring/{name}/trigger",
    params(("name" = RecurringName, Path, description = "The recurring job.")),
    responses(
        (status = 201, description = "The job is there.", body = Enqueued),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Another job is there that it must not stand beside."),
        (status = 422, description = "A field, the handler or the payload is not as it must be."),
    )
)]
pub(super) async fn trigger(
    State(api): State<Api>,
    caller: Caller,
    name: Name,
) -> ApiResult<(StatusCode, Json<Enqueued>)> {
    let name = name?.0;
    let Json(enqueued) = found(&name, api.client.trigger_recurring(&name).await?)?;
    note(&caller, "triggered", &name);
    Ok((StatusCode::CREATED, Json(enqueued)))
}

/// Who did it stands in the log: an entry has no history of its own.
fn note(caller: &Caller, done: &str, name: &RecurringName) {
    tracing::info!(by = caller.by(), done, recurring = %name, "a recurring job was changed or triggered");
}

fn found<T>(name: &RecurringName, thing: Option<T>) -> ApiResult<Json<T>> {
    thing.map(Json).ok_or_else(|| not_found(name))
}

fn not_found(name: &RecurringName) -> ApiError {
    let detail = format!("there is no recurring job `{name}`; `windlass recurring list` shows all");
    ApiError::new(ProblemCode::NotFound, detail)
}
