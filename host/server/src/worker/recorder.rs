//! Writes what runs leave behind: logs and progress while they last, settlements when they have ended.
//!
//! One task does both, one after the other, so that a run's last lines are written before the settlement that closes
//! its fence. What ended while a write was under way is settled together in the next one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout_at};
use windlass_api::LogLine;
use windlass_jobs::{
    Fence, Next, Settlement,
    storage::{Note, Storage, StorageError, Superseded},
};
use windlass_wasm::StopReason;

use super::{
    backoff::Backoff,
    running::{Entry, Running},
};
use crate::webhooks::{Subject, Webhooks};

/// How often logs and progress are written: twice a second is what a reader can follow.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// No write settles more at once, so that an answer stays quick.
const MAX_BATCH: usize = 500;

/// No write settles more bytes of results and follow-up jobs at once.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// A run that has ended.
pub(super) struct Ended {
    pub(super) settlement: Settlement,
    /// Whose run it was, where somebody is to be told.
    pub(super) subject: Option<Box<Subject>>,
}

/// Takes settlements.
#[derive(Clone, Debug)]
pub(super) struct Recorder(mpsc::UnboundedSender<Ended>);

impl Recorder {
    /// Starts the task. It ends when every sender is gone and all is written.
    pub(super) fn start(
        storage: Arc<dyn Storage>,
        running: Arc<Running>,
        webhooks: Webhooks,
    ) -> (Self, JoinHandle<()>) {
        // Unbounded, since each settlement holds a run of which there are no more than the server claimed.
        let (sender, ended) = mpsc::unbounded_channel();
        let recording = Recording { storage, running, webhooks, ended, left_over: None };
        (Self(sender), tokio::spawn(recording.record()))
    }

    pub(super) fn settle(&self, ended: Ended) {
        if self.0.send(ended).is_err() {
            tracing::error!("the recorder is gone; the run is settled when this server is noticed as lost");
        }
    }
}

struct Recording {
    storage: Arc<dyn Storage>,
    running: Arc<Running>,
    webhooks: Webhooks,
    ended: mpsc::UnboundedReceiver<Ended>,
    /// What did not fit into the batch before.
    left_over: Option<Ended>,
}

impl Recording {
    async fn record(mut self) {
        let mut written_at = Instant::now();
        loop {
            let due_at = written_at + WRITE_EVERY;
            let first = match self.left_over.take() {
                Some(first) => Some(first),
                None => match timeout_at(due_at.into(), self.ended.recv()).await {
                    Ok(Some(first)) => Some(first),
                    Ok(None) => return,
                    Err(_) => None,
                },
            };
            // Also where runs end all the time: a long one among them is followed all the same.
            if Instant::now() >= due_at {
                self.write_notes(self.running.entries(), Persistence::TryOnce).await;
                written_at = Instant::now();
            }
            if let Some(first) = first {
                let batch = self.gather(first);
                let ended = batch.iter().filter_map(|ended| self.running.get(ended.settlement.fence)).collect();
                self.write_notes(ended, Persistence::UntilDone).await;
                self.settle(batch).await;
            }
        }
    }

    /// Takes what else has ended meanwhile, as much as may be settled at once.
    fn gather(&mut self, first: Ended) -> Vec<Ended> {
        let mut bytes = weight(&first.settlement);
        let mut batch = vec![first];
        while let Ok(ended) = self.ended.try_recv() {
            bytes += weight(&ended.settlement);
            if batch.len() >= MAX_BATCH || bytes > MAX_BATCH_BYTES {
                self.left_over = Some(ended);
                break;
            }
            batch.push(ended);
        }
        batch
    }

    /// Settles a batch, trying again for as long as storage is away: what a run did must not be forgotten.
    async fn settle(&self, batch: Vec<Ended>) {
        let mut backoff = Backoff::default();
        let fences: Vec<Fence> = batch.iter().map(|ended| ended.settlement.fence).collect();
        loop {
            let settlements = batch.iter().map(|ended| ended.settlement.clone()).collect();
            match self.storage.settle(settlements).await {
                Ok(outcomes) => {
                    for (Ended { settlement, subject }, outcome) in batch.iter().zip(outcomes) {
                        match (outcome, subject) {
                            (Err(Superseded), _) => {
                                let Fence { job, run, .. } = settlement.fence;
                                tracing::warn!(%job, run, "this run was taken away; its outcome does not count");
                            }
                            (Ok(state), Some(subject)) => self.webhooks.settled(subject, settlement, state),
                            (Ok(_), None) => {}
                        }
                    }
                    break;
                }
                Err(StorageError::Unavailable(reason)) => {
                    tracing::error!(reason, jobs = batch.len(), "failed to settle; trying again");
                    backoff.wait().await;
                }
                Err(error) if batch.len() > 1 => {
                    // One damaged record must not hold up the others.
                    tracing::error!(%error, "failed to settle a batch; settling one by one");
                    for ended in batch {
                        Box::pin(self.settle(vec![ended])).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "failed to settle; giving this run up");
                    break;
                }
            }
        }
        self.running.remove(fences.into_iter());
    }

    /// Writes what some runs logged and how far they are.
    async fn write_notes(&self, entries: Vec<Arc<Entry>>, persistence: Persistence) {
        let (sources, notes): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .filter_map(|entry| {
                let note = take_note(&entry)?;
                Some((entry, note))
            })
            .unzip();
        if notes.is_empty() {
            return;
        }
        let mut backoff = Backoff::default();
        loop {
            match self.storage.note(notes.clone()).await {
                Ok(outcomes) => {
                    for (entry, outcome) in sources.iter().zip(outcomes) {
                        if outcome.is_err() {
                            entry.stop.stop(StopReason::LeaseLost);
                        }
                    }
                    return;
                }
                Err(StorageError::Unavailable(reason)) if persistence == Persistence::UntilDone => {
                    tracing::error!(reason, "failed to write the last logs of runs; trying again");
                    backoff.wait().await;
                }
                Err(StorageError::Unavailable(reason)) => {
                    tracing::warn!(reason, "failed to write logs and progress; trying again");
                    sources.iter().zip(notes).for_each(|(entry, note)| put_back(entry, note));
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "failed to write logs and progress; leaving them out");
                    return;
                }
            }
        }
    }
}

/// Whether a write that fails is made again at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Persistence {
    /// There is a next time.
    TryOnce,
    /// There is none: the run has ended.
    UntilDone,
}

fn weight(settlement: &Settlement) -> usize {
    let result = match &settlement.next {
        Next::Succeeded { result: Some(result) } => result.as_str().len(),
        _ => 0,
    };
    result + settlement.follow_ups.iter().map(|job| job.payload.as_str().len()).sum::<usize>()
}

fn take_note(entry: &Entry) -> Option<Note> {
    let mut written = entry.written();
    let progress = written.progress.take();
    let lines: Vec<LogLine> = std::mem::take(&mut written.lines);
    (progress.is_some() || !lines.is_empty()).then_some(Note { fence: entry.fence, progress, lines })
}

/// Keeps what could not be written for the next time, before what was written meanwhile.
fn put_back(entry: &Entry, note: Note) {
    let mut written = entry.written();
    let newer = std::mem::replace(&mut written.lines, note.lines);
    written.lines.extend(newer);
    written.progress = written.progress.take().or(note.progress);
}
