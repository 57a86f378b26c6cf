//! A host, spoken to over HTTP: what the commands of the command line are made of. It repeats nothing by itself.

use std::{sync::Once, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use windlass_api::{
    ActivateRequest, AuditEntry, BulkAction, BulkActionId, BulkActionRequest, CommandReply, Counts, Deployed, Digest,
    Enqueued, FilteredCount, JobDetail, JobFilter, JobId, JobRequest, JobSummary, LimitRule, LimitTarget, LimitView,
    LogLine, ModuleName, ModuleView, Page, Problem, QueueName, QueueView, RecurringJob, RecurringName,
    RecurringRequest, Relations, RequeueRequest, ServerView,
};

/// A host that does not even take the connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than the host holds a request back for any reason: a long poll takes 60 s at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// A deploy is answered when the component is compiled, which may wait for other compilations.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(600);

/// The longest long poll that a host grants.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// The URL cannot be used at all.
    #[error("failed to use `{url}` as the URL of a host: {reason}; expected one such as http://127.0.0.1:7878")]
    Url { url: String, reason: String },
    /// Nobody answers there.
    #[error(
        "failed to reach a host at {url}: {reason}; start one with `windlass serve`, or name another with --url or \
         WINDLASS_URL"
    )]
    Unreachable { url: Url, reason: String },
    /// The host refused, and said why.
    #[error("{0}")]
    Refused(Problem),
    /// Something answers that is no host, or one of another version.
    #[error("failed to understand the answer of {url}: {reason}; is it a Windlass host of this version?")]
    NotUnderstood { url: Url, reason: String },
}

type Answer<T> = Result<T, RemoteError>;

/// A host at a URL.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    http: Client,
    base: Url,
    token: Option<Token>,
}

