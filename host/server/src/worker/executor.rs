//! One run of one job, from claim to settlement.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use windlass_api::{Cause, Failure, HandlerSpec, Mode, Usage};
use windlass_jobs::{Claimed, Clock as _, Settlement, SystemClock, Verdict, decide};
use windlass_wasm::{Component, RunRequest, contract};

use super::{
    Parts,
    recorder::{Ended, Recorder},
    run_host::JobHost,
    running::{Entry, Running},
    slots::Slots,
    verdict,
};
use crate::{http::trace, modules::Resolved, telemetry::RunSpan, webhooks::Subject};

/// Runs jobs.
pub(super) struct Executor {
    parts: Parts,
    running: Arc<Running>,
    recorder: Recorder,
}

impl Executor {
    pub(super) fn new(parts: Parts, running: Arc<Running>, recorder: Recorder) -> Self {
        Self { parts, running, recorder }
    }

    /// Starts a claimed job where there is room for it.
    pub(super) fn start(self: &Arc<Self>, slots: &Slots, job: Claimed) {
        let Some(entry) = self.running.add(job.fence) else {
            tracing::warn!(job = %job.fence.job, run = job.fence.run, "the storage gave a run that goes on here already");
            return;
        };
        // Made here and not within the run: whatever becomes of that, the job is not left in the air.
        let unsettled = Unsettled {
            recorder: self.recorder.clone(),
            settlement: Some(not_started(&job)),
            subject: self.parts.webhooks.subject(&job),
        };
        if job.mode == Mode::Sync && !slots.threads.is_one_free() && !may_wait(&job) {
            slots.threads.claim_none_ahead();
            return;
        }
        let executor = self.clone();
        slots.run(job.mode, async move { executor.execute(job, entry, unsettled).await });
    }

    async fn execute(&self, job: Claimed, entry: Arc<Entry>, mut unsettled: Unsettled) {
        unsettled.settlement = Some(host_failed(&job));
        self.parts.metrics.run_begins(&job, SystemClock.now());
        let span = self.parts.tracer.begin(&job);
        // Loading may take a while where the component has to be compiled first; a stop does not wait for it.
        let resolved = tokio::select! {
            resolved = self.resolve(&job) => resolved,
            reason = entry.stop.stopped() => Err(verdict::of_stop(reason)),
        };
        let (verdict, usage) = match resolved {
            Ok((component, spec)) => self.run(&component, &spec, &job, &entry, &span).await,
            Err(verdict) => (verdict, Usage::default()),
        };
        let follow_ups = match verdict {
            Verdict::Ok(_) => std::mem::take(&mut entry.written().follow_ups),
            _ => Vec::new(),
        };
        let next = decide(verdict, &job, fastrand::f64());
        self.parts.metrics.run_ended(&job, &next, &usage);
        self.parts.tracer.end(span, &job, &next, &usage);
        unsettled.settlement = Some(Settlement { fence: job.fence, next, usage, follow_ups });
    }

    /// Finds the component and the handler that the job is for.
    async fn resolve(&self, job: &Claimed) -> Result<(Component, HandlerSpec), Verdict> {
        let Some(digest) = job.version else { return Err(Verdict::HandlerMissing) };
        let Resolved { component, version } = match self.parts.modules.resolve(&job.module, digest).await {
            Ok(Some(resolved)) => resolved,
            Ok(None) => return Err(Verdict::HandlerMissing),
            Err(error) => {
                tracing::error!(job = %job.fence.job, module = %job.module, version = %digest.short(), %error, "failed to load a component");
                let message = format!("failed to load version {} of module `{}`: {error}", digest.short(), job.module);
                let failure = Failure { cause: Cause::Unloadable, code: None, message, details: None, backtrace: None };
                return Err(Verdict::Retryable { failure, delay_ms: None });
            }
        };
        match version.handlers.iter().find(|spec| spec.name == job.handler) {
            None => Err(Verdict::HandlerMissing),
            Some(spec) if spec.mode != job.mode => Err(Verdict::OtherMode(spec.mode)),
            Some(spec) => Ok((component, spec.clone())),
        }
    }

