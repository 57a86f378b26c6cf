//! Group commit for jobs that come one by one: whatever came while a commit was under way shares the next one.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use windlass_api::Enqueued;

use super::{
    core::{Core, step},
    enqueue::{self, Incoming},
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
        Err(StorageError::Unavailable(why)) => {
            for request in batch {
                let _ = request.reply.send(Err(StorageError::Unavailable(why.clone())));
            }
        }
        // One of them is at fault: each gets its own answer.
        Err(_) => {
            for request in batch {
                let own = [request];
                let outcome = store_all(core, &own).await;
                let [request] = own;
                let _ = request.reply.send(outcome);
            }
        }
    }
}

async fn store_all(core: &Core, batch: &[Request]) -> Result<Vec<Enqueued>, StorageError> {
    let incoming = batch
        .iter()
        .flat_map(|request| request.jobs.iter().map(|job| Incoming { job, by: &request.by }))
        .collect::<Vec<_>>();
    store_incoming(core, &incoming).await
}

/// Makes the names of jobs known in a transaction of their own: no other one waits for them then, and what is remembered of
/// them is never rolled back.
pub(super) async fn make_known(core: &Core, incoming: &[Incoming<'_>]) -> Result<(), StorageError> {
    let names = async |tx: &mut Tx<'_>| enqueue::know_names(tx, incoming).await;
    // Once to make them, and once to see that they are there.
    for _ in 0..2 {
        if core.names.are_known(incoming) {
            break;
        }
        step!(core, Kind::Several, |tx| names(tx))?;
    }
    Ok(())
}

/// Stores jobs in as few round trips as they need.
pub(super) async fn store_incoming(core: &Core, incoming: &[Incoming<'_>]) -> Result<Vec<Enqueued>, StorageError> {
    let is_plain = incoming.iter().all(|incoming| enqueue::is_plain(incoming.job));
    let store = async |tx: &mut Tx<'_>| enqueue::enqueue(tx, incoming).await;
    make_known(core, incoming).await?;
    step!(core, if is_plain { Kind::Single } else { Kind::Several }, |tx| store(tx))
}
