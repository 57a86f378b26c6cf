//! The one file that fetches. Every request goes through here, so that what a lost host, a gateway in between or a host
//! of another version answers is told apart in one place.

use std::{future::Future, pin::Pin};

use leptos::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, RequestInit, Response};
use windlass_api::{
    ActivateRequest, AuditEntry, BulkAction, BulkActionId, BulkActionRequest, CanaryDropped, CanaryRequest,
    CommandReply, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobId, JobRequest, JobSummary,
    LimitRule, LimitTarget, LimitView, LogLine, ModuleGrants, ModuleName, ModuleView, Page, ProblemCode,
    PromoteRequest, QueueName, QueueView, RecurringJob, RecurringName, RecurringRequest, Relations, RequeueRequest,
    RetireRequest, Retired, ServerView, SessionRequest, SessionView, State, Timestamp,
};

use super::{browser, shared::Shared, stream};
use crate::{
    filter::Shown,
    model::{access, connection::Event, job::Action, traffic::Reach},
    query,
    trouble::Trouble,
};

pub(super) type Answer<T> = Result<T, Trouble>;

/// A request that is under way.
type Exchange<'a> = Pin<Box<dyn Future<Output = Answer<Reply>> + 'a>>;

/// What came back.
struct Reply {
    status: u16,
    text: String,
    /// After how many seconds the host wants to be asked again, where it says so.
    retry_after: Option<u32>,
}

/// No request takes longer, in milliseconds; a host that hangs is a host that is lost.
const PATIENCE_MS: u32 = 15_000;

/// How many log lines are read at once: as many as the host gives.
const LOG_LINES: usize = 1_000;

/// The way to the host.
#[derive(Clone, Copy)]
pub(super) struct Api {
    shared: Shared,
}

impl Api {
    pub(super) const fn new(shared: Shared) -> Self {
        Self { shared }
    }

    pub(super) async fn counts(self) -> Answer<Counts> {
        self.get("counts").await
    }

    pub(super) async fn jobs(self, shown: &Shown) -> Answer<Page<JobSummary>> {
        // The length always: the host's own default may change.
        self.get(&format!("jobs?{}", with(&shown.write(), "limit", &shown.size.to_string()))).await
    }

    /// How many jobs pass a filter.
    pub(super) async fn count(self, shown: &Shown) -> Answer<FilteredCount> {
        let filter = Shown { cursor: None, size: Shown::default().size, ..shown.clone() };
        self.get(&format!("jobs/count?{}", filter.write())).await
    }

    pub(super) async fn job(self, id: JobId) -> Answer<JobDetail> {
        self.get(&format!("jobs/{id}")).await
    }

    pub(super) async fn logs(self, id: JobId, cursor: Option<&str>) -> Answer<Page<LogLine>> {
        self.get(&format!("jobs/{id}/logs?{}", paging(cursor, LOG_LINES))).await
    }

    pub(super) async fn counters(self, reach: Reach, from: Timestamp, before: Timestamp) -> Answer<Vec<CounterRow>> {
        let (from, before) = (from.to_string(), before.to_string());
        let query = query::write([("grain", reach.grain().as_str()), ("from", &from), ("before", &before)]);
        self.get(&format!("stats/counters?{query}")).await
    }

    pub(super) async fn queues(self) -> Answer<Vec<QueueView>> {
        self.get("queues").await
    }

    pub(super) async fn servers(self) -> Answer<Vec<ServerView>> {
        self.get("servers").await
    }

    pub(super) async fn modules(self) -> Answer<Vec<ModuleView>> {
        self.get("modules").await
    }

    /// Does something with a job. `expected` is the state that the viewer saw it in.
    pub(super) async fn act(self, action: Action, id: JobId, expected: Option<State>) -> Answer<CommandReply> {
        match action {
            Action::Requeue | Action::RequeueNewest => {
                let newest = action == Action::RequeueNewest;
                let how = RequeueRequest { expected_state: expected, newest, fresh: false };
                self.post(&format!("jobs/{id}/requeue"), Some(&how)).await
            }
            Action::Cancel => self.post::<(), _>(&format!("jobs/{id}/cancel"), None).await,
            Action::Delete => self.send("DELETE", &format!("jobs/{id}"), None).await,
        }
    }

    pub(super) async fn enqueue(self, request: &JobRequest) -> Answer<Enqueued> {
        self.post("jobs", Some(request)).await
    }

    pub(super) async fn set_paused(self, queue: &QueueName, paused: bool) -> Answer<QueueView> {
        let what = if paused { "pause" } else { "resume" };
        self.post::<(), _>(&format!("queues/{queue}/{what}"), None).await
    }

