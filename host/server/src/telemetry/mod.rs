//! Traces and numbers for a collector, by OTLP over HTTP.
//!
//! A trace goes from the request that enqueues a job through each of its runs into what these ask of others: what carries
//! it is the job's header `traceparent`. Sending happens on threads of its own, and what a collector does not take in time
//! is dropped: no job waits for it.

mod post;
mod traced;

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, MeterProvider as _},
    trace::{SpanKind, TracerProvider as _},
};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{SdkTracer, SdkTracerProvider},
};
use windlass_api::Usage;
use windlass_jobs::{Claimed, Next};

use self::post::Post;
pub(crate) use self::traced::Traced;
use crate::config::OtlpSettings;

/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What tells a collector.
pub(crate) struct Telemetry {
    traces: SdkTracerProvider,
    numbers: SdkMeterProvider,
    tracer: SdkTracer,
    runs: Counter<u64>,
    durations: Histogram<f64>,
    waits: Histogram<f64>,
    fuel: Counter<u64>,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Begins to tell. Whether somebody listens is not looked at: a collector may come later.
    ///
    /// # Errors
    /// Where a header cannot be read or sent.
    pub(crate) fn start(settings: &OtlpSettings) -> anyhow::Result<Self> {
        let post = Post::new(settings, TIMEOUT)?;
        let to = |path: &str| format!("{}{path}", settings.endpoint.as_str().trim_end_matches('/'));
        let spans = SpanExporter::builder().with_http().with_http_client(post.clone());
        let spans = spans.with_protocol(Protocol::HttpBinary).with_endpoint(to("/v1/traces")).with_timeout(TIMEOUT);
        let spans = spans.build().context("failed to set up traces for [otlp]")?;
        let numbers = MetricExporter::builder().with_http().with_http_client(post);
        let numbers =
            numbers.with_protocol(Protocol::HttpBinary).with_endpoint(to("/v1/metrics")).with_timeout(TIMEOUT);
        let numbers = numbers.build().context("failed to set up numbers for [otlp]")?;

        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("windlass").with_attribute(version).build();
        let traces = SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
        let reader = PeriodicReader::builder(numbers).with_interval(settings.metrics_interval.0).build();
        let numbers = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        let meter = numbers.meter("windlass");
        Ok(Self {
            tracer: traces.tracer("windlass"),
            runs: meter
                .u64_counter("windlass.runs")
                .with_description("Runs that ended, by what became of their job")
                .build(),
            durations: meter
                .f64_histogram("windlass.run.duration")
                .with_unit("s")
                .with_description("How long runs took")
                .build(),
            waits: meter
                .f64_histogram("windlass.job.wait")
                .with_unit("s")
                .with_description("From the making of a job to the start of its first run")
                .build(),
            fuel: meter.u64_counter("windlass.run.fuel").with_description("Fuel that runs used").build(),
            traces,
            numbers,
        })
    }

    /// A request that is being answered.
    pub(crate) fn request(&self, name: String, parent: Option<(&str, Option<&str>)>) -> Traced {
        Traced::begin(&self.tracer, name, SpanKind::Server, parent)
    }

    /// A run that begins.
    pub(crate) fn run(&self, job: &Claimed) -> Traced {
        let parent = job.headers.get("traceparent").map(String::as_str);
        let state = job.headers.get("tracestate").map(String::as_str);
        let name = format!("run {}/{}", job.module, job.handler);
        let mut run = Traced::begin(&self.tracer, name, SpanKind::Consumer, parent.map(|parent| (parent, state)));
        run.note("windlass.job", job.fence.job.to_string());
        run.note("windlass.module", job.module.to_string());
        run.note("windlass.handler", job.handler.to_string());
        run.note("windlass.queue", job.queue.to_string());
        run.note("windlass.run", i64::from(job.fence.run));
        run.note("windlass.attempt", i64::from(job.attempt));
        run
    }

    /// A job has waited so long for its first run.
    pub(crate) fn waited(&self, mode: &'static str, waited: Duration) {
        self.waits.record(waited.as_secs_f64(), &[KeyValue::new("mode", mode)]);
    }

    /// A run has ended; module and handler as their numbers are told, since those must not grow without bound.
    pub(crate) fn run_ended(&self, module: &str, handler: &str, outcome: &'static str, usage: &Usage) {
        let of = [KeyValue::new("module", module.to_owned()), KeyValue::new("handler", handler.to_owned())];
        let [of_module, of_handler] = of.clone();
        self.runs.add(1, &[of_module, of_handler, KeyValue::new("outcome", outcome)]);
        if usage.wall_us > 0 {
            self.durations.record(Duration::from_micros(usage.wall_us).as_secs_f64(), &of);
            self.fuel.add(usage.fuel, &of);
        }
    }

    /// Sends what is left. It may take as long as the collector may take to answer.
    pub(crate) fn close(&self) {
        for (what, closed) in [("traces", self.traces.shutdown()), ("numbers", self.numbers.shutdown())] {
            if let Err(error) = closed {
                tracing::warn!(%error, "failed to tell the collector of the last {what}");
            }
        }
    }
}

/// What became of a run, as traces and numbers tell it.
pub(crate) fn outcome(next: &Next) -> &'static str {
    match next {
        Next::Succeeded { .. } => "succeeded",
        Next::Retry { .. } => "retried",
        Next::Snooze { .. } => "snoozed",
        Next::Failed { .. } => "failed",
        Next::Released { .. } => "released",
        Next::HandlerMissing => "handler-missing",
        Next::Cancelled => "cancelled",
    }
}
