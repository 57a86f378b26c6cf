//! `/api/v1/audit`: who did what. Every request that changes something and comes from somebody who is known is noted, what
//! came of it included; never what it carried.
//!
//! Jobs that are enqueued are not noted here: each says in its history who made it, and there may be thousands a second, which
//! would leave no room for what is looked for here.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{
        ConnectInfo, MatchedPath, Query, RawPathParams, Request, State,
        rejection::{QueryRejection, RawPathParamsRejection},
    },
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use serde::Deserialize;
use tokio::sync::mpsc;
use windlass_api::{AuditEntry, Page};
use windlass_jobs::{Client, Clock as _, SystemClock};

use super::{Api, access::Caller, error::ApiResult, page_limit};

/// How many entries wait to be kept, while the storage is busy or away; what comes beyond that is in the log alone.
const WAITING: usize = 1_000;

/// No more are kept at once.
const AT_ONCE: usize = 200;

/// No target is longer, in bytes.
const MAX_TARGET_BYTES: usize = 300;

/// What makes jobs.
const ENQUEUES: [&str; 2] = ["/api/v1/jobs", "/api/v1/jobs/bulk"];

/// Where entries go on their way into the storage.
#[derive(Clone, Debug)]
pub(crate) struct Audit(mpsc::Sender<AuditEntry>);

impl Audit {
    /// Begins to keep what is noted.
    pub(crate) fn start(client: Client) -> Self {
        let (entries, waiting) = mpsc::channel(WAITING);
        tokio::spawn(keep(client, waiting));
        Self(entries)
    }

    fn note(&self, entry: AuditEntry) {
        tracing::info!(
            by = entry.by,
            action = entry.action,
            on = entry.target,
            status = entry.status,
            from = entry.from,
            "changed something, or was to"
        );
        if self.0.try_send(entry).is_err() {
            tracing::warn!(
                "the audit log cannot keep up, or the storage is away: what was done last stands in this log alone"
            );
        }
    }
}

async fn keep(client: Client, mut waiting: mpsc::Receiver<AuditEntry>) {
    let mut entries = Vec::new();
    while waiting.recv_many(&mut entries, AT_ONCE).await > 0 {
        let count = entries.len();
        if let Err(error) = client.storage().record_audit(std::mem::take(&mut entries)).await {
            tracing::error!(%error, count, "failed to keep entries of the audit log; they stand in this log alone");
        }
    }
}

/// Notes a request that changes something, when it is known what came of it.
pub(super) async fn record(
    State(api): State<Api>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let route = request.extensions().get::<MatchedPath>().filter(|_| !is_read).map(|route| route.as_str().to_owned());
    let Some(route) = route else { return next.run(request).await };
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| from.ip().to_string());
    let method = request.method().clone();
    let target = path.map(|path| path.iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ")).unwrap_or_default();
    let response = next.run(request).await;
    let Some(caller) = response.extensions().get::<Caller>() else { return response };
    if ENQUEUES.contains(&route.as_str()) && response.status() != StatusCode::FORBIDDEN {
        return response;
    }
    api.audit.note(AuditEntry {
        at: SystemClock.now(),
        by: caller.by().to_owned(),
        role: Some(caller.role()),
        action: format!("{method} {route}"),
        target: Some(shortened(target)).filter(|target| !target.is_empty()),
        status: response.status().as_u16(),
        from,
    });
    response
}

fn shortened(mut target: String) -> String {
    target.truncate(target.floor_char_boundary(MAX_TARGET_BYTES));
    target
}

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

/// A page of who did what, the last first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    params(ListQuery),
    responses((status = 200, description = "As asked for.", body = Page<AuditEntry>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> ApiResult<Json<Page<AuditEntry>>> {
    let Query(ListQuery { cursor, limit }) = query?;
    Ok(Json(api.client.storage().audit(cursor.as_deref(), page_limit(limit)?).await?))
}
