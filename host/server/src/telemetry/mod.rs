//! OpenTelemetry: a span for each run, and the numbers of `/metrics`, sent by OTLP as JSON over HTTP.
//!
//! ```text
//!   executor ──▶ Tracer ──(bounded; what does not fit is dropped)──▶ exporter ──▶ /v1/traces
//!                        Scrape::text, at an interval ─▶ open_metrics ──────────▶ /v1/metrics
//! ```
//!
//! Jobs never wait for a receiver: one that is away costs spans, which are counted, and nothing else.

mod exporter;
mod open_metrics;
mod span;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use windlass_api::Usage;
use windlass_jobs::{Claimed, Clock as _, Next, SystemClock};

pub(crate) use self::span::RunSpan;
use self::{exporter::Exporter, span::Finished};
use crate::{
    config::TelemetrySettings,
    metrics::{Metrics, Scrape},
};

/// How many spans wait to be sent; as in OpenTelemetry's own libraries.
const MAX_WAITING: usize = 2_048;

/// What this program calls what it sends.
const SCOPE: &str = "windlass";

/// Makes spans of runs. Where nothing is sent, it makes none.
#[derive(Clone, Default)]
pub(crate) struct Tracer(Option<Arc<Spans>>);

struct Spans {
    sender: mpsc::Sender<Finished>,
    metrics: Arc<Metrics>,
}

impl Tracer {
    /// A run begins.
    pub(crate) fn begin(&self, job: &Claimed) -> RunSpan {
        if self.0.is_some() { RunSpan::begin(&job.headers) } else { RunSpan::none() }
    }

    /// A run has ended.
    pub(crate) fn end(&self, span: RunSpan, job: &Claimed, next: &Next, usage: &Usage) {
        let Some(spans) = &self.0 else { return };
        if let Some(finished) = span.end(job, next, usage)
            && spans.sender.try_send(finished).is_err()
        {
            spans.metrics.spans("dropped", 1);
        }
    }
}

/// What sends, for as long as it is there.
pub(crate) struct Telemetry {
    tracer: Tracer,
    sending: Option<Sending>,
}

struct Sending {
    exporter: Arc<Exporter>,
    metrics_interval: Duration,
    /// Since when this host counts, in nanoseconds of Unix time.
    started_ns: u64,
    closing: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Telemetry {
    /// Starts on the present runtime, where there is somebody to send to.
    ///
    /// # Errors
    /// Where the settings or variables cannot be used; the text names what is wrong.
    pub(crate) fn start(settings: &TelemetrySettings, metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        let Some(destination) = settings.destination().map_err(anyhow::Error::msg)? else {
            return Ok(Self { tracer: Tracer::default(), sending: None });
        };
        let resource = resource(&destination.service);
        let exporter = Exporter::new(&destination, resource).context("failed to make ready for sending telemetry")?;
        let exporter = Arc::new(exporter);
        let (sender, ended) = mpsc::channel(MAX_WAITING);
        let closing = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let sending = exporter::send_spans(Arc::clone(&exporter), Arc::clone(metrics), ended, closing.subscribe());
        tasks.spawn(sending);
        let tracer = Tracer(Some(Arc::new(Spans { sender, metrics: Arc::clone(metrics) })));
        let receiver = exporter.receiver().to_owned();
        tracing::info!(receiver, "traces and metrics are sent");
        let sending = Sending {
            exporter,
            metrics_interval: settings.metrics_interval.0,
            started_ns: now_ns(),
            closing,
            tasks: Mutex::new(tasks),
        };
        Ok(Self { tracer, sending: Some(sending) })
    }

    /// Makes spans.
    pub(crate) fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Sends these numbers, again and again.
    pub(crate) fn send_metrics(&self, scrape: &Arc<Scrape>) {
        let Some(sending) = &self.sending else { return };
        let numbers = exporter::send_metrics(
            Arc::clone(&sending.exporter),
            Arc::clone(scrape),
            sending.metrics_interval,
            sending.started_ns,
            sending.closing.subscribe(),
        );
        sending.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(numbers);
    }

    /// Sends what is there, and ends.
    pub(crate) async fn close(&self, within: Duration) {
        let Some(sending) = &self.sending else { return };
        sending.closing.send_replace(true);
        let mut tasks = std::mem::take(&mut *sending.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        // What has not ended by then ends with the set.
        drop(tokio::time::timeout(within, all_ended).await);
        tasks.shutdown().await;
    }
}

/// What all that is sent is about: this host.
fn resource(service: &str) -> Value {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    json!({ "attributes": [
        text("service.name", service),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", &uuid::Uuid::new_v4().to_string()),
        text("host.name", &host),
    ] })
}

/// An attribute that is a text.
fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// An attribute that is a whole number, which OTLP writes as text.
fn whole(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// Now, in nanoseconds of Unix time, as exact as the host's clock is read: to the millisecond.
fn now_ns() -> u64 {
    u64::try_from(SystemClock.now().0).unwrap_or_default().saturating_mul(1_000_000)
}
