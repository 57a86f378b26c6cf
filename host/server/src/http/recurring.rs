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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> ApiResult<Json<Page<RecurringJob>>> {
    let Query(ListQuery { cursor, limit }) = query?;
    Ok(Json(api.client.recurring_jobs(cursor.as_deref(), page_limit(limit)?).await?))
}

pub(super) async fn show(State(api): State<Api>, name: Name) -> ApiResult<Json<RecurringJob>> {
    let name = name?.0;
    found(&name, api.client.recurring(&name).await?)
}

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

pub(super) async fn remove(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<StatusCode> {
    let name = name?.0;
    if !api.client.remove_recurring(&name).await? {
        return Err(not_found(&name));
    }
    note(&caller, "removed", &name);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<RecurringJob>> {
    let name = name?.0;
    let paused = found(&name, api.client.pause_recurring(&name).await?)?;
    note(&caller, "paused", &name);
    Ok(paused)
}

pub(super) async fn resume(State(api): State<Api>, caller: Caller, name: Name) -> ApiResult<Json<RecurringJob>> {
    let name = name?.0;
    let resumed = found(&name, api.client.resume_recurring(&name).await?)?;
    note(&caller, "resumed", &name);
    Ok(resumed)
}

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
