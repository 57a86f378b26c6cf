//! `/api/v1/jobs`

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
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
    idempotency::{self, IdempotencyKey},
    page_limit, trace,
};

/// No text to look for is longer.
const MAX_TEXT_BYTES: usize = 1_000;

/// No request waits longer for a job to end: the caller asks again.
const MAX_WAIT: Duration = Duration::from_secs(60);

type Id = Result<Path<JobId>, PathRejection>;

/// Makes a job.
#[utoipa::path(
    post,
    path = "/api/v1/jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Asking twice with one key makes the jobs once.", min_length = 1, max_length = 255)),
    request_body = JobRequest,
    responses(
        (status = 201, description = "The job is there.", body = Enqueued),
        (status = 409, description = "Another job is there that it must not stand beside."),
        (status = 413, description = "Over a limit."),
        (status = 422, description = "A field, the handler or the payload is not as it must be."),
    )
)]
pub(super) async fn enqueue(
    State(api): State<Api>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    body: Result<Json<JobRequest>, JsonRejection>,
) -> ApiResult<(StatusCode, Json<Enqueued>)> {
    let mut request = body?.0;
    trace::carry(&headers, std::slice::from_mut(&mut request));
    let client = api.acting_for(&caller);
    let enqueued = match key {
        None => client.enqueue(request).await?,
        Some(key) => idempotency::enqueue(&client, key, vec![request]).await?.remove(0),
    };
    Ok((StatusCode::CREATED, Json(enqueued)))
}

/// Makes jobs, all or none.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/bulk",
    params(("Idempotency-Key" = Option<String>, Header, description = "Asking twice with one key makes the jobs once.", min_length = 1, max_length = 255)),
    request_body = Vec<JobRequest>,
    responses(
        (status = 201, description = "The jobs are there, in the order asked for.", body = Vec<Enqueued>),
        (status = 409, description = "Another job is there that one of them must not stand beside."),
        (status = 413, description = "Over a limit."),
        (status = 422, description = "A field, the handler or the payload is not as it must be."),
    )
)]
pub(super) async fn enqueue_many(
    State(api): State<Api>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    body: Result<Json<Vec<JobRequest>>, JsonRejection>,
) -> ApiResult<(StatusCode, Json<Vec<Enqueued>>)> {
    let mut requests = body?.0;
    trace::carry(&headers, &mut requests);
    let client = api.acting_for(&caller);
    let enqueued = match key {
        None => client.enqueue_many(requests).await?,
        Some(key) => idempotency::enqueue(&client, key, requests).await?,
    };
    Ok((StatusCode::CREATED, Json(enqueued)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// In this state.
    state: Option<JobState>,
    /// For this reason, to the letter.
    reason: Option<String>,
    /// In this queue.
    queue: Option<windlass_api::QueueName>,
    /// Of this module.
    module: Option<windlass_api::ModuleName>,
    /// Of this handler.
    handler: Option<windlass_api::HandlerName>,
    /// With this tag.
    tag: Option<String>,
    /// Made at this instant or later.
    created_from: Option<Timestamp>,
    /// Made before this instant.
    created_before: Option<Timestamp>,
    /// With this text in its payload, or in the message of its failure.
    #[param(max_length = 1000)]
    text: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How long the page is: 50 where absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A page of jobs, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    params(ListQuery),
    responses(
        (status = 200, description = "As asked for.", body = Page<JobSummary>),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
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
    let rules = api.redaction.for_caller(&api.client, &caller).await?;
    rules.as_ref().map_or(Ok(()), |rules| rules.allow(&filter))?;
    let mut page = api.client.list(&filter, cursor.as_deref(), page_limit(limit)?).await?;
    if let Some(rules) = rules {
        page.items.iter_mut().for_each(|job| rules.summary(job));
    }
    Ok(Json(page))
}

/// How many jobs pass a filter.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/count",
    params(JobFilter),
    responses(
        (status = 200, description = "As asked for.", body = FilteredCount),
    )
)]
pub(super) async fn count(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<JobFilter>, QueryRejection>,
) -> ApiResult<Json<FilteredCount>> {
    let filter = checked(query?.0)?;
    let rules = api.redaction.for_caller(&api.client, &caller).await?;
    rules.map_or(Ok(()), |rules| rules.allow(&filter))?;
    Ok(Json(api.client.count(&filter).await?))
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

/// How many jobs there are, by state.
#[utoipa::path(
    get,
    path = "/api/v1/counts",
    responses(
        (status = 200, description = "As asked for.", body = Counts),
    )
)]
pub(super) async fn counts(State(api): State<Api>) -> ApiResult<Json<Counts>> {
    Ok(Json(api.client.counts().await?))
}

