//! Group commit for jobs that come one by one: whatever came while a commit was under way shares the next one.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use windlass_api::Enqueued;

use super::{
    core::{Core, attempt},
    enqueue::{self, Incoming},
    fault::Fault,
    tx::{Kind, Tx},
};
use crate::{NewJob, storage::StorageError};

/// How many requests may wait; whoever comes then waits for room.
const WAITING: usize = 4_096;

/// How many requests share a commit at most: the first of them waits for all.
const MOST: usize = 500;

/// How many bytes of payload share a commit, about.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// How many commits are under way at once: while one waits for the disk, another one is filled.
pub(super) const FLUSHERS: usize = 2;

/// Requests with more jobs than this are worth a commit of their own.
pub(super) const FEW: usize = 16;

/// What somebody wants to be stored.
pub(super) struct Request {
    pub(super) jobs: Vec<NewJob>,
    pub(super) by: String,
    pub(super) reply: oneshot::Sender<Result<Vec<Enqueued>, StorageError>>,
}

pub(super) type Sender = mpsc::Sender<Request>;

/// The queue of requests, and the tasks that work it off.
pub(super) fn start(core: &Arc<Core>) -> (Sender, Vec<tokio::task::JoinHandle<()>>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    let flush = |_| tokio::spawn(flush(Arc::clone(core), Arc::clone(&receiver)));
    (sender, (0..FLUSHERS).map(flush).collect())
}

async fn flush(core: Arc<Core>, requests: Arc<Mutex<mpsc::Receiver<Request>>>) {
    loop {
        let mut batch = Vec::new();
        {
            let mut requests = requests.lock().await;
            let Some(first) = requests.recv().await else { return };
            let mut bytes = size_of(&first);
            batch.push(first);
            while batch.len() < MOST && bytes < MOST_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                bytes += size_of(&next);
                batch.push(next);
            }
        }
        store(&core, batch).await;
    }
}

fn size_of(request: &Request) -> usize {
    request.jobs.iter().map(|job| job.payload.as_str().len()).sum()
}

async fn store(core: &Arc<Core>, batch: Vec<Request>) {
    let outcome = store_all(core, &batch).await;
    core.fold_at_times(batch.iter().map(|request| request.jobs.len()).sum());
    match outcome {
        Ok(enqueued) => {
            let mut enqueued = enqueued.into_iter();
            for request in batch {
                let own = enqueued.by_ref().take(request.jobs.len()).collect();
                // Whoever asked may be gone; the effect holds all the same.
                let _ = request.reply.send(Ok(own));
            }
        }
        Err(fault) => match (fault.is_locked(), StorageError::from(fault)) {
            (false, StorageError::Unavailable(why)) => {
                for request in batch {
                    let _ = request.reply.send(Err(StorageError::Unavailable(why.clone())));
                }
            }
            // One of them is at fault, or another transaction holds a job of its id: each gets its own answer.
            _ => store_apart(core, batch).await,
        },
    }
}

async fn store_apart(core: &Core, batch: Vec<Request>) {
    for request in batch {
        let own = [request];
        let outcome = store_all(core, &own).await.map_err(StorageError::from);
        let [request] = own;
        let _ = request.reply.send(outcome);
    }
}

async fn store_all(core: &Core, batch: &[Request]) -> Result<Vec<Enqueued>, Fault> {
    let incoming = batch
        .iter()
        .flat_map(|request| request.jobs.iter().map(|job| Incoming { job, by: &request.by }))
        .collect::<Vec<_>>();
    store_incoming(core, &incoming).await
}

/// Stores jobs in as few round trips as they need.
pub(super) async fn store_incoming(core: &Core, incoming: &[Incoming<'_>]) -> Result<Vec<Enqueued>, Fault> {
    let is_plain = incoming.iter().all(|incoming| enqueue::is_plain(incoming.job));
    let store = async |tx: &mut Tx<'_>| enqueue::enqueue(tx, incoming).await;
    let (outcome, told) = attempt!(core, if is_plain { Kind::Single } else { Kind::Several }, |tx| store(tx));
    let enqueued = outcome?;
    core.tell(told).await;
    Ok(enqueued)
}
