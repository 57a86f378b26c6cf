//! What can be asked of a host, a line or two for each. Beside what stands there, each fails where the host cannot be reached,
//! answers nothing that is understood, or does not let one in.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Method;
use uuid::Uuid;
use windlass_api::{
    ActivateRequest, After, AuditEntry, BulkAction, BulkActionId, BulkActionRequest, CanaryDropped, CanaryRequest,
    CommandReply, ContinueOn, Counts, Deployed, Digest, Enqueued, FilteredCount, JobDetail, JobFilter, JobId,
    JobRequest, JobSummary, LimitRule, LimitTarget, LimitView, LogLine, ModuleGrants, ModuleName, ModuleView, Page,
    PromoteRequest, QueueName, QueueView, RecurringJob, RecurringName, RecurringRequest, Relations, RequeueRequest,
    RetireRequest, Retired, ServerView, Timestamp,
};

use crate::client::{Answer, Client, segment};

/// A deploy is answered when the component is compiled, which may wait for other compilations.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(600);

/// For how long the host is asked to hold a wait back at once: less than the 60 s after which proxies give a request up.
const LONGEST_WAIT: Duration = Duration::from_secs(45);

/// How a component is deployed. The default is under its own name, unsigned, and active at once unless that would break what waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeployOptions<'a> {
    /// The module's name, instead of the one that the component gives itself.
    pub name: Option<&'a ModuleName>,
    /// The component's signature, as a file of minisign has it.
    pub signature: Option<&'a str>,
    /// Keeps the version without sending new jobs to it.
    pub keep_inactive: bool,
    /// Sends new jobs to it whatever that breaks: handlers that are gone while jobs wait for them, payloads that are not taken any more.
    pub force: bool,
}

impl Client {
    /// Enqueues a job. It is sent with an id, which is made here where it has none, so that a request whose answer was lost is sent
    /// again without making a second job: `existing` of the answer tells.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) where there is no such handler, the payload does not match its schema, or a field is not as it must be.
    pub async fn enqueue(&self, job: &JobRequest) -> Answer<Enqueued> {
        self.ask_again(self.request(Method::POST, &["jobs"])?.json(&*identified(job))).await
    }

    /// Enqueues jobs, all or none: at most 10,000, and 16 MiB. As [`Self::enqueue`], each is sent with an id.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) where one of them is not acceptable; the text names it by its place.
    pub async fn enqueue_many(&self, jobs: &[JobRequest]) -> Answer<Vec<Enqueued>> {
        let jobs: Vec<_> = jobs.iter().map(identified).collect();
        self.ask_again(self.request(Method::POST, &["jobs", "bulk"])?.json(&jobs)).await
    }

