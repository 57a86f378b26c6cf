//! Jobs, from outside.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use windlass_api::{Cause, Enqueued, JobDetail, JobId, JobSummary, LogLine, Page, State, Timestamp};

use crate::Host;

/// How long all jobs of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job(pub JobId);

impl Host<'_> {
    /// Enqueues a job; `options` are the command line's.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn enqueue(&self, handler: &str, payload: &Value, options: &[&str]) -> Result<Job> {
        let payload = payload.to_string();
        let enqueued: Enqueued = self.json(&[&["enqueue", handler, &payload], options].concat())?;
        Ok(Job(enqueued.id))
    }

    /// Enqueues many jobs at once, each given as the API takes it.
    ///
    /// # Errors
    /// Where one is refused.
    pub fn enqueue_all(&self, requests: impl IntoIterator<Item = Value>) -> Result<Vec<Job>> {
        let lines: String = requests.into_iter().map(|request| format!("{request}\n")).collect();
        let file = self.site().write("jobs.jsonl", lines)?;
        let all: Vec<Enqueued> = self.json(&["enqueue", "--jsonl", &file.to_string_lossy()])?;
        Ok(all.into_iter().map(|enqueued| Job(enqueued.id)).collect())
    }

    /// All that is known of a job.
    ///
    /// # Errors
    /// Where there is no such job.
    pub fn show(&self, job: Job) -> Result<JobDetail> {
        self.json(&["jobs", "show", &job.0.to_string()])
    }

    /// What a job's runs logged.
    ///
    /// # Errors
    /// Where there is no such job.
    pub fn logs(&self, job: Job) -> Result<Vec<LogLine>> {
        let page: Page<LogLine> = self.json(&["jobs", "logs", &job.0.to_string()])?;
        Ok(page.items)
    }

    /// Waits until a job has ended.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn wait(&self, job: Job) -> Result<JobDetail> {
        self.wait_until(job, |detail| detail.job.state.is_final())
    }

    /// Waits until a job is as asked for.
    ///
    /// # Errors
    /// Where it never is.
    pub fn wait_until(&self, job: Job, asked: impl Fn(&JobDetail) -> bool) -> Result<JobDetail> {
        let started = Instant::now();
        loop {
            let detail = self.show(job)?;
            if asked(&detail) {
                return Ok(detail);
            }
            ensure!(started.elapsed() < PATIENCE, "job {} stays {:?}; {}", job.0, detail, self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a job has succeeded and reads its result.
    ///
    /// # Errors
    /// Where it ends otherwise.
    pub fn result<T: for<'de> Deserialize<'de>>(&self, job: Job) -> Result<T> {
        let detail = self.wait(job)?;
        ensure!(detail.job.state == State::Succeeded, "job {} ended as {:?}", job.0, detail);
        let result = detail.result.with_context(|| format!("job {} has no result", job.0))?;
        Ok(result.read()?)
    }

    /// Waits until a job has failed, and checks its cause.
    ///
    /// # Errors
    /// Where it ends otherwise.
    pub fn fails_by(&self, job: Job, cause: Cause) -> Result<JobDetail> {
        let detail = self.wait(job)?;
        match &detail.job.failure {
            Some(failure) if detail.job.state == State::Failed && failure.cause == cause => Ok(detail),
            _ => bail!("job {} should have failed by {cause}: {detail:#?}", job.0),
        }
    }

    /// All jobs of the host, newest first.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub fn all_jobs(&self) -> Result<Vec<JobSummary>> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let mut arguments = vec!["jobs", "list", "--limit", "500"];
            arguments.extend(cursor.iter().flat_map(|cursor: &String| ["--cursor", cursor]));
            let page: Page<JobSummary> = self.json(&arguments)?;
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Waits until all jobs of the host have ended.
    ///
    /// # Errors
    /// Where one does not.
    pub fn all_ended(&self) -> Result<Vec<JobSummary>> {
        let started = Instant::now();
        loop {
            let all = self.all_jobs()?;
            let open = all.iter().filter(|job| !job.state.is_final()).count();
            if open == 0 {
                return Ok(all);
            }
            ensure!(started.elapsed() < PATIENCE, "{open} of {} jobs have not ended; {}", all.len(), self.said());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether there was an instant at which all of these jobs ran.
#[must_use]
pub fn overlap(jobs: &[JobSummary]) -> bool {
    let started = jobs.iter().map(|job| job.started_at.unwrap_or(Timestamp::MAX)).max();
    let finished = jobs.iter().map(|job| job.finished_at.unwrap_or_default()).min();
    started < finished
}
