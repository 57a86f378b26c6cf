//! The one file that fetches. Every request goes through here, so that what a lost host, a gateway in between or a host
//! of another version answers is told apart in one place.

use std::{future::Future, pin::Pin};

use leptos::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, RequestInit, Response};
use windlass_api::{
    ActivateRequest, CommandReply, CounterRow, Counts, Digest, Enqueued, FilteredCount, JobDetail, JobId, JobRequest,
    JobSummary, LogLine, ModuleName, ModuleView, Page, QueueName, QueueView, RequeueRequest, ServerView, State,
    Timestamp,
};

use super::{browser, shared::Shared};
use crate::{
    filter::Shown,
    model::{connection::Event, job::Action, traffic::Reach},
    query,
    trouble::Trouble,
};

pub(super) type Answer<T> = Result<T, Trouble>;

/// A request that is under way: the status and the body of its answer.
type Exchange<'a> = Pin<Box<dyn Future<Output = Answer<(u16, String)>> + 'a>>;

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
        let limit = LOG_LINES.to_string();
        let pairs = [Some(("limit", limit.as_str())), cursor.map(|cursor| ("cursor", cursor))];
        self.get(&format!("jobs/{id}/logs?{}", query::write(pairs.into_iter().flatten()))).await
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

    pub(super) async fn activate(self, module: &ModuleName, digest: Digest) -> Answer<ModuleView> {
        self.post(&format!("modules/{module}/activate"), Some(&ActivateRequest { digest })).await
    }

    async fn get<T: DeserializeOwned>(self, path: &str) -> Answer<T> {
        self.send("GET", path, None).await
    }

    async fn post<B: Serialize, T: DeserializeOwned>(self, path: &str, body: Option<&B>) -> Answer<T> {
        let body =
            body.map(serde_json::to_string).transpose().map_err(|error| Trouble::Unreadable(error.to_string()))?;
        self.send("POST", path, body).await
    }

    async fn send<T: DeserializeOwned>(self, method: &str, path: &str, body: Option<String>) -> Answer<T> {
        let (status, text) = self.exchange(method, url(path), body).await?;
        self.read(status, &text)
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
        if !(200..300).contains(&status) {
            let trouble = Trouble::from_answer(status, text);
            self.noticed(trouble != Trouble::Unreachable);
            return Err(trouble);
        }
        self.noticed(true);
        serde_json::from_str(text).map_err(|error| Trouble::Unreadable(error.to_string()))
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

fn with(query: &str, key: &str, value: &str) -> String {
    let mut pairs = query::read(query);
    pairs.retain(|(name, _)| name != key);
    pairs.push((key.to_owned(), value.to_owned()));
    query::write(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

async fn request(method: &str, url: &str, body: Option<String>) -> Result<(u16, String), JsValue> {
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
    Ok((response.status(), text.as_string().unwrap_or_default()))
}