    /// Enqueues a job that is not started before an instant.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    pub async fn schedule(&self, at: Timestamp, job: &JobRequest) -> Answer<Enqueued> {
        self.enqueue(&JobRequest { run_at: Some(at), ..job.clone() }).await
    }

    /// Enqueues a job that is run when another one has succeeded. [`JobRequest::after`] says more.
    ///
    /// # Errors
    /// As [`Self::enqueue`], and where there is no such parent.
    pub async fn continue_with(&self, parent: JobId, job: &JobRequest) -> Answer<Enqueued> {
        let after = Some(After { jobs: vec![parent], on: ContinueOn::Success });
        self.enqueue(&JobRequest { after, ..job.clone() }).await
    }

    /// Enqueues the jobs of a JSON array of job requests, all or none. What was sent is not sent again, since ids may be missing.
    ///
    /// # Errors
    /// As [`Self::enqueue_many`].
    pub async fn enqueue_bulk(&self, jobs: String) -> Answer<Vec<Enqueued>> {
        let request = self.request(Method::POST, &["jobs", "bulk"])?;
        self.ask(request.header("content-type", "application/json").body(jobs)).await
    }

    /// Jobs that pass the filter, newest first: `limit` of them, 1 to 1,000; `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where the cursor comes from elsewhere.
    pub async fn list(&self, filter: &JobFilter, cursor: Option<&str>, limit: u32) -> Answer<Page<JobSummary>> {
        let request = self.request(Method::GET, &["jobs"])?.query(filter).query(&[("limit", limit)]);
        self.ask(request.query(&[("cursor", cursor)])).await
    }

    /// How many jobs pass the filter, counted to 100,000.
    ///
    /// # Errors
    /// Where the filter asks for what cannot be.
    pub async fn count(&self, filter: &JobFilter) -> Answer<FilteredCount> {
        self.ask(self.request(Method::GET, &["jobs", "count"])?.query(filter)).await
    }

    /// One job with all that is known of it.
    ///
    /// # Errors
    /// Where there is no such job, or no longer.
    pub async fn get(&self, id: JobId) -> Answer<JobDetail> {
        self.ask(self.request(Method::GET, &["jobs", &id.to_string()])?).await
    }

    /// What a job's runs logged, oldest first: `limit` lines, 1 to 1,000; `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn logs(&self, id: JobId, cursor: Option<&str>, limit: u32) -> Answer<Page<LogLine>> {
        let request = self.request(Method::GET, &["jobs", &id.to_string(), "logs"])?;
        self.ask(request.query(&[("limit", limit)]).query(&[("cursor", cursor)])).await
    }

    /// The jobs that a job continues, and those that continue it, `limit` (1 to 1,000) of these; `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn relations(&self, id: JobId, cursor: Option<&str>, limit: u32) -> Answer<Relations> {
        let request = self.request(Method::GET, &["jobs", &id.to_string(), "relations"])?;
        self.ask(request.query(&[("limit", limit)]).query(&[("cursor", cursor)])).await
    }

    /// Waits until a job has ended, no longer than `longest`, and gives it as it is then: its state tells whether it has ended.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn wait(&self, id: JobId, longest: Duration) -> Answer<JobDetail> {
        let begun_at = Instant::now();
        loop {
            let left = longest.saturating_sub(begun_at.elapsed());
            let request = self.request(Method::GET, &["jobs", &id.to_string(), "wait"])?;
            let timeout_ms = left.min(LONGEST_WAIT).as_millis();
            let detail: JobDetail = self.ask(request.query(&[("timeout_ms", timeout_ms.to_string())])).await?;
            if detail.job.state.is_final() || longest <= begun_at.elapsed() {
                return Ok(detail);
            }
        }
    }

    /// Cancels a job: one that runs is stopped first, one that waits is deleted at once.
    ///
    /// # Errors
    /// Where there is no such job, or it has ended.
    pub async fn cancel(&self, id: JobId) -> Answer<CommandReply> {
        self.ask(self.request(Method::POST, &["jobs", &id.to_string(), "cancel"])?).await
    }

    /// Enqueues a job anew, with its attempts counted from the start.
    ///
    /// # Errors
    /// Where there is no such job, or it is being run.
    pub async fn requeue(&self, id: JobId, how: RequeueRequest) -> Answer<CommandReply> {
        self.ask(self.request(Method::POST, &["jobs", &id.to_string(), "requeue"])?.json(&how)).await
    }

    /// Deletes a job: as [`Self::cancel`], but one that has ended is deleted too.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn delete(&self, id: JobId) -> Answer<CommandReply> {
        self.ask(self.request(Method::DELETE, &["jobs", &id.to_string()])?).await
    }

    /// Begins to command all jobs of a filter, in the background of the host.
    ///
    /// # Errors
    /// Where too many go on there already.
    pub async fn start_bulk_action(&self, request: &BulkActionRequest) -> Answer<BulkAction> {
        self.ask(self.request(Method::POST, &["jobs", "bulk-actions"])?.json(request)).await
    }

    /// How far a bulk action is.
    ///
    /// # Errors
    /// Where the host does not know it: it ended with the host that it was begun on.
    pub async fn bulk_action(&self, id: BulkActionId) -> Answer<BulkAction> {
        self.ask(self.request(Method::GET, &["bulk-actions", &id.to_string()])?).await
    }

    /// Stops a bulk action after the jobs that it is at.
    ///
    /// # Errors
    /// As [`Self::bulk_action`].
    pub async fn stop_bulk_action(&self, id: BulkActionId) -> Answer<BulkAction> {
        self.ask(self.request(Method::DELETE, &["bulk-actions", &id.to_string()])?).await
    }

    /// How many jobs there are, by state.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub async fn counts(&self) -> Answer<Counts> {
        self.ask(self.request(Method::GET, &["counts"])?).await
    }

    /// All modules with their versions.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub async fn modules(&self) -> Answer<Vec<ModuleView>> {
        self.ask(self.request(Method::GET, &["modules"])?).await
    }

    /// One module.
    ///
    /// # Errors
    /// Where there is no such module.
    pub async fn module(&self, name: &ModuleName) -> Answer<ModuleView> {
        self.ask(self.request(Method::GET, &["modules", name.as_str()])?).await
    }

    /// Deploys a component, under its own name where none is given, and sends new jobs to it.
    ///
    /// # Errors
    /// Where the component is refused, or its activation would break what waits; the text says why.
    pub async fn deploy(&self, bytes: Vec<u8>, options: DeployOptions<'_>) -> Answer<Deployed> {
        let DeployOptions { name, signature, keep_inactive, force } = options;
        let request = self.request(Method::POST, &["modules"])?.query(&[("name", name)]);
        let request = request.query(&[("activate", !keep_inactive)]).query(&[("force", force.then_some(true))]);
        let mut request = request.header("content-type", "application/wasm");
        if let Some(signature) = signature {
            request = request.header("windlass-signature", BASE64_STANDARD.encode(signature));
        }
        self.ask_again(request.timeout(DEPLOY_TIMEOUT).body(bytes)).await
    }

    /// Sends new jobs to a version; with `force` whatever that breaks.
    ///
    /// # Errors
    /// Where there is no such version, or what waits would break; the text says what.
    pub async fn activate(&self, name: &ModuleName, digest: Digest, force: bool) -> Answer<ModuleView> {
        let request = self.request(Method::POST, &["modules", name.as_str(), "activate"])?;
        self.ask_again(request.json(&ActivateRequest { digest, force })).await
    }

    /// What the host grants to a module, by its own settings, and what a run of it may take.
    ///
    /// # Errors
    /// Where the host runs no jobs.
    pub async fn module_grants(&self, name: &ModuleName) -> Answer<ModuleGrants> {
        self.ask(self.request(Method::GET, &["modules", name.as_str(), "grants"])?).await
    }

    /// Sends `percent` of a hundred new jobs, 1 to 100, to a version beside the active one; with `force` whatever that breaks. The share
    /// of any other version ends.
    ///
    /// # Errors
    /// Where there is no such version or no active one beside it, or what waits would break; the text says what.
    pub async fn begin_canary(
        &self,
        name: &ModuleName,
        digest: Digest,
        percent: u8,
        force: bool,
    ) -> Answer<ModuleView> {
        let request = self.request(Method::PUT, &["modules", name.as_str(), "canary"])?;
        self.ask(request.json(&CanaryRequest { digest, percent, force })).await
    }

    /// Sends all new jobs to the canary; with `force` whatever that breaks.
    ///
    /// # Errors
    /// Where there is no canary, or what waits would break; the text says what.
    pub async fn promote_canary(&self, name: &ModuleName, force: bool) -> Answer<ModuleView> {
        let request = self.request(Method::POST, &["modules", name.as_str(), "promote"])?;
        self.ask(request.json(&PromoteRequest { force })).await
    }

    /// Sends all new jobs to the active version again. The jobs that began on the canary and wait to go on do so on the active
    /// version too, unless `keep_pins` is set.
    ///
    /// # Errors
    /// Where there is no canary.
    pub async fn drop_canary(&self, name: &ModuleName, keep_pins: bool) -> Answer<CanaryDropped> {
        let request = self.request(Method::DELETE, &["modules", name.as_str(), "canary"])?;
        self.ask(request.query(&[("keep_pins", keep_pins)])).await
    }

    /// Retires a version: nothing starts on it any more, and its component is removed. The jobs that began on it and wait to go on do
    /// so on the active version, unless `keep_pins` is set.
    ///
    /// # Errors
    /// Where there is no such version, new jobs go to it, or jobs need it; the text says which.
    pub async fn retire(&self, name: &ModuleName, digest: Digest, keep_pins: bool) -> Answer<Retired> {
        let request = self.request(Method::POST, &["modules", name.as_str(), "retire"])?;
        self.ask_again(request.json(&RetireRequest { digest, keep_pins })).await
    }

    /// All queues.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub async fn queues(&self) -> Answer<Vec<QueueView>> {
        self.ask(self.request(Method::GET, &["queues"])?).await
    }

    /// Stops taking jobs from a queue, or takes them again.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub async fn set_paused(&self, queue: &QueueName, paused: bool) -> Answer<QueueView> {
        let verb = if paused { "pause" } else { "resume" };
        self.ask_again(self.request(Method::POST, &["queues", queue.as_str(), verb])?).await
    }

    /// All limits, with how many jobs run under each and wait for room.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub async fn limits(&self) -> Answer<Vec<LimitView>> {
        self.ask(self.request(Method::GET, &["limits"])?).await
    }

    /// Puts a limit, or another in its place.
    ///
    /// # Errors
    /// Where the limit could not be kept, or there are too many.
    pub async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Answer<LimitView> {
        self.ask(self.request(Method::PUT, &["limits", &segment(&target.to_string())])?.json(&rule)).await
    }

    /// Removes a limit.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn remove_limit(&self, target: &LimitTarget) -> Answer<()> {
        self.tell(self.request(Method::DELETE, &["limits", &segment(&target.to_string())])?).await
    }

    /// Recurring jobs by name: `limit` of them, 1 to 1,000; `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where the cursor comes from elsewhere.
    pub async fn recurring_jobs(&self, cursor: Option<&str>, limit: u32) -> Answer<Page<RecurringJob>> {
        let request = self.request(Method::GET, &["recurring"])?.query(&[("limit", limit)]);
        self.ask(request.query(&[("cursor", cursor)])).await
    }

    /// One recurring job.
    ///
    /// # Errors
    /// Where there is none of the name.
    pub async fn recurring(&self, name: &RecurringName) -> Answer<RecurringJob> {
        self.ask(self.request(Method::GET, &["recurring", name.as_str()])?).await
    }

    /// Puts a recurring job in place, or another in its place.
    ///
    /// # Errors
    /// Where its schedule or its job is not as it must be.
    pub async fn put_recurring(&self, name: &RecurringName, put: &RecurringRequest) -> Answer<RecurringJob> {
        self.ask(self.request(Method::PUT, &["recurring", name.as_str()])?.json(put)).await
    }

    /// Removes a recurring job.
    ///
    /// # Errors
    /// Where there is none of the name.
    pub async fn remove_recurring(&self, name: &RecurringName) -> Answer<()> {
        self.tell(self.request(Method::DELETE, &["recurring", name.as_str()])?).await
    }

    /// Passes a recurring job over, or goes on with its next instant.
    ///
    /// # Errors
    /// Where there is none of the name.
    pub async fn set_recurring_paused(&self, name: &RecurringName, paused: bool) -> Answer<RecurringJob> {
        let verb = if paused { "pause" } else { "resume" };
        self.ask_again(self.request(Method::POST, &["recurring", name.as_str(), verb])?).await
    }

    /// Enqueues a recurring job's job now.
    ///
    /// # Errors
    /// Where there is none of the name, or its job is not acceptable.
    pub async fn trigger_recurring(&self, name: &RecurringName) -> Answer<Enqueued> {
        self.ask(self.request(Method::POST, &["recurring", name.as_str(), "trigger"])?).await
    }

    /// Who did what through the API, newest first: `limit` entries, 1 to 1,000; `cursor` is a page's `next`.
    ///
    /// # Errors
    /// Where the cursor comes from elsewhere.
    pub async fn audit(&self, cursor: Option<&str>, limit: u32) -> Answer<Page<AuditEntry>> {
        let request = self.request(Method::GET, &["audit"])?.query(&[("limit", limit)]);
        self.ask(request.query(&[("cursor", cursor)])).await
    }

    /// All servers that the storage knows.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub async fn servers(&self) -> Answer<Vec<ServerView>> {
        self.ask(self.request(Method::GET, &["servers"])?).await
    }
}

/// A job with an id, made here where it has none.
fn identified(job: &JobRequest) -> Cow<'_, JobRequest> {
    match job.id {
        Some(_) => Cow::Borrowed(job),
        None => Cow::Owned(JobRequest { id: Some(JobId(Uuid::now_v7())), ..job.clone() }),
    }
}
