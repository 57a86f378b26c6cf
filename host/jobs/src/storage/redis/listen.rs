//! Listening to what Redis tells, on a connection of its own that is opened again whenever it fails.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures::StreamExt as _;
use redis::aio::{PubSub, PubSubSink};
use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{hub::Hub, link::Link};
use crate::storage::{Signal, StorageError};

/// How often a connection on which nothing comes is asked whether it still lives.
const PING: Duration = Duration::from_secs(3);

/// How long it may take to answer.
const PONG: Duration = Duration::from_secs(3);

/// How long to wait before trying again to connect: doubling.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(2));

/// Why listening ended.
enum Ended {
    /// The storage is gone.
    Dropped,
    /// The connection failed.
    Failed(String),
}

/// Listens until the storage is gone. `ready` is told when listening began for the first time.
pub(super) async fn listen(link: Arc<Link>, hub: Weak<Hub>, prefix: String, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    let mut failures = 0;
    loop {
        match connect(&link).await {
            Ok(connection) => match follow(connection, &hub, &prefix, &mut ready, &mut failures).await {
                Ended::Dropped => return,
                Ended::Failed(why) => tracing::debug!(%why, "no longer hears what Redis tells; connecting anew"),
            },
            Err(error) => tracing::debug!(%error, "cannot hear what Redis tells; trying again"),
        }
        let pause = BACKOFF.0.saturating_mul(1 << failures.min(10)).min(BACKOFF.1);
        failures += 1;
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        if hub.strong_count() == 0 {
            return;
        }
    }
}

async fn connect(link: &Link) -> Result<PubSub, StorageError> {
    let client = link.client().await?;
    let unavailable = |why: String| StorageError::Unavailable(format!("{}: {why}", link.name()));
    let opened = timeout(PONG, client.get_async_pubsub()).await;
    opened
        .map_err(|_| unavailable("it did not answer in time".to_owned()))?
        .map_err(|error| unavailable(error.to_string()))
}

async fn subscribe(sink: &mut PubSubSink, channel: &str) -> Result<(), Ended> {
    match timeout(PONG, sink.subscribe(channel)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::Failed(error.to_string())),
        Err(_) => Err(Ended::Failed("it did not answer in time".to_owned())),
    }
}

async fn follow(
    connection: PubSub,
    hub: &Weak<Hub>,
    prefix: &str,
    ready: &mut Option<oneshot::Sender<()>>,
    failures: &mut u32,
) -> Ended {
    let (wake, ends) = (format!("{prefix}wake"), format!("{prefix}ends"));
    let (mut sink, mut messages) = connection.split();
    if let Err(ended) = subscribe(&mut sink, &wake).await {
        return ended;
    }
    let Some(wanted) = hub.upgrade().map(|hub| Arc::clone(&hub.wanted)) else { return Ended::Dropped };
    let wants_ends = || hub.upgrade().is_some_and(|hub| hub.ends_wanted.load(Ordering::Relaxed));
    let mut follows_ends = false;
    if wants_ends() {
        if let Err(ended) = subscribe(&mut sink, &ends).await {
            return ended;
        }
        follows_ends = true;
    }
    *failures = 0;
    // Whoever waits for this hears all from now on; whoever listened before has heard nothing of what was told meanwhile.
    let waits = ready.take().is_some_and(|ready| ready.send(()).is_ok());
    if !waits {
        match hub.upgrade() {
            Some(hub) => hub.tell(Signal::Work),
            None => return Ended::Dropped,
        }
    }
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if !follows_ends && wants_ends() {
            if let Err(ended) = subscribe(&mut sink, &ends).await {
                return ended;
            }
            follows_ends = true;
        }
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return Ended::Failed("the connection was closed".to_owned()) };
                let Some(hub) = hub.upgrade() else { return Ended::Dropped };
                if message.get_channel_name() == wake {
                    hub.hear_wake(message.get_payload_bytes());
                } else {
                    hub.hear_ends(message.get_payload_bytes());
                }
            }
            () = wanted.notified() => {}
            _ = ping.tick() => match timeout(PONG, sink.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Ended::Failed(error.to_string()),
                Err(_) => return Ended::Failed("it did not answer in time".to_owned()),
            }
        }
    }
}
