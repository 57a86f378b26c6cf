//! `/api/v1/jobs`

use std::time::Duration;

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
use windlass_api::{
    CommandReply, Counts, Enqueued, FilteredCount, JobDetail, JobFilter, JobId, JobRequest, JobSummary, LogLine, Page,
    ProblemCode, Relations, RequeueRequest, State as JobState, Timestamp,
};
use windlass_jobs::storage::Commanded;

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
    page_limit,
};

/// No text to look for is longer.
const MAX_TEXT_BYTES: usize = 1_000;

/// No request waits longer for a job to end: the caller asks again.
const MAX_WAIT: Duration = Duration::from_secs(60);

type Id = Result<Path<JobId>, PathRejection>;

pub(super) async fn enqueue(
    State(api): State<Api>,
    caller: Caller,
    body: Result<Json<JobRequest>, JsonRejection>,
) -> ApiResult<(StatusCode, Json<Enqueued>)> {
    Ok((StatusCode::CREATED, Json(api.acting_for(&caller).enqueue(body?.0).await?)))
}

pub(super) async fn enqueue_many(
    State(api): State<Api>,
    caller: Caller,
    body: Result<Json<Vec<JobRequest>>, JsonRejection>,
) -> ApiResult<(StatusCode, Json<Vec<Enqueued>>)> {
    Ok((StatusCode::CREATED, Json(api.acting_for(&caller).enqueue_many(body?.0).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<JobState>,
    reason: Option<String>,
    queue: Option<windlass_api::QueueName>,
    module: Option<windlass_api::ModuleName>,
    handler: Option<windlass_api::HandlerName>,
    tag: Option<String>,
    created_from: Option<Timestamp>,
    created_before: Option<Timestamp>,
    text: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> ApiResult<Json<Page<JobSummary>>> {
    let Query(ListQuery {
        state,
        reason,
        queue,
        module,
        handler,
        tag,
        created_from,
        created_before,
        text,
        cursor,
        limit,
    }) = query?;
    let filter = checked(JobFilter { state, reason, queue, module, handler, tag, created_from, created_before, text })?;
    Ok(Json(api.client.list(&filter, cursor.as_deref(), page_limit(limit)?).await?))
}

pub(super) async fn count(
    State(api): State<Api>,
    query: Result<Query<JobFilter>, QueryRejection>,
) -> ApiResult<Json<FilteredCount>> {
    Ok(Json(api.client.count(&checked(query?.0)?).await?))
}

/// A filter that asks for something. Empty text is what a search field sends that nobody has filled in.
pub(super) fn checked(mut filter: JobFilter) -> ApiResult<JobFilter> {
    filter.text = filter.text.filter(|text| !text.is_empty());
    if filter.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
        let detail = format!("text: expected at most {MAX_TEXT_BYTES} bytes to look for");
        return Err(ApiError::new(ProblemCode::BadRequest, detail));
    }
    if let (Some(from), Some(before)) = (filter.created_from, filter.created_before)
        && from >= before
    {
        let detail = format!("created_before: expected an instant after created_from, which is {from}, not {before}");
        return Err(ApiError::new(ProblemCode::BadRequest, detail));
    }
    Ok(filter)
}

pub(super) async fn counts(State(api): State<Api>) -> ApiResult<Json<Counts>> {
    Ok(Json(api.client.counts().await?))
}

pub(super) async fn show(State(api): State<Api>, id: Id) -> ApiResult<Json<JobDetail>> {
    let id = id?.0;
    api.client.get(id).await?.map(Json).ok_or_else(|| not_found(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn relations(
    State(api): State<Api>,
    id: Id,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> ApiResult<Json<Relations>> {
    let (Path(id), Query(PageQuery { cursor, limit })) = (id?, query?);
    let relations = api.client.relations(id, cursor.as_deref(), page_limit(limit)?).await?;
    relations.map(Json).ok_or_else(|| not_found(id))
}

pub(super) async fn logs(
    State(api): State<Api>,
    id: Id,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> ApiResult<Json<Page<LogLine>>> {
    let (id, Query(PageQuery { cursor, limit })) = (id?.0, query?);
    if api.client.get(id).await?.is_none() {
        return Err(not_found(id));
    }
    Ok(Json(api.client.logs(id, cursor.as_deref(), page_limit(limit)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    timeout_ms: Option<u64>,
}

pub(super) async fn wait(
    State(api): State<Api>,
    id: Id,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> ApiResult<Json<JobDetail>> {
    let (id, Query(WaitQuery { timeout_ms })) = (id?.0, query?);
    let timeout = timeout_ms.map_or(MAX_WAIT, Duration::from_millis).min(MAX_WAIT);
    api.client.wait(id, timeout).await?.map(Json).ok_or_else(|| not_found(id))
}

pub(super) async fn cancel(State(api): State<Api>, caller: Caller, id: Id) -> ApiResult<Json<CommandReply>> {
    let id = id?.0;
    reply(id, "cancelled", &api.acting_for(&caller).cancel(id).await?)
}

pub(super) async fn delete(State(api): State<Api>, caller: Caller, id: Id) -> ApiResult<Json<CommandReply>> {
    let id = id?.0;
    reply(id, "deleted", &api.acting_for(&caller).delete(id).await?)
}

pub(super) async fn requeue(
    State(api): State<Api>,
    caller: Caller,
    id: Id,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<Json<CommandReply>> {
    let (id, body) = (id?.0, body?);
    let how = if body.is_empty() { RequeueRequest::default() } else { Json::<RequeueRequest>::from_bytes(&body)?.0 };
    let outcome = api.acting_for(&caller).requeue(id, how).await?;
    if let (Commanded::Refused(state), Some(expected)) = (&outcome, how.expected_state)
        && *state != expected
    {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            format!("job {id} is {state} and not {expected} as expected"),
        ));
    }
    reply(id, "requeued", &outcome)
}

fn reply(id: JobId, what: &str, outcome: &Commanded) -> ApiResult<Json<CommandReply>> {
    match outcome {
        Commanded::Done(state) => Ok(Json(CommandReply { id, state: *state, pending: false })),
        Commanded::Requested(_) => Ok(Json(CommandReply { id, state: JobState::Processing, pending: true })),
        Commanded::Refused(state) => {
            Err(ApiError::new(ProblemCode::Conflict, format!("job {id} is {state} and so cannot be {what}")))
        }
        Commanded::Conflict(holder) => Err(ApiError::new(
            ProblemCode::Conflict,
            format!("job {id} is unique, and job {holder} is there already: wait for that one, or delete it first"),
        )),
        Commanded::NotFound => Err(not_found(id)),
    }
}

fn not_found(id: JobId) -> ApiError {
    ApiError::new(ProblemCode::NotFound, format!("there is no job {id}; it may have been removed after its retention"))
}
