//! The HTTP API and the dashboard. The router is the table of contents.

mod access;
mod audit;
mod bounds;
mod bulk_actions;
mod canary;
mod dashboard;
mod door;
mod error;
mod events;
mod grants;
mod guard;
mod health;
mod idempotency;
mod index;
mod jobs;
mod limits;
mod listener;
mod metrics;
mod modules;
mod openapi;
mod queues;
mod recurring;
mod redact;
mod servers;
mod session;
mod stats;
mod tags;
mod tls;
pub(crate) mod trace;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post, put},
};
use tower_http::compression::CompressionLayer;
use windlass_api::ProblemCode;
use windlass_jobs::Client;

pub(crate) use self::{
    access::Access, audit::Audit, door::Door, guard::Guard, health::Health, listener::serve,
    openapi::document as description, redact::Redaction, tls::Tls,
};
use self::{
    access::Caller,
    error::{ApiError, ApiResult},
    guard::Doorkeeper,
};
use crate::{bulk::BulkActions, config::Sandboxes, events::Events, metrics::Scrape, modules::Modules};

/// No page of a list is longer.
const MAX_LIMIT: usize = 1_000;

/// How long a page is where the request does not say.
const DEFAULT_LIMIT: usize = 50;

/// No request but an upload carries more: a bulk call's 16 MiB and what is around it.
const MAX_BODY_BYTES: usize = 17 << 20;

/// Signing in carries no more than a token; it is the one body that is read before anybody is known.
const MAX_SIGN_IN_BYTES: usize = 4 << 10;

/// What the routes work on.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) modules: Arc<Modules>,
    /// What modules are granted, where jobs are run.
    pub(crate) sandboxes: Option<Arc<Sandboxes>>,
    pub(crate) health: Health,
    pub(crate) bulk_actions: BulkActions,
    pub(crate) events: Events,
    pub(crate) metrics: Arc<Scrape>,
    pub(crate) audit: Audit,
    pub(crate) redaction: Redaction,
    /// Who is served.
    pub(crate) guard: Guard,
    /// Whether nothing may be changed.
    pub(crate) read_only: bool,
    /// No component is longer.
    pub(crate) max_component_bytes: u64,
}

impl Api {
    /// The client, its commands standing in the history as those of this caller.
    fn acting_for(&self, caller: &Caller) -> Client {
        self.client.acting_as(caller.by())
    }
}