    /// Has new jobs go to a version; with `force` whatever breaks.
    pub(super) async fn activate(self, module: &ModuleName, digest: Digest, force: bool) -> Answer<ModuleView> {
        self.post(&format!("modules/{module}/activate"), Some(&ActivateRequest { digest, force })).await
    }

    /// What the host that is asked grants to a module.
    pub(super) async fn grants(self, module: &ModuleName) -> Answer<ModuleGrants> {
        self.get(&format!("modules/{module}/grants")).await
    }

    /// Has a share of the new jobs go to a version; with `force` whatever breaks.
    pub(super) async fn begin_canary(
        self,
        module: &ModuleName,
        digest: Digest,
        percent: u8,
        force: bool,
    ) -> Answer<ModuleView> {
        let request = CanaryRequest { digest, percent, force };
        self.send("PUT", &format!("modules/{module}/canary"), Some(body(&request)?)).await
    }

    /// Has all new jobs go to the canary; with `force` whatever breaks.
    pub(super) async fn promote_canary(self, module: &ModuleName, force: bool) -> Answer<ModuleView> {
        self.post(&format!("modules/{module}/promote"), Some(&PromoteRequest { force })).await
    }

    /// Has all new jobs go to the active version again.
    pub(super) async fn drop_canary(self, module: &ModuleName) -> Answer<CanaryDropped> {
        self.send("DELETE", &format!("modules/{module}/canary"), None).await
    }

    /// Takes a version out of use for good.
    pub(super) async fn retire(self, module: &ModuleName, digest: Digest) -> Answer<Retired> {
        self.post(&format!("modules/{module}/retire"), Some(&RetireRequest { digest, keep_pins: false })).await
    }

    /// Who the host takes the viewer for.
    pub(super) async fn session(self) -> Answer<SessionView> {
        self.get("session").await
    }

    /// Signs in. A refusal comes with the seconds after which the host wants to be asked again, where it says so.
    pub(super) async fn sign_in(self, token: String) -> Result<SessionView, (Trouble, Option<u32>)> {
        let body = body(&SessionRequest { token }).map_err(|trouble| (trouble, None))?;
        let reply = self.exchange("POST", url("session"), Some(body)).await.map_err(|trouble| (trouble, None))?;
        self.read(reply.status, &reply.text).map_err(|trouble| (trouble, reply.retry_after))
    }

    pub(super) async fn sign_out(self) -> Answer<()> {
        self.command("DELETE", "session").await
    }

    pub(super) async fn recurring(self, cursor: Option<&str>, limit: usize) -> Answer<Page<RecurringJob>> {
        self.get(&format!("recurring?{}", paging(cursor, limit))).await
    }

    pub(super) async fn recurring_job(self, name: &RecurringName) -> Answer<RecurringJob> {
        self.get(&format!("recurring/{name}")).await
    }

    pub(super) async fn put_recurring(self, name: &RecurringName, request: &RecurringRequest) -> Answer<RecurringJob> {
        self.send("PUT", &format!("recurring/{name}"), Some(body(request)?)).await
    }

    pub(super) async fn set_recurring_paused(self, name: &RecurringName, paused: bool) -> Answer<RecurringJob> {
        let what = if paused { "pause" } else { "resume" };
        self.send("POST", &format!("recurring/{name}/{what}"), None).await
    }

    pub(super) async fn trigger_recurring(self, name: &RecurringName) -> Answer<Enqueued> {
        self.send("POST", &format!("recurring/{name}/trigger"), None).await
    }

    pub(super) async fn remove_recurring(self, name: &RecurringName) -> Answer<()> {
        self.command("DELETE", &format!("recurring/{name}")).await
    }

    pub(super) async fn bulk_actions(self) -> Answer<Vec<BulkAction>> {
        self.get("bulk-actions").await
    }

    pub(super) async fn bulk_action(self, id: BulkActionId) -> Answer<BulkAction> {
        self.get(&format!("bulk-actions/{id}")).await
    }

    pub(super) async fn begin_bulk_action(self, request: &BulkActionRequest) -> Answer<BulkAction> {
        self.send("POST", "jobs/bulk-actions", Some(body(request)?)).await
    }

    pub(super) async fn stop_bulk_action(self, id: BulkActionId) -> Answer<BulkAction> {
        self.send("DELETE", &format!("bulk-actions/{id}"), None).await
    }

    /// What a job continues, and what continues it: at most so many of those.
    pub(super) async fn relations(self, id: JobId, limit: usize) -> Answer<Relations> {
        self.get(&format!("jobs/{id}/relations?limit={limit}")).await
    }

