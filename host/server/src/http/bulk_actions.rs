//! `/api/v1/jobs/bulk-actions` and `/api/v1/bulk-actions`

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use windlass_api::{BulkAction, BulkActionId, BulkActionRequest, JobFilter, ProblemCode};
use windlass_jobs::{Clock as _, SystemClock};

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
    jobs,
};

type Id = Result<Path<BulkActionId>, PathRejection>;

/// Begins a bulk action.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/bulk-actions",
    request_body = BulkActionRequest,
    responses(
        (status = 202, description = "It goes on.", body = BulkAction),
        (status = 422, description = "A field, the handler or the payload is not as it must be."),
    )
)]
pub(super) async fn start(
    State(api): State<Api>,
    caller: Caller,
    body: Result<Json<BulkActionRequest>, JsonRejection>,
) -> ApiResult<(StatusCode, Json<BulkAction>)> {
    let request = checked(body?.0)?;
    let begun = api.bulk_actions.start(request, api.acting_for(&caller), caller.by().to_owned(), SystemClock.now());
    let begun = begun.map_err(|error| ApiError::new(ProblemCode::Busy, error.to_string()))?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

fn checked(mut request: BulkActionRequest) -> ApiResult<BulkActionRequest> {
    let wrong = |detail: String| Err(ApiError::new(ProblemCode::InvalidField, detail));
    request.filter = jobs::checked(request.filter)?;
    if request.ids.is_empty() && request.filter == JobFilter::default() {
        return wrong(
            "filter: expected at least one of state, queue, module, handler, tag, created_from, \
                      created_before and text, or else ids; an empty filter would mean every job"
                .to_owned(),
        );
    }
    if !request.ids.is_empty() && request.filter != (JobFilter { state: request.filter.state, ..JobFilter::default() })
    {
        return wrong("filter: with ids it may name a state and nothing else".to_owned());
    }
    if request.ids.len() > BulkActionRequest::MAX_IDS {
        let (most, given) = (BulkActionRequest::MAX_IDS, request.ids.len());
        return wrong(format!("ids: expected at most {most}, not {given}; send the rest when these are done"));
    }
    let range = 1..=BulkActionRequest::MAX_LIMIT;
    if let Some(limit) = request.limit.filter(|limit| !range.contains(limit)) {
        return wrong(format!("limit: expected {} to {}, not {limit}", range.start(), range.end()));
    }
    if request.action != windlass_api::BulkVerb::Requeue && (request.fresh || request.newest) {
        return wrong(format!("fresh, newest: they go with `requeue`, not with `{}`", request.action));
    }
    Ok(request)
}

/// The bulk actions of this host that go on, and the last ones that have ended.
#[utoipa::path(
    get,
    path = "/api/v1/bulk-actions",
    responses(
        (status = 200, description = "As asked for.", body = Vec<BulkAction>),
    )
)]
pub(super) async fn list(State(api): State<Api>) -> Json<Vec<BulkAction>> {
    Json(api.bulk_actions.list())
}

/// A bulk action.
#[utoipa::path(
    get,
    path = "/api/v1/bulk-actions/{id}",
    params(("id" = BulkActionId, Path, description = "The bulk action.")),
    responses(
        (status = 200, description = "As asked for.", body = BulkAction),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn show(State(api): State<Api>, id: Id) -> ApiResult<Json<BulkAction>> {
    let id = id?.0;
    api.bulk_actions.get(id).map(Json).ok_or_else(|| not_found(id))
}

/// Stops a bulk action after the jobs that it is at.
#[utoipa::path(
    delete,
    path = "/api/v1/bulk-actions/{id}",
    params(("id" = BulkActionId, Path, description = "The bulk action.")),
    responses(
        (status = 200, description = "As asked for.", body = BulkAction),
        (status = 404, description = "There is none of this name or id."),
    )
)]
pub(super) async fn stop(State(api): State<Api>, id: Id) -> ApiResult<Json<BulkAction>> {
    let id = id?.0;
    api.bulk_actions.stop(id).map(Json).ok_or_else(|| not_found(id))
}

fn not_found(id: BulkActionId) -> ApiError {
    let detail = format!(
        "this host knows no bulk action {id}: another host may have taken it, or it ended with an earlier start of this \
         one; start it again where something is left"
    );
    ApiError::new(ProblemCode::NotFound, detail)
}

#[cfg(test)]
mod tests {
    use windlass_api::{BulkVerb, State as JobState};

    use super::*;

    #[test]
    fn what_asks_for_nothing_or_too_much_is_refused() {
        let failed = JobFilter { state: Some(JobState::Failed), ..JobFilter::default() };
        let request = |action, filter: &JobFilter| BulkActionRequest::new(action, filter.clone());
        let refusal = |request| checked(request).err().map(|error| error.code());
        assert_eq!(refusal(request(BulkVerb::Requeue, &failed)), None);
        assert_eq!(refusal(request(BulkVerb::Delete, &JobFilter::default())), Some(ProblemCode::InvalidField));
        // Empty text is what a search field sends that nobody has filled in.
        let empty = JobFilter { text: Some(String::new()), ..JobFilter::default() };
        assert_eq!(refusal(request(BulkVerb::Delete, &empty)), Some(ProblemCode::InvalidField));
        for limit in [0, 100_001] {
            let request = BulkActionRequest { limit: Some(limit), ..request(BulkVerb::Requeue, &failed) };
            assert_eq!(refusal(request), Some(ProblemCode::InvalidField));
        }
        let fresh = BulkActionRequest { fresh: true, ..request(BulkVerb::Cancel, &failed) };
        assert_eq!(refusal(fresh), Some(ProblemCode::InvalidField));
        let named = |count: u128| {
            let ids = (0..count).map(|number| windlass_api::JobId(uuid::Uuid::from_u128(number)));
            BulkActionRequest::on(BulkVerb::Delete, ids.collect(), Some(JobState::Failed))
        };
        assert_eq!(refusal(named(1_000)), None);
        assert_eq!(refusal(named(1_001)), Some(ProblemCode::InvalidField));
        let both = JobFilter { tag: Some("old".to_owned()), ..JobFilter::default() };
        assert_eq!(refusal(BulkActionRequest { filter: both, ..named(1) }), Some(ProblemCode::InvalidField));
    }
}