/// Never shown.
#[derive(Clone)]
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Remote {
    /// Prepares to speak to a host; sends nothing yet.
    pub(crate) fn new(url: &str) -> Answer<Self> {
        let wrong = |reason: String| RemoteError::Url { url: url.to_owned(), reason };
        let mut base: Url = url.parse().map_err(|error| wrong(format!("{error}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong(format!("its scheme is `{}`", base.scheme())));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        install_cryptography();
        let mut builder = Client::builder()
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if base.scheme() == "http" {
            // Without TLS no root certificates are needed: they would be slow to load, and small containers have none.
            builder = builder.tls_certs_only([]);
        }
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy for the world outside cannot reach what listens on this machine.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| wrong(innermost(&error)))?;
        Ok(Self { http, base, token: None })
    }

    /// Sends this token with every request. An empty one is none: so a variable is unset in a container.
    pub(crate) fn with_token(self, token: Option<&str>) -> Self {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        Self { token: token.map(|token| Token(token.to_owned())), ..self }
    }

    pub(crate) async fn enqueue(&self, job: &JobRequest) -> Answer<Enqueued> {
        self.ask(self.request(Method::POST, &["jobs"])?.json(job)).await
    }

    /// All or none. `jobs` is a JSON array of job requests.
    pub(crate) async fn enqueue_bulk(&self, jobs: String) -> Answer<Vec<Enqueued>> {
        let request = self.request(Method::POST, &["jobs", "bulk"])?;
        self.ask(request.header("content-type", "application/json").body(jobs)).await
    }

    pub(crate) async fn jobs(&self, filter: &JobFilter, cursor: Option<&str>, limit: u32) -> Answer<Page<JobSummary>> {
        let request = self.request(Method::GET, &["jobs"])?.query(filter).query(&[("limit", limit)]);
        self.ask(request.query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn count(&self, filter: &JobFilter) -> Answer<FilteredCount> {
        self.ask(self.request(Method::GET, &["jobs", "count"])?.query(filter)).await
    }

    pub(crate) async fn job(&self, id: JobId) -> Answer<JobDetail> {
        self.ask(self.request(Method::GET, &["jobs", &id.to_string()])?).await
    }

    pub(crate) async fn logs(&self, id: JobId, cursor: Option<&str>, limit: u32) -> Answer<Page<LogLine>> {
        let request = self.request(Method::GET, &["jobs", &id.to_string(), "logs"])?;
        self.ask(request.query(&[("limit", limit)]).query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn relations(&self, id: JobId, cursor: Option<&str>, limit: u32) -> Answer<Relations> {
        let request = self.request(Method::GET, &["jobs", &id.to_string(), "relations"])?;
        self.ask(request.query(&[("limit", limit)]).query(&[("cursor", cursor)])).await
    }

    /// The job when it has ended, or as it is after this long, at most a minute.
    pub(crate) async fn wait(&self, id: JobId, longest: Duration) -> Answer<JobDetail> {
        let request = self.request(Method::GET, &["jobs", &id.to_string(), "wait"])?;
        let timeout_ms = longest.min(LONGEST_WAIT).as_millis();
        self.ask(request.query(&[("timeout_ms", timeout_ms.to_string())])).await
    }

    pub(crate) async fn cancel(&self, id: JobId) -> Answer<CommandReply> {
        self.ask(self.request(Method::POST, &["jobs", &id.to_string(), "cancel"])?).await
    }

    pub(crate) async fn requeue(&self, id: JobId, how: RequeueRequest) -> Answer<CommandReply> {
        self.ask(self.request(Method::POST, &["jobs", &id.to_string(), "requeue"])?.json(&how)).await
    }

    pub(crate) async fn delete(&self, id: JobId) -> Answer<CommandReply> {
        self.ask(self.request(Method::DELETE, &["jobs", &id.to_string()])?).await
    }

    pub(crate) async fn start_bulk_action(&self, request: &BulkActionRequest) -> Answer<BulkAction> {
        self.ask(self.request(Method::POST, &["jobs", "bulk-actions"])?.json(request)).await
    }

    pub(crate) async fn bulk_action(&self, id: BulkActionId) -> Answer<BulkAction> {
        self.ask(self.request(Method::GET, &["bulk-actions", &id.to_string()])?).await
    }

    pub(crate) async fn stop_bulk_action(&self, id: BulkActionId) -> Answer<BulkAction> {
        self.ask(self.request(Method::DELETE, &["bulk-actions", &id.to_string()])?).await
    }

    pub(crate) async fn counts(&self) -> Answer<Counts> {
        self.ask(self.request(Method::GET, &["counts"])?).await
    }

    pub(crate) async fn modules(&self) -> Answer<Vec<ModuleView>> {
        self.ask(self.request(Method::GET, &["modules"])?).await
    }

    pub(crate) async fn module(&self, name: &ModuleName) -> Answer<ModuleView> {
        self.ask(self.request(Method::GET, &["modules", name.as_str()])?).await
    }

    pub(crate) async fn deploy(
        &self,
        bytes: Vec<u8>,
        name: Option<&ModuleName>,
        signature: Option<&str>,
        activate: bool,
        force: bool,
    ) -> Answer<Deployed> {
        let request = self.request(Method::POST, &["modules"])?.query(&[("name", name)]);
        let request = request.query(&[("activate", activate)]).query(&[("force", force.then_some(true))]);
        let mut request = request.header("content-type", "application/wasm");
        if let Some(signature) = signature {
            request = request.header("windlass-signature", BASE64_STANDARD.encode(signature));
        }
        self.ask(request.timeout(DEPLOY_TIMEOUT).body(bytes)).await
    }

    pub(crate) async fn activate(&self, name: &ModuleName, digest: Digest, force: bool) -> Answer<ModuleView> {
        let request = self.request(Method::POST, &["modules", name.as_str(), "activate"])?;
        self.ask(request.json(&ActivateRequest { digest, force })).await
    }

    pub(crate) async fn queues(&self) -> Answer<Vec<QueueView>> {
        self.ask(self.request(Method::GET, &["queues"])?).await
    }

    pub(crate) async fn set_paused(&self, queue: &QueueName, paused: bool) -> Answer<QueueView> {
        let verb = if paused { "pause" } else { "resume" };
        self.ask(self.request(Method::POST, &["queues", queue.as_str(), verb])?).await
    }

    pub(crate) async fn limits(&self) -> Answer<Vec<LimitView>> {
        self.ask(self.request(Method::GET, &["limits"])?).await
    }

    pub(crate) async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Answer<LimitView> {
        self.ask(self.request(Method::PUT, &["limits", &segment(&target.to_string())])?.json(&rule)).await
    }

    pub(crate) async fn remove_limit(&self, target: &LimitTarget) -> Answer<()> {
        self.tell(self.request(Method::DELETE, &["limits", &segment(&target.to_string())])?).await
    }

    pub(crate) async fn recurring_jobs(&self, cursor: Option<&str>, limit: u32) -> Answer<Page<RecurringJob>> {
        let request = self.request(Method::GET, &["recurring"])?.query(&[("limit", limit)]);
        self.ask(request.query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn recurring(&self, name: &RecurringName) -> Answer<RecurringJob> {
        self.ask(self.request(Method::GET, &["recurring", name.as_str()])?).await
    }

    pub(crate) async fn put_recurring(&self, name: &RecurringName, put: &RecurringRequest) -> Answer<RecurringJob> {
        self.ask(self.request(Method::PUT, &["recurring", name.as_str()])?.json(put)).await
    }

    pub(crate) async fn remove_recurring(&self, name: &RecurringName) -> Answer<()> {
        self.tell(self.request(Method::DELETE, &["recurring", name.as_str()])?).await
    }

    pub(crate) async fn set_recurring_paused(&self, name: &RecurringName, paused: bool) -> Answer<RecurringJob> {
        let verb = if paused { "pause" } else { "resume" };
        self.ask(self.request(Method::POST, &["recurring", name.as_str(), verb])?).await
    }

    pub(crate) async fn trigger_recurring(&self, name: &RecurringName) -> Answer<Enqueued> {
        self.ask(self.request(Method::POST, &["recurring", name.as_str(), "trigger"])?).await
    }

    pub(crate) async fn audit(&self, cursor: Option<&str>, limit: u32) -> Answer<Page<AuditEntry>> {
        let request = self.request(Method::GET, &["audit"])?.query(&[("limit", limit)]);
        self.ask(request.query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn servers(&self) -> Answer<Vec<ServerView>> {
        self.ask(self.request(Method::GET, &["servers"])?).await
    }

    /// Names may hold a `.` but none is `.` or `..`, so no segment changes the path's shape.
    fn request(&self, method: Method, path: &[&str]) -> Answer<RequestBuilder> {
        let url = self.base.join(&format!("api/v1/{}", path.join("/")));
        let url = url.map_err(|error| RemoteError::Url { url: self.base.to_string(), reason: error.to_string() })?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(Token(token)) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Asks for something that is answered without a body.
    async fn tell(&self, request: RequestBuilder) -> Answer<()> {
        let response = request.send().await.map_err(|error| self.not_reached(&error))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(self.refused(status, response).await) }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = request.send().await.map_err(|error| self.not_reached(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refused(status, response).await);
        }
        let body = response.bytes().await.map_err(|error| self.not_reached(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.not_understood(error.to_string()))
    }

    async fn refused(&self, status: StatusCode, response: Response) -> RemoteError {
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return self.not_reached(&error),
        };
        match serde_json::from_slice(&body) {
            Ok(problem) => RemoteError::Refused(problem),
            Err(_) => self.not_understood(format!("it answered {status} without saying why")),
        }
    }

    fn not_reached(&self, error: &reqwest::Error) -> RemoteError {
        RemoteError::Unreachable { url: self.base.clone(), reason: innermost(error) }
    }

    fn not_understood(&self, reason: String) -> RemoteError {
        RemoteError::NotUnderstood { url: self.base.clone(), reason }
    }
}

/// Free text as one segment of a path.
fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written += &format!("%{byte:02X}");
        }
    }
    written
}

/// reqwest is built without a cryptography of its own, and looks for the one that the process has installed.
fn install_cryptography() {
    static ONCE: Once = Once::new();
    // An error means that somebody installed one before, which is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// What went wrong in the end, without the layers around it that repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_an_example() {
        for url in ["localhost:7878", "ftp://host", "", "http://"] {
            let error = Remote::new(url).unwrap_err().to_string();
            assert!(error.contains("such as http://127.0.0.1:7878"), "{error}");
        }
    }

    #[test]
    fn a_url_with_a_path_keeps_it() {
        let remote = Remote::new("http://proxy.example/windlass").unwrap();
        let request = remote.request(Method::GET, &["jobs"]).unwrap().build().unwrap();
        assert_eq!(request.url().as_str(), "http://proxy.example/windlass/api/v1/jobs");
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_named_with_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Remote::new(&format!("http://{free}")).unwrap().counts().await.unwrap_err().to_string();
        assert!(error.contains(&format!("failed to reach a host at http://{free}/: ")), "{error}");
        assert!(error.contains("`windlass serve`"), "{error}");
    }
}