    async fn run(
        &self,
        component: &Component,
        spec: &HandlerSpec,
        job: &Claimed,
        entry: &Arc<Entry>,
        span: &RunSpan,
    ) -> (Verdict, Usage) {
        let sandbox = self.parts.sandboxes.of(&job.module);
        let limits = sandbox.limits_for(spec, job.timeout_ms);
        let _ = entry.cancel_grace.set(sandbox.cancel_grace(spec));
        // What the run asks of others, and the jobs that it enqueues, belong to its span, where it has one.
        let trace = span.headers().unwrap_or_else(|| trace::of(&job.headers));
        let told = to_contract(job, limits.timeout, &trace);
        let host =
            Arc::new(JobHost::new(self.parts.clone(), job.module.clone(), job.parents.clone(), entry.clone(), trace));
        let request = RunRequest {
            mode: match job.mode {
                Mode::Sync => windlass_wasm::Mode::Sync,
                Mode::Async => windlass_wasm::Mode::Async,
            },
            job: told,
            limits,
            grants: sandbox.grants.clone(),
            host,
            stop: entry.stop.clone(),
        };
        let report = component.run(request).await;
        let verdict = verdict::of(report.outcome);
        tracing::debug!(job = %job.fence.job, run = job.fence.run, handler = %spec.name, fuel = report.usage.fuel, wall_us = report.usage.wall_us, ?verdict, "run ended");
        (verdict, verdict::usage(&report.usage))
    }
}

fn to_contract(job: &Claimed, timeout: Option<Duration>, trace: &BTreeMap<String, String>) -> contract::Job {
    let now = SystemClock.now();
    let in_ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let unsigned = |instant: windlass_api::Timestamp| u64::try_from(instant.0).unwrap_or(0);
    contract::Job {
        id: job.fence.job.to_string(),
        handler: job.handler.as_str().to_owned(),
        queue: job.queue.as_str().to_owned(),
        run: job.fence.run,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        payload: job.payload.as_str().to_owned(),
        enqueued_at: unsigned(job.created_at),
        deadline: timeout.map(|timeout| unsigned(now.plus_ms(in_ms(timeout)))),
        headers: trace::without(&job.headers).chain(trace).map(|(name, value)| (name.clone(), value.clone())).collect(),
        parents: job.parents.iter().map(ToString::to_string).collect(),
    }
}

/// Whether it may wait for a thread on this server. If the server is lost meanwhile it counts as run: a last attempt
/// would be gone, and after several such losses the job would pass for what kills servers.
fn may_wait(job: &Claimed) -> bool {
    job.fence.run == 1 && job.attempt < job.max_attempts
}

/// It found no thread in time.
fn not_started(job: &Claimed) -> Settlement {
    let next = decide(Verdict::Released { reason: "not-started" }, job, 0.5);
    Settlement { fence: job.fence, next, usage: Usage::default(), follow_ups: Vec::new() }
}

fn host_failed(job: &Claimed) -> Settlement {
    let failure = Failure {
        cause: Cause::Host,
        code: None,
        message: "the host failed while it ran this job; its log tells more".to_owned(),
        details: None,
        backtrace: None,
    };
    let next = decide(Verdict::Retryable { failure, delay_ms: None }, job, 0.5);
    Settlement { fence: job.fence, next, usage: Usage::default(), follow_ups: Vec::new() }
}

/// Hands in the settlement when it goes out of scope, whichever way that happens.
struct Unsettled {
    recorder: Recorder,
    settlement: Option<Settlement>,
    /// Whose run it is, where somebody is to be told what became of it.
    subject: Option<Box<Subject>>,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(settlement) = self.settlement.take() {
            self.recorder.settle(Ended { settlement, subject: self.subject.take() });
        }
    }
}