/// All routes. Each stands in the table of roles too (`access/table.rs`), or is refused to everybody.
pub(crate) fn router(api: Api) -> Router {
    let max_upload = usize::try_from(api.max_component_bytes).unwrap_or(usize::MAX).saturating_add(1);
    let door = Doorkeeper { guard: api.guard.clone(), read_only: api.read_only };
    Router::new()
        .route("/api/v1/jobs", get(jobs::list).post(jobs::enqueue))
        .route("/api/v1/jobs/count", get(jobs::count))
        .route("/api/v1/jobs/bulk", post(jobs::enqueue_many))
        .route("/api/v1/jobs/bulk-actions", post(bulk_actions::start))
        .route("/api/v1/jobs/{id}", get(jobs::show).delete(jobs::delete))
        .route("/api/v1/jobs/{id}/logs", get(jobs::logs))
        .route("/api/v1/jobs/{id}/relations", get(jobs::relations))
        .route("/api/v1/jobs/{id}/wait", get(jobs::wait))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/v1/jobs/{id}/requeue", post(jobs::requeue))
        .route("/api/v1/bulk-actions", get(bulk_actions::list))
        .route("/api/v1/bulk-actions/{id}", get(bulk_actions::show).delete(bulk_actions::stop))
        .route("/api/v1/counts", get(jobs::counts))
        .route("/api/v1/stats/counters", get(stats::counters))
        .route("/api/v1/limits", get(limits::list))
        .route("/api/v1/limits/{target}", put(limits::put).delete(limits::remove))
        .route("/api/v1/modules", get(modules::list).post(modules::deploy).layer(DefaultBodyLimit::max(max_upload)))
        .route("/api/v1/modules/{name}", get(modules::show))
        .route("/api/v1/modules/{name}/grants", get(grants::show))
        .route("/api/v1/modules/{name}/activate", post(modules::activate))
        .route("/api/v1/modules/{name}/canary", put(canary::begin).delete(canary::end))
        .route("/api/v1/modules/{name}/promote", post(canary::promote))
        .route("/api/v1/modules/{name}/retire", post(modules::retire))
        .route("/api/v1/queues", get(queues::list))
        .route("/api/v1/queues/{name}/pause", post(queues::pause))
        .route("/api/v1/queues/{name}/resume", post(queues::resume))
        .route("/api/v1/recurring", get(recurring::list))
        .route("/api/v1/recurring/{name}", get(recurring::show).put(recurring::put).delete(recurring::remove))
        .route("/api/v1/recurring/{name}/pause", post(recurring::pause))
        .route("/api/v1/recurring/{name}/resume", post(recurring::resume))
        .route("/api/v1/recurring/{name}/trigger", post(recurring::trigger))
        .route("/api/v1/servers", get(servers::list))
        .route("/api/v1/events", get(events::follow))
        .route(
            "/api/v1/session",
            get(session::show)
                .post(session::sign_in)
                .delete(session::sign_out)
                .layer(DefaultBodyLimit::max(MAX_SIGN_IN_BYTES)),
        )
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/openapi.json", get(openapi::show))
        .route("/metrics", get(metrics::scrape))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/assets/{name}", get(dashboard::asset))
        .fallback(dashboard::page)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(bounds::within))
        .layer(middleware::from_fn(tags::tag))
        .layer(middleware::from_fn_with_state(door, guard::check))
        .layer(middleware::from_fn_with_state(api.clone(), audit::record))
        // Neither streams of events nor what is compressed already; pictures there are none.
        .layer(CompressionLayer::new())
        .with_state(api)
}

fn page_limit(limit: Option<usize>) -> ApiResult<usize> {
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(limit) => {
            Err(ApiError::new(ProblemCode::BadRequest, format!("limit: expected 1 to {MAX_LIMIT}, not {limit}")))
        }
    }
}

/// An API by itself, for tests and fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod sample {
    #![expect(clippy::unwrap_used, reason = "what cannot be made is a failure of the test")]

    use windlass_jobs::{SystemClock, storage::sqlite::SqliteStorage};
    use windlass_wasm::{Compiler, CompilerOptions, Engine, EngineOptions};

    use super::*;
    use crate::metrics::Metrics;

    /// An API on a storage in memory, whose compiler does not work.
    pub(crate) fn api(guard: Guard) -> Api {
        let storage = SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap();
        let client = Client::new(storage);
        let storage = client.storage().clone();
        let options = EngineOptions { concurrent_runs: 1, max_memory_bytes: 1 << 20, wasi_p3: false };
        let compiler = CompilerOptions {
            program: "there-is-no-such-program".into(),
            cache_dir: std::env::temp_dir().join("windlass-no-cache"),
            max_component_bytes: 1 << 20,
            memory_bytes: 1 << 30,
            timeout: std::time::Duration::from_secs(1),
        };
        let compiler = Compiler::new(Engine::new(&options).unwrap(), compiler).unwrap();
        let events = Events::new(storage.clone());
        let scrape = Scrape::new(storage.clone(), Arc::new(Metrics::default()), Box::new(Vec::new), events.clone());
        let audit = Audit::start(client.clone());
        Api {
            client,
            modules: Arc::new(Modules::new(storage, compiler)),
            sandboxes: None,
            health: Health::default(),
            bulk_actions: BulkActions::default(),
            events,
            metrics: Arc::new(scrape),
            audit,
            redaction: Redaction::default(),
            guard,
            read_only: false,
            max_component_bytes: 1 << 20,
        }
    }
}
