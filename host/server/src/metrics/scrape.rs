//! The answer to Prometheus.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::text,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use windlass_api::{Counts, QueueView, ServerView, SlotUse, State, Timestamp};
use windlass_jobs::{
    Clock as _, SystemClock,
    storage::{Storage, StorageError},
};

use super::{
    Metrics,
    labels::{OfMode, OfQueue, OfState},
    of_mode,
};
use crate::{events::Events, worker::SlotsInUse};

/// How long an answer is good: so often asking costs the storage no more than once a second, whoever asks.
const KEPT: Duration = Duration::from_secs(1);

/// How long the storage may take before the answer goes without what it holds.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many queues have numbers of their own; those of the others are added up as `other`.
const MAX_QUEUES: usize = 1_000;

type Gauges<L> = Family<L, Gauge>;

/// Answers with all numbers.
pub(crate) struct Scrape {
    storage: Arc<dyn Storage>,
    metrics: Arc<Metrics>,
    slots: SlotsInUse,
    events: Events,
    registry: Registry,
    held: Held,
    /// The last answer, and that only one is made at a time.
    last: tokio::sync::Mutex<Option<(Instant, Arc<str>)>>,
}

/// What is read when it is asked for.
#[derive(Default)]
struct Held {
    storage_up: Gauge,
    jobs: Gauges<OfState>,
    enqueued: Gauges<OfQueue>,
    processing: Gauges<OfQueue>,
    paused: Gauges<OfQueue>,
    oldest: Family<OfQueue, Gauge<f64, AtomicU64>>,
    /// A family without labels, since a gauge alone cannot be left out.
    servers: Gauges<[(&'static str, &'static str); 0]>,
    slots: Gauges<OfMode>,
    slots_busy: Gauges<OfMode>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Scrape {
    pub(crate) fn new(storage: Arc<dyn Storage>, metrics: Arc<Metrics>, slots: SlotsInUse, events: Events) -> Self {
        let (mut registry, held) = (Registry::with_prefix("windlass"), Held::default());
        metrics.register(&mut registry);
        held.register(&mut registry);
        Self { storage, metrics, slots, events, registry, held, last: tokio::sync::Mutex::default() }
    }

    /// All numbers, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// Never, as far as a text can be written to.
    pub(crate) async fn text(&self) -> Result<Arc<str>, fmt::Error> {
        let mut last = self.last.lock().await;
        if let Some((at, text)) = &*last
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(text));
        }
        self.metrics.event_readers.set(i64::try_from(self.events.readers()).unwrap_or(i64::MAX));
        self.held.put_slots((self.slots)());
        match tokio::time::timeout(STORAGE_TIMEOUT, self.read()).await {
            Ok(Ok((counts, queues, servers))) => self.held.put(&counts, &queues, &servers, SystemClock.now()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "failed to read what the storage holds for /metrics");
                self.held.clear();
            }
            Err(_) => self.held.clear(),
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        let text: Arc<str> = text.into();
        *last = Some((Instant::now(), Arc::clone(&text)));
        Ok(text)
    }

    async fn read(&self) -> Result<(Counts, Vec<QueueView>, Vec<ServerView>), StorageError> {
        Ok((self.storage.counts().await?, self.storage.queues().await?, self.storage.servers().await?))
    }
}

impl Held {
    fn register(&self, to: &mut Registry) {
        to.register("storage_up", "Whether the storage answered this time", self.storage_up.clone());
        to.register("jobs", "Jobs by state", self.jobs.clone());
        to.register("queue_enqueued_jobs", "Jobs that wait in a queue", self.enqueued.clone());
        to.register("queue_processing_jobs", "Jobs of a queue that are being run", self.processing.clone());
        to.register("queue_paused", "Whether no job is taken from a queue", self.paused.clone());
        let help = "How long the job that waits longest in a queue has been ready; 0 where none waits";
        to.register("queue_oldest_age_seconds", help, self.oldest.clone());
        to.register("servers", "Servers that are known to the storage", self.servers.clone());
        to.register("slots", "Slots of this host", self.slots.clone());
        to.register("slots_busy", "Slots of this host that run a job", self.slots_busy.clone());
    }

    fn put_slots(&self, slots: Vec<(windlass_api::Mode, SlotUse)>) {
        for (mode, SlotUse { total, busy }) in slots {
            self.slots.get_or_create(&of_mode(mode)).set(total.into());
            self.slots_busy.get_or_create(&of_mode(mode)).set(busy.into());
        }
    }

    fn put(&self, counts: &Counts, queues: &[QueueView], servers: &[ServerView], now: Timestamp) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.clear();
        self.storage_up.set(1);
        for state in State::ALL {
            self.jobs.get_or_create(&OfState { state: state.as_str() }).set(whole(counts.of(*state)));
        }
        for (at, queue) in queues.iter().enumerate() {
            let name = if at < MAX_QUEUES { queue.name.as_str() } else { "other" };
            let of = OfQueue { queue: name.to_owned() };
            self.enqueued.get_or_create(&of).inc_by(whole(queue.enqueued));
            self.processing.get_or_create(&of).inc_by(whole(queue.processing));
            let paused = self.paused.get_or_create(&of);
            paused.set(paused.get().max(queue.paused.into()));
            let age_ms = queue.oldest_at.map_or(0, |oldest_at| now.ms_since(oldest_at));
            let oldest = self.oldest.get_or_create(&of);
            oldest.set(oldest.get().max(Duration::from_millis(age_ms).as_secs_f64()));
        }
        self.servers.get_or_create(&[]).set(whole(servers.len() as u64));
    }

    /// What is not known is left out rather than told as it was.
    fn clear(&self) {
        self.storage_up.set(0);
        self.servers.clear();
        self.jobs.clear();
        self.enqueued.clear();
        self.processing.clear();
        self.paused.clear();
        self.oldest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_storage_does_not_tell_is_left_out() {
        let (mut registry, held) = (Registry::with_prefix("windlass"), Held::default());
        held.register(&mut registry);
        let told = || {
            let mut text = String::new();
            text::encode(&mut text, &registry).unwrap();
            text
        };
        held.put(&Counts::default(), &[], &[], Timestamp(0));
        let lines = ["windlass_servers{} 0", "windlass_jobs{state=\"failed\"} 0"];
        assert!(lines.iter().all(|line| told().contains(line)), "{}", told());
        held.clear();
        assert!(told().contains("windlass_storage_up 0"), "{}", told());
        assert!(!lines.iter().any(|line| told().contains(line)), "{}", told());
    }
}
