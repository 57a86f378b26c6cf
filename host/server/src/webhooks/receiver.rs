//! One program that is told, and what waits to be sent to it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use reqwest::{Client, header::CONTENT_TYPE};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use windlass_api::RetryPolicy;
use windlass_jobs::{Clock as _, SystemClock, retry};

use super::{event::Event, signature::Key};
use crate::{config::WebhookSettings, metrics::Metrics, outbound};

/// How many events wait for a receiver, or are being sent to it, at once; what comes beyond that is dropped.
const MAX_WAITING: usize = 1_000;

/// How many are sent to it at once.
const AT_ONCE: usize = 4;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before sending again: a second at first, twice as long each time, up to 10 minutes, each spread at random.
const RETRY: RetryPolicy = RetryPolicy::Exponential { base_ms: 1_000, max_ms: 600_000 };

/// One program that is told.
pub(super) struct Receiver {
    settings: WebhookSettings,
    name: String,
    key: Key,
    client: Client,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    lines: Semaphore,
    /// Whether the last event found no place, so that the log says so once and not a thousand times.
    is_full: AtomicBool,
    sending: Mutex<JoinSet<()>>,
    closing: watch::Sender<bool>,
}

/// An event on its way to a receiver. It counts as dropped unless it arrives.
struct Delivery {
    receiver: Arc<Receiver>,
    id: String,
    body: Vec<u8>,
    has_arrived: bool,
    _place: OwnedSemaphorePermit,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Receiver { name, metrics, .. } = &*self.receiver;
        if self.has_arrived {
            metrics.webhook(name, "delivered");
        } else {
            metrics.webhook(name, "dropped");
            tracing::warn!(receiver = name, event = self.id, "an event is given up that a webhook was to be told");
        }
    }
}

/// Reads the secret of a webhook.
pub(super) fn key(settings: &WebhookSettings) -> anyhow::Result<Key> {
    let about = || format!("failed to use the secret of the webhook to {}", settings.receiver());
    let secret = settings.secret.read("secret").with_context(about)?;
    Key::read(&secret).map_err(anyhow::Error::msg).with_context(about)
}

impl Receiver {
    pub(super) fn new(settings: &WebhookSettings, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let name = settings.receiver();
        let client = outbound::client(&settings.url, PATIENCE);
        Ok(Self {
            key: key(settings)?,
            client: client.with_context(|| format!("failed to make ready for the webhook to {name}"))?,
            name,
            settings: settings.clone(),
            metrics,
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            lines: Semaphore::new(AT_ONCE),
            is_full: AtomicBool::new(false),
            sending: Mutex::default(),
            closing: watch::Sender::new(false),
        })
    }

    /// Whether it is to be told of it. What names no queue is told whatever the queues are.
    pub(super) fn wants(&self, event: &Event) -> bool {
        let WebhookSettings { events, modules, queues, .. } = &self.settings;
        events.contains(&event.kind)
            && (modules.is_empty() || modules.contains(&event.module))
            && (queues.is_empty() || event.queue.as_ref().is_none_or(|queue| queues.contains(queue)))
    }

    /// Begins to send an event; whoever calls does not wait for anything.
    pub(super) fn send(self: &Arc<Self>, event: &Event) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.webhook(&self.name, "dropped");
            if !self.is_full.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    receiver = self.name,
                    waiting = MAX_WAITING,
                    "too many events wait for a webhook; more are dropped"
                );
            }
            return;
        };
        self.is_full.store(false, Ordering::Relaxed);
        let delivery = Delivery {
            receiver: Arc::clone(self),
            id: event.id.clone(),
            body: event.body.clone(),
            has_arrived: false,
            _place: place,
        };
        let mut sending = self.sending();
        // Those that have ended are let go of, so that the set holds no more than wait.
        while sending.try_join_next().is_some() {}
        sending.spawn(delivery.deliver());
    }

    /// Waits for what is being sent.
    pub(super) async fn close(&self, within: Duration) {
        self.closing.send_replace(true);
        let mut sending = std::mem::take(&mut *self.sending());
        let all_ended = async { while sending.join_next().await.is_some() {} };
        // What has not ended by then ends with the set.
        drop(tokio::time::timeout(within, all_ended).await);
        sending.shutdown().await;
    }

    /// Sends it once; an error says why it was not taken.
    async fn attempt(&self, id: &str, body: &[u8]) -> Result<(), String> {
        let Ok(_line) = self.lines.acquire().await else { return Err("the host stops".to_owned()) };
        // Told and signed anew each time: a receiver refuses what is old.
        let seconds = SystemClock.now().0.div_euclid(1_000);
        let request = self
            .client
            .post(self.settings.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", self.key.sign(id, seconds, body))
            .body(body.to_vec());
        let answer = request.send().await.map_err(|error| outbound::reason(&error))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered with {}", status.as_u16())) }
    }

    /// Held for short synchronous sections only.
    fn sending(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    async fn deliver(mut self) {
        let receiver = Arc::clone(&self.receiver);
        let mut closing = receiver.closing.subscribe();
        for attempt in 1..=receiver.settings.max_attempts {
            let Err(reason) = receiver.attempt(&self.id, &self.body).await else {
                self.has_arrived = true;
                return;
            };
            receiver.metrics.webhook(&receiver.name, "refused");
            let delay_ms = retry::delay_ms(&RETRY, attempt, fastrand::f64());
            tracing::info!(
                receiver = receiver.name,
                event = self.id,
                attempt,
                reason,
                "a webhook did not take an event"
            );
            if attempt < receiver.settings.max_attempts {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(delay_ms)) => {}
                    _ = closing.wait_for(|closing| *closing) => return,
                }
            }
        }
    }
}
