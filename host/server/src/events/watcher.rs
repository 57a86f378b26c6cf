//! Notices what changes while somebody follows.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::broadcast::{Receiver, error::RecvError};
use windlass_api::JobId;
use windlass_jobs::storage::{Signal, Wake};

use super::{Hint, Shared, looks::Looks, until_closed};

/// How often something is told at most, and how often the storage is looked at: what a person takes for at once.
const TICK: Duration = Duration::from_millis(250);

/// How long it goes on when nobody follows any more: a browser that lost its connection comes back within seconds.
const LINGER: Duration = Duration::from_secs(10);

/// How long a look may take before what was noticed otherwise is told.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn watch(shared: Arc<Shared>) {
    let mut signals = shared.storage.wake().map(Wake::signals);
    let mut ends = shared.storage.wake().and_then(Wake::ends);
    let mut closed = shared.closed.subscribe();
    let mut looks = Looks::default();
    let mut alone_since = None;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = until_closed(&mut closed) => return,
            heard = hear(&mut signals) => match heard {
                Heard::This(Signal::Modules) => shared.following().add(Hint::Modules),
                Heard::This(Signal::Work) => shared.following().add(Hint::Queues),
                // A cancel shows in the job; what was missed shows in the looks, but for a deploy.
                Heard::This(Signal::Cancel(fence)) => tell_job(&shared, fence.job),
                Heard::Missed => shared.following().add(Hint::Modules),
            },
            heard = hear(&mut ends) => match heard {
                Heard::This(job) => tell_job(&shared, job),
                Heard::Missed => {
                    let mut following = shared.following();
                    let watched = following.watched.keys().copied().collect();
                    following.add(Hint::Jobs(watched));
                }
            },
            _ = tick.tick() => {
                if is_over(&shared, &mut alone_since) {
                    return;
                }
                let watched: BTreeSet<JobId> = shared.following().watched.keys().copied().collect();
                match tokio::time::timeout(LOOK_TIMEOUT, looks.look(&*shared.storage, &watched)).await {
                    Ok(Ok(Some(hint))) => shared.following().add(hint),
                    Ok(Ok(None)) => {}
                    // It is looked at again right away, and others say more of what is wrong.
                    Ok(Err(error)) => tracing::debug!(%error, "failed to look for what changed"),
                    Err(_) => tracing::debug!("the storage does not answer; looking again for what changed"),
                }
                shared.following().flush();
            }
        }
    }
}

/// Whether nobody has followed for long enough. Then what happens from now on is noticed by nobody.
fn is_over(shared: &Shared, alone_since: &mut Option<Instant>) -> bool {
    let mut following = shared.following();
    if !following.seats.is_empty() {
        *alone_since = None;
        return false;
    }
    if alone_since.get_or_insert_with(Instant::now).elapsed() < LINGER {
        return false;
    }
    following.is_watched = false;
    following.pending.clear();
    following.ring.skip();
    true
}

fn tell_job(shared: &Shared, job: JobId) {
    let mut following = shared.following();
    if following.watched.contains_key(&job) {
        following.add(Hint::Jobs(BTreeSet::from([job])));
    }
}

enum Heard<T> {
    This(T),
    Missed,
}

/// What the storage tells next; never where it tells nothing.
async fn hear<T: Clone>(from: &mut Option<Receiver<T>>) -> Heard<T> {
    if let Some(receiver) = from {
        match receiver.recv().await {
            Ok(heard) => return Heard::This(heard),
            Err(RecvError::Lagged(_)) => return Heard::Missed,
            Err(RecvError::Closed) => *from = None,
        }
    }
    std::future::pending().await
}
