//! `/api/v1/stats`: what charts are drawn from.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use windlass_api::{CounterQuery, CounterRow, Grain, HandlerName, ModuleName, ProblemCode, Timestamp};
use windlass_jobs::{Clock as _, SystemClock};

use super::{
    Api,
    error::{ApiError, ApiResult},
};

/// How far back the answer goes where the request does not say: 3 hours of minutes, 7 days of hours.
const fn usual_ms(grain: Grain) -> i64 {
    match grain {
        Grain::Minute => 3 * 3_600_000,
        Grain::Hour => 7 * 24 * 3_600_000,
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CountersQuery {
    /// In spans of this length; by the minute where absent.
    grain: Option<Grain>,
    /// From the span that this instant lies in.
    from: Option<Timestamp>,
    /// Up to this instant; up to now where absent.
    before: Option<Timestamp>,
    /// Of this module.
    module: Option<ModuleName>,
    /// Of this handler.
    handler: Option<HandlerName>,
}

/// What happened, by span and handler.
#[utoipa::path(
    get,
    path = "/api/v1/stats/counters",
    params(CountersQuery),
    responses(
        (status = 200, description = "As asked for.", body = Vec<CounterRow>),
    )
)]
pub(super) async fn counters(
    State(api): State<Api>,
    query: Result<Query<CountersQuery>, QueryRejection>,
) -> ApiResult<Json<Vec<CounterRow>>> {
    Ok(Json(api.client.counters(&completed(query?.0, SystemClock.now())?).await?))
}

/// By default the last hours, by the minute.
fn completed(query: CountersQuery, now: Timestamp) -> ApiResult<CounterQuery> {
    let CountersQuery { grain, from, before, module, handler } = query;
    let grain = grain.unwrap_or(Grain::Minute);
    // The span that goes on now is in it.
    let before = before.unwrap_or_else(|| now.plus_ms(1));
    let from = from.unwrap_or(Timestamp(before.0.saturating_sub(usual_ms(grain))));
    if from >= before {
        let detail = format!("from: expected an instant before `before`, which is {before}, not {from}");
        return Err(ApiError::new(ProblemCode::BadRequest, detail));
    }
    Ok(CounterQuery { grain, from, before, module, handler })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn query(grain: Option<Grain>, from: Option<Timestamp>, before: Option<Timestamp>) -> CountersQuery {
        CountersQuery { grain, from, before, module: None, handler: None }
    }

    #[test]
    fn what_is_not_asked_for_is_the_last_hours_by_the_minute() {
        let completed = completed(query(None, None, None), NOW).unwrap();
        assert_eq!(completed.grain, Grain::Minute);
        assert_eq!(completed.before.ms_since(completed.from), 3 * 3_600_000);
        assert!(completed.before > NOW);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        let error = completed(query(Some(Grain::Hour), Some(NOW), Some(NOW)), NOW).unwrap_err();
        assert_eq!(error.code(), ProblemCode::BadRequest);
    }
}
