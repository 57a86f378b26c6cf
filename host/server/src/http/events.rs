//! `/api/v1/events`: server-sent events.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use windlass_api::{Event as Kind, JobId, ProblemCode, StatesChanged, WatchedJob};
use windlass_jobs::{Clock as _, SystemClock};

use super::{
    Api,
    access::Caller,
    error::{ApiError, ApiResult},
};
use crate::events::{Hint, MAX_WATCHED, Reader, Said};

/// How often something is sent at least, so that proxies keep the connection and the host notices that it is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a stream lasts: whoever follows comes back by itself, and is then asked anew who it is.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How soon a browser comes back.
const RETRY: Duration = Duration::from_secs(2);

/// That something changed, as server-sent events.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    params(
        ("job" = Option<Vec<JobId>>, Query, description = "Up to 8 jobs to be told of."),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was heard."),
    ),
    responses(
        (status = 200, description = "Events, until the session ends or an hour has passed.", body = String, content_type = "text/event-stream"),
    )
)]
pub(super) async fn follow(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> ApiResult<Response> {
    let jobs = watched(query?.0)?;
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let reader = api.events.follow(last_id, jobs);
    let reader = reader.map_err(|error| ApiError::new(ProblemCode::Busy, error.to_string()))?;
    let left = caller
        .expires_at()
        .map_or(LONGEST, |expires_at| Duration::from_millis(expires_at.ms_since(SystemClock.now())).min(LONGEST));
    let until = Instant::now() + left;
    let events = stream::unfold(reader, move |mut reader: Reader| async move {
        let said = tokio::time::timeout_at(until, reader.next()).await.ok()??;
        Some((Ok::<_, Infallible>(event(said)), reader))
    });
    // Whoever signs out is told nothing more, in whatever window.
    let events = events.take_until(caller.signed_out());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // nginx would hold events back until a buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn watched(query: Vec<(String, String)>) -> ApiResult<BTreeSet<JobId>> {
    let wrong = |detail: String| ApiError::new(ProblemCode::BadRequest, detail);
    let jobs = query.into_iter().map(|(name, value)| match name.as_str() {
        "job" => value.parse().map_err(|error| wrong(format!("job: {error}"))),
        _ => Err(wrong(format!("unknown parameter `{name}`, expected `job`"))),
    });
    let jobs = jobs.collect::<ApiResult<BTreeSet<JobId>>>()?;
    if jobs.len() > MAX_WATCHED {
        return Err(wrong(format!("job: expected at most {MAX_WATCHED} jobs to watch, not {}", jobs.len())));
    }
    Ok(jobs)
}

fn event((id, said): (String, Said)) -> Event {
    let event = Event::default().id(id);
    let (kind, data) = match said {
        // Without data it is no event, but its id is remembered by whoever follows.
        Said::Begun => return event.retry(RETRY).comment("following"),
        Said::Missed => (Kind::Missed, String::new()),
        Said::Hint(Hint::Servers) => (Kind::Servers, String::new()),
        Said::Hint(Hint::Queues) => (Kind::Queues, String::new()),
        Said::Hint(Hint::Modules) => (Kind::Modules, String::new()),
        Said::Hint(Hint::Counts(states)) => {
            (Kind::Counts, json(&StatesChanged { states: states.into_iter().collect() }))
        }
        Said::Job(id) => (Kind::Job, json(&WatchedJob { id })),
        // It comes as one `job` for each.
        Said::Hint(Hint::Jobs(_)) => return event.comment("jobs"),
    };
    event.event(kind.as_str()).data(if data.is_empty() { "{}" } else { &data })
}

fn json(data: &impl serde::Serialize) -> String {
    // Plain data of the API: it can always be written.
    serde_json::to_string(data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(jobs: usize) -> Vec<(String, String)> {
        (0..jobs).map(|at| ("job".to_owned(), uuid::Uuid::from_u128(at as u128).to_string())).collect()
    }

    #[test]
    fn some_jobs_may_be_watched_and_nothing_else_be_asked_for() {
        assert_eq!(watched(query(8)).unwrap().len(), 8);
        assert!(watched(query(9)).is_err());
        assert!(watched(vec![("jobs".to_owned(), "1".to_owned())]).is_err());
        assert!(watched(vec![("job".to_owned(), "1".to_owned())]).is_err());
    }
}
