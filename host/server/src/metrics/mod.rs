//! Numbers for Prometheus: what this host did, counted as it happens, and what its storage holds, read when it is asked.
//!
//! Names follow Prometheus: base units, `_total` for what only grows. All of it is this host's own, but for the gauges of
//! jobs, queues and servers, which every host of a storage gives alike.

mod labels;
mod scrape;
mod storage;

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};
use windlass_api::{HandlerName, Mode, ModuleName, Usage};
use windlass_jobs::{Claimed, Next};

use self::labels::{Ended, OfHandler, OfMode, OfOutcome, OfVerb, OfWebhook};
pub(crate) use self::{scrape::Scrape, storage::Measured};

/// How many handlers have numbers of their own; those of the others are added up as `other`.
const MAX_HANDLERS: usize = 1_000;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What is counted as it happens.
#[derive(Debug)]
pub(crate) struct Metrics {
    handlers: Mutex<HashSet<(ModuleName, HandlerName)>>,
    runs: Family<Ended, Counter>,
    durations: Histograms<OfHandler>,
    fuel: Family<OfHandler, Counter>,
    waits: Histograms<OfMode>,
    peak_memory: Histogram,
    storage: Histograms<OfVerb>,
    storage_errors: Family<OfVerb, Counter>,
    lost_servers: Counter,
    event_readers: Gauge,
    webhooks: Family<OfWebhook, Counter>,
    spans: Family<OfOutcome, Counter>,
}

/// From 16 µs, about the shortest run, to 18 min.
fn run_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_016, 4.0, 14))
}

/// From 0.1 ms, faster than an idle host begins, to 7.4 h: lines may be long.
fn wait_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 15))
}

/// From 0.1 ms, a read from memory, to 6.5 s.
fn storage_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 9))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            handlers: Mutex::default(),
            runs: Family::default(),
            durations: Family::new_with_constructor(run_seconds),
            fuel: Family::default(),
            waits: Family::new_with_constructor(wait_seconds),
            // From 64 KiB, one page, to 4 GiB, all that a memory can be.
            peak_memory: Histogram::new(exponential_buckets(65_536.0, 4.0, 9)),
            storage: Family::new_with_constructor(storage_seconds),
            storage_errors: Family::default(),
            lost_servers: Counter::default(),
            event_readers: Gauge::default(),
            webhooks: Family::default(),
            spans: Family::default(),
        }
    }
}

impl Metrics {
    /// Puts all of it where it is read from.
    fn register(&self, to: &mut Registry) {
        to.register("build", "The version of this host", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        to.register("runs", "Runs that ended on this host, by what became of their job", self.runs.clone());
        let help = "How long runs took on this host, from the start of the sandbox to its end";
        to.register("run_duration_seconds", help, self.durations.clone());
        to.register("run_fuel", "Fuel that runs used on this host: about one per instruction", self.fuel.clone());
        let help = "From the making of a job to the start of its first run, where this host made it; a delay that was \
                    asked for is part of it";
        to.register("job_wait_seconds", help, self.waits.clone());
        let help = "The most memory that a run had at once on this host";
        to.register("run_peak_memory_bytes", help, self.peak_memory.clone());
        let help = "How long the storage took to answer this host";
        to.register("storage_duration_seconds", help, self.storage.clone());
        to.register("storage_errors", "What the storage did not do for this host", self.storage_errors.clone());
        let help = "Servers that this host noticed as lost, and whose jobs it took over";
        to.register("lost_servers", help, self.lost_servers.clone());
        to.register("event_readers", "Who follows the events of this host", self.event_readers.clone());
        let help = "What became of the events that this host sent to webhooks, or was to send";
        to.register("webhook_events", help, self.webhooks.clone());
        to.register("spans", "What became of the spans that this host made", self.spans.clone());
    }

    /// A run begins.
    pub(crate) fn run_begins(&self, job: &Claimed, now: windlass_api::Timestamp) {
        // Later runs waited for their retry.
        if job.fence.run == 1 {
            let waited_ms = now.ms_since(job.created_at);
            self.waits.get_or_create(&of_mode(job.mode)).observe(Duration::from_millis(waited_ms).as_secs_f64());
        }
    }

    /// A run has ended.
    pub(crate) fn run_ended(&self, job: &Claimed, next: &Next, usage: &Usage) {
        let of = self.of_handler(&job.module, &job.handler);
        let ended = Ended { module: of.module.clone(), handler: of.handler.clone(), outcome: outcome(next) };
        self.runs.get_or_create(&ended).inc();
        // One that was let go before it began took nothing.
        if usage.wall_us > 0 {
            let took = Duration::from_micros(usage.wall_us).as_secs_f64();
            self.durations.get_or_create(&of).observe(took);
            self.fuel.get_or_create(&of).inc_by(usage.fuel);
            // Exact to 2^53, which is more than any memory.
            self.peak_memory.observe(usage.peak_memory_bytes as f64);
        }
    }

    /// A server was noticed as lost.
    pub(crate) fn server_lost(&self) {
        self.lost_servers.inc();
    }

    /// Something became of an event for a webhook.
    pub(crate) fn webhook(&self, receiver: &str, outcome: &'static str) {
        self.webhooks.get_or_create(&OfWebhook { receiver: receiver.to_owned(), outcome }).inc();
    }

    #[cfg(test)]
    pub(crate) fn webhook_count(&self, receiver: &str, outcome: &'static str) -> u64 {
        self.webhooks.get_or_create(&OfWebhook { receiver: receiver.to_owned(), outcome }).get()
    }

    /// Something became of spans.
    pub(crate) fn spans(&self, outcome: &'static str, count: u64) {
        self.spans.get_or_create(&OfOutcome { outcome }).inc_by(count);
    }

    /// The storage has answered, well or not.
    fn storage_answered(&self, verb: &'static str, took: Duration, is_ok: bool) {
        self.storage.get_or_create(&OfVerb { verb }).observe(took.as_secs_f64());
        if !is_ok {
            self.storage_errors.get_or_create(&OfVerb { verb }).inc();
        }
    }

    fn of_handler(&self, module: &ModuleName, handler: &HandlerName) -> OfHandler {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (module.clone(), handler.clone());
        let is_known = handlers.contains(&key) || (handlers.len() < MAX_HANDLERS && handlers.insert(key));
        let (module, handler) = if is_known { (module.as_str(), handler.as_str()) } else { ("other", "other") };
        OfHandler { module: module.to_owned(), handler: handler.to_owned() }
    }
}

/// What becomes of a job, in a word.
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

fn of_mode(mode: Mode) -> OfMode {
    OfMode { mode: mode.as_str() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