    pub(super) async fn limits(self) -> Answer<Vec<LimitView>> {
        self.get("limits").await
    }

    pub(super) async fn put_limit(self, target: &LimitTarget, rule: &LimitRule) -> Answer<LimitView> {
        self.send("PUT", &limit_path(target), Some(body(rule)?)).await
    }

    pub(super) async fn remove_limit(self, target: &LimitTarget) -> Answer<()> {
        self.command("DELETE", &limit_path(target)).await
    }

    pub(super) async fn audit(self, cursor: Option<&str>, limit: usize) -> Answer<Page<AuditEntry>> {
        self.get(&format!("audit?{}", paging(cursor, limit))).await
    }

    async fn get<T: DeserializeOwned>(self, path: &str) -> Answer<T> {
        self.send("GET", path, None).await
    }

    async fn post<B: Serialize, T: DeserializeOwned>(self, path: &str, request: Option<&B>) -> Answer<T> {
        self.send("POST", path, request.map(body).transpose()?).await
    }

    async fn send<T: DeserializeOwned>(self, method: &str, path: &str, body: Option<String>) -> Answer<T> {
        let reply = self.exchange(method, url(path), body).await?;
        self.read(reply.status, &reply.text)
    }

    /// What is answered without a body.
    async fn command(self, method: &str, path: &str) -> Answer<()> {
        let reply = self.exchange(method, url(path), None).await?;
        self.check(reply.status, &reply.text)
    }

    /// Boxed, so that it is not compiled once for each type of answer.
    fn exchange(self, method: &str, url: String, body: Option<String>) -> Exchange<'_> {
        Box::pin(async move {
            request(method, &url, body).await.map_err(|_| {
                self.noticed(false);
                Trouble::Unreachable
            })
        })
    }

    /// Reads what the host said, or a gateway that does not find it.
    pub(super) fn read<T: DeserializeOwned>(self, status: u16, text: &str) -> Answer<T> {
        self.check(status, text)?;
        serde_json::from_str(text).map_err(|error| Trouble::Unreadable(error.to_string()))
    }

    fn check(self, status: u16, text: &str) -> Answer<()> {
        if (200..300).contains(&status) {
            self.noticed(true);
            return Ok(());
        }
        let trouble = Trouble::from_answer(status, text);
        self.noticed(trouble != Trouble::Unreachable);
        match &trouble {
            Trouble::Problem(problem) if problem.code == ProblemCode::Unauthenticated => {
                self.shared.hear(access::Event::Refused { now: browser::now() });
            }
            // The token's role is another than it was.
            Trouble::Problem(problem) if problem.code == ProblemCode::RoleTooLow => stream::ask_who(self.shared),
            _ => {}
        }
        Err(trouble)
    }

    /// Tells the connection whether anybody answered.
    pub(super) fn noticed(self, answered: bool) {
        self.shared.notice(if answered { Event::Answered } else { Event::Missed });
    }
}

/// Where something of the API is, whatever the path that the dashboard is served under.
pub(super) fn url(path: &str) -> String {
    format!("{}api/v1/{path}", browser::base())
}

/// Which part of a list.
fn paging(cursor: Option<&str>, limit: usize) -> String {
    let limit = limit.to_string();
    let pairs = [Some(("limit", limit.as_str())), cursor.map(|cursor| ("cursor", cursor))];
    query::write(pairs.into_iter().flatten())
}

/// A target is one part of the path, whatever stands in it.
fn limit_path(target: &LimitTarget) -> String {
    format!("limits/{}", query::encode(&target.to_string()))
}

fn with(query: &str, key: &str, value: &str) -> String {
    let mut pairs = query::read(query);
    pairs.retain(|(name, _)| name != key);
    pairs.push((key.to_owned(), value.to_owned()));
    query::write(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn body(request: &impl Serialize) -> Answer<String> {
    serde_json::to_string(request).map_err(|error| Trouble::Unreadable(error.to_string()))
}

async fn request(method: &str, url: &str, body: Option<String>) -> Result<Reply, JsValue> {
    let init = RequestInit::new();
    init.set_method(method);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(PATIENCE_MS)));
    let headers = Headers::new()?;
    headers.set("accept", "application/json")?;
    if let Some(body) = body {
        headers.set("content-type", "application/json")?;
        init.set_body(&JsValue::from_str(&body));
    }
    init.set_headers(&headers);
    let response: Response = JsFuture::from(window().fetch_with_str_and_init(url, &init)).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?;
    let retry_after = response.headers().get("retry-after")?.and_then(|seconds| seconds.parse().ok());
    Ok(Reply { status: response.status(), text: text.as_string().unwrap_or_default(), retry_after })
}
