//! Group commit for jobs that come one by one: whatever came while a commit was under way shares the next one.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use windlass_api::Enqueued;

use super::{
    conditioned::{self, Call, Parents},
    core::{Core, attempt},
    enqueue::{self, Incoming, Names},
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
    // Those that need no more than their turn pay for no more.
    let (plain, others): (Vec<_>, Vec<_>) =
        batch.into_iter().partition(|request| request.jobs.iter().all(conditioned::is_plain));
    for batch in [plain, others] {
        if !batch.is_empty() {
            store_alike(core, batch).await;
        }
    }
}

async fn store_alike(core: &Arc<Core>, batch: Vec<Request>) {
    let outcome = store_all(core, &batch).await;
    core.fold_at_times(batch.iter().map(|request| request.jobs.len()).sum());
    match outcome {
        Ok(answers) => {
            for (request, answer) in batch.into_iter().zip(answers) {
                // Whoever asked may be gone; the effect holds all the same.
                let _ = request.reply.send(answer);
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
        let closed = || Err(StorageError::Unavailable("nothing came of it; try again".to_owned()));
        let answer = outcome.and_then(|mut answers| answers.pop().unwrap_or_else(closed));
        let _ = request.reply.send(answer);
    }
}

/// Gives what came of each request.
async fn store_all(core: &Core, batch: &[Request]) -> Result<Vec<Result<Vec<Enqueued>, StorageError>>, Fault> {
    let calls = batch.iter().map(|request| (request.jobs.as_slice(), request.by.as_str())).collect::<Vec<_>>();
    store_calls(core, &calls).await
}

/// Stores the jobs of calls in one transaction; gives what came of each of them.
pub(super) async fn store_calls(
    core: &Core,
    calls: &[(&[NewJob], &str)],
) -> Result<Vec<Result<Vec<Enqueued>, StorageError>>, Fault> {
    if calls.iter().all(|(jobs, _)| jobs.iter().all(conditioned::is_plain)) {
        let incoming =
            calls.iter().flat_map(|(jobs, by)| jobs.iter().map(|job| Incoming { job, by })).collect::<Vec<_>>();
        let mut enqueued = store_incoming(core, &incoming).await?.into_iter();
        return Ok(calls.iter().map(|(jobs, _)| Ok(enqueued.by_ref().take(jobs.len()).collect())).collect());
    }
    let calls = calls
        .iter()
        .map(|(jobs, by)| Call { jobs: jobs.iter().map(|job| Incoming { job, by }).collect(), is_lenient: false })
        .collect::<Vec<_>>();
    let names = Names::of(calls.iter().flat_map(|call| call.jobs.iter().map(|incoming| incoming.job)));
    // By itself, so that whoever waits for one of these names does not wait for jobs too.
    let know = async |tx: &mut Tx<'_>| names.known_at_last(tx).await;
    let known = attempt!(core, Kind::Several, |tx| know(tx)).0?;
    let store = async |tx: &mut Tx<'_>| conditioned::store(tx, &calls, &names, &known, Parents::Held).await;
    let (outcome, told) = attempt!(core, Kind::Several, |tx| store(tx));
    let answers = outcome?;
    core.tell(told).await;
    let refused = |(position, refusal)| StorageError::Refused { position, refusal };
    Ok(answers.into_iter().map(|answer| answer.map_err(refused)).collect())
}

/// Stores jobs in as few round trips as they need.
async fn store_incoming(core: &Core, incoming: &[Incoming<'_>]) -> Result<Vec<Enqueued>, Fault> {
    let is_plain = incoming.iter().all(|incoming| enqueue::is_plain(incoming.job));
    let store = async |tx: &mut Tx<'_>| enqueue::enqueue(tx, incoming).await;
    let (outcome, told) = attempt!(core, if is_plain { Kind::Single } else { Kind::Several }, |tx| store(tx));
    let enqueued = outcome?;
    core.tell(told).await;
    Ok(enqueued)
}
