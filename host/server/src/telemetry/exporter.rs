//! Sending to the receiver. One that is away is tried a few times, then what was for it is dropped and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Client, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};

use super::{SCOPE, now_ns, open_metrics, span::Finished};
use crate::{
    config::Destination,
    metrics::{Metrics, Scrape},
    outbound,
    worker::Backoff,
};

/// How long spans are gathered before they are sent.
const GATHERED: Duration = Duration::from_secs(1);

/// How many spans are sent at once.
const MAX_BATCH: usize = 512;

/// How long the receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the same is sent to a receiver that is away.
const TRIES: u32 = 4;

/// Sends to one receiver.
pub(super) struct Exporter {
    client: Client,
    traces: Url,
    metrics: Url,
    headers: HeaderMap,
    resource: Value,
    receiver: String,
    /// Whether it took the last that was sent, so that the log tells of changes alone.
    takes: AtomicBool,
}

impl Exporter {
    pub(super) fn new(destination: &Destination, resource: Value) -> anyhow::Result<Self> {
        let Destination { traces, metrics, headers, .. } = destination;
        let headers = headers.iter().map(|(name, value)| {
            let mut value = HeaderValue::try_from(value)?;
            value.set_sensitive(true);
            Ok((HeaderName::try_from(name)?, value))
        });
        let host = traces.host_str().unwrap_or_default();
        Ok(Self {
            client: outbound::client(traces, PATIENCE)?,
            receiver: traces.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            traces: traces.clone(),
            metrics: metrics.clone(),
            headers: headers.collect::<anyhow::Result<_>>()?,
            resource,
            takes: AtomicBool::new(true),
        })
    }

    /// What the receiver is called in the log.
    pub(super) fn receiver(&self) -> &str {
        &self.receiver
    }

    /// Sends spans; whether they were taken.
    async fn send_batch(&self, batch: Vec<Value>) -> bool {
        let body = json!({ "resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{ "scope": scope(), "spans": batch }],
        }] });
        let mut backoff = Backoff::default();
        for left in (0..TRIES).rev() {
            match self.post(&self.traces, &body).await {
                Ok(()) => return true,
                Err(Refused { may_pass: true }) if left > 0 => backoff.wait().await,
                Err(_) => return false,
            }
        }
        false
    }

    async fn post(&self, url: &Url, body: &Value) -> Result<(), Refused> {
        let sent = self.client.post(url.clone()).headers(self.headers.clone()).json(body).send().await;
        let (reason, may_pass) = match sent {
            Ok(answer) if answer.status().is_success() => {
                if !self.takes.swap(true, Ordering::Relaxed) {
                    tracing::info!(receiver = self.receiver, "traces and metrics are taken again");
                }
                return Ok(());
            }
            Ok(answer) => (format!("it answered with {}", answer.status().as_u16()), may_pass(answer.status())),
            Err(error) => (outbound::reason(&error), true),
        };
        if self.takes.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                receiver = self.receiver,
                reason,
                "traces and metrics are not taken; what is not is dropped"
            );
        }
        Err(Refused { may_pass })
    }
}

/// It was not taken.
struct Refused {
    /// Whether the same may be taken later.
    may_pass: bool,
}

/// The answers after which OTLP has the same sent again.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn scope() -> Value {
    json!({ "name": SCOPE, "version": env!("CARGO_PKG_VERSION") })
}

/// Sends spans until it is told to close and has sent what was there.
pub(super) async fn send_spans(
    exporter: Arc<Exporter>,
    metrics: Arc<Metrics>,
    mut ended: mpsc::Receiver<Finished>,
    mut closing: watch::Receiver<bool>,
) {
    loop {
        let first = tokio::select! {
            biased;
            first = ended.recv() => first,
            _ = closing.wait_for(|closing| *closing) => None,
        };
        let Some(Finished(first)) = first else { return };
        let mut batch = vec![first];
        let until = Instant::now() + GATHERED;
        while batch.len() < MAX_BATCH {
            let is_closing = *closing.borrow();
            let more =
                if is_closing { ended.try_recv().ok() } else { timeout_at(until, ended.recv()).await.ok().flatten() };
            let Some(Finished(more)) = more else { break };
            batch.push(more);
        }
        let count = batch.len() as u64;
        let outcome = if exporter.send_batch(batch).await { "sent" } else { "dropped" };
        metrics.spans(outcome, count);
    }
}

/// Sends all numbers at an interval, and once more at the end.
pub(super) async fn send_metrics(
    exporter: Arc<Exporter>,
    scrape: Arc<Scrape>,
    every: Duration,
    started_ns: u64,
    mut closing: watch::Receiver<bool>,
) {
    loop {
        let ends = tokio::select! {
            () = tokio::time::sleep(every) => false,
            _ = closing.wait_for(|closing| *closing) => true,
        };
        if let Ok(text) = scrape.text().await {
            let metrics = open_metrics::to_otlp(&text, started_ns, now_ns());
            let body = json!({ "resourceMetrics": [{
                "resource": exporter.resource,
                "scopeMetrics": [{ "scope": scope(), "metrics": metrics }],
            }] });
            // The next ones tell all that these would have.
            drop(exporter.post(&exporter.metrics, &body).await);
        }
        if ends {
            return;
        }
    }
}