/// All that is known of a job.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    params(("id" = JobId, Path, description = "The job.")),
    responses(
        (status = 200, description = "As asked for.", body = JobDetail),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn show(State(api): State<Api>, caller: Caller, id: Id) -> ApiResult<Json<JobDetail>> {
    let id = id?.0;
    shown(&api, &caller, id, api.client.get(id).await?).await
}

/// A job as this caller may see it.
async fn shown(api: &Api, caller: &Caller, id: JobId, job: Option<JobDetail>) -> ApiResult<Json<JobDetail>> {
    let mut job = job.ok_or_else(|| not_found(id))?;
    if let Some(rules) = api.redaction.for_caller(&api.client, caller).await? {
        rules.detail(&mut job);
    }
    Ok(Json(job))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How long the page is: 50 where absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The jobs that it continues, and a page of those that continue it.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/relations",
    params(("id" = JobId, Path, description = "The job."), PageQuery),
    responses(
        (status = 200, description = "As asked for.", body = Relations),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn relations(
    State(api): State<Api>,
    id: Id,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> ApiResult<Json<Relations>> {
    let (Path(id), Query(PageQuery { cursor, limit })) = (id?, query?);
    let relations = api.client.relations(id, cursor.as_deref(), page_limit(limit)?).await?;
    relations.map(Json).ok_or_else(|| not_found(id))
}

/// A page of what its runs logged, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/logs",
    params(("id" = JobId, Path, description = "The job."), PageQuery),
    responses(
        (status = 200, description = "As asked for.", body = Page<LogLine>),
        (status = 404, description = "There is none of this name or id."),
    )
)]
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

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    /// How long to wait at most, in milliseconds; 60,000 where absent or more.
    timeout_ms: Option<u64>,
}

/// The job when it has ended, or as it is after the time that is given.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/wait",
    params(("id" = JobId, Path, description = "The job."), WaitQuery),
    responses(
        (status = 200, description = "As asked for.", body = JobDetail),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn wait(
    State(api): State<Api>,
    caller: Caller,
    id: Id,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> ApiResult<Json<JobDetail>> {
    let (id, Query(WaitQuery { timeout_ms })) = (id?.0, query?);
    let timeout = timeout_ms.map_or(MAX_WAIT, Duration::from_millis).min(MAX_WAIT);
    shown(&api, &caller, id, api.client.wait(id, timeout).await?).await
}

/// Deletes a job that waits, stops one that runs.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/cancel",
    params(("id" = JobId, Path, description = "The job.")),
    responses(
        (status = 200, description = "As asked for.", body = CommandReply),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Not in a state that allows this."),
    )
)]
pub(super) async fn cancel(State(api): State<Api>, caller: Caller, id: Id) -> ApiResult<Json<CommandReply>> {
    let id = id?.0;
    reply(id, "cancelled", &api.acting_for(&caller).cancel(id).await?)
}

/// Deletes a job, whether it has ended or not.
#[utoipa::path(
    delete,
    path = "/api/v1/jobs/{id}",
    params(("id" = JobId, Path, description = "The job.")),
    responses(
        (status = 200, description = "As asked for.", body = CommandReply),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Not in a state that allows this."),
    )
)]
pub(super) async fn delete(State(api): State<Api>, caller: Caller, id: Id) -> ApiResult<Json<CommandReply>> {
    let id = id?.0;
    reply(id, "deleted", &api.acting_for(&caller).delete(id).await?)
}

/// Enqueues a job anew.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/requeue",
    params(("id" = JobId, Path, description = "The job.")),
    request_body = RequeueRequest,
    responses(
        (status = 200, description = "As asked for.", body = CommandReply),
        (status = 404, description = "There is none of this name or id."),
        (status = 409, description = "Not in a state that allows this."),
        (status = 422, description = "A field, the handler or the payload is not as it must be."),
    )
)]
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
