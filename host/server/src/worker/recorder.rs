//! Writes what runs leave behind: logs and progress while they last, settlements when they have ended.
//!
//! One task does both, one after the other, so that a run's last lines are written before the settlement that closes
//! its fence. What ended while a write was under way is settled together in the next one.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::MissedTickBehavior};
use windlass_api::LogLine;
use windlass_jobs::{
    Fence, Settlement,
    storage::{Note, Storage, StorageError, Superseded},
};
use windlass_wasm::StopReason;

use super::{backoff::Backoff, running::Running};

/// How often logs and progress are written: twice a second is what a reader can follow.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// No write settles more at once, so that an answer stays quick.
const MAX_BATCH: usize = 500;

/// No write settles more bytes of results and follow-up jobs at once.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// Takes settlements.
#[derive(Clone, Debug)]
pub(super) struct Recorder(mpsc::UnboundedSender<Settlement>);

impl Recorder {
    /// Starts the task. It ends when every sender is gone and all is written.
    pub(super) fn start(storage: Arc<dyn Storage>, running: Arc<Running>) -> (Self, JoinHandle<()>) {
        // Unbounded, since each settlement holds a run of which there are no more than the server claimed.
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), tokio::spawn(record(storage, running, receiver)))
    }

    pub(super) fn settle(&self, settlement: Settlement) {
        if self.0.send(settlement).is_err() {
            tracing::error!("the recorder is gone; the run is settled when this server is noticed as lost");
        }
    }
}

async fn record(storage: Arc<dyn Storage>, running: Arc<Running>, mut ended: mpsc::UnboundedReceiver<Settlement>) {
    let mut tick = tokio::time::interval(WRITE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    let mut left_over = None;
    loop {
        if left_over.is_none() {
            tokio::select! {
                biased;
                first = ended.recv() => match first {
                    Some(first) => left_over = Some(first),
                    None => return,
                },
                _ = tick.tick() => {
                    write_notes(&storage, &running, running.entries().iter().map(|entry| entry.fence)).await;
                    continue;
                }
            }
        }
        let mut bytes = 0;
        while let Some(settlement) = left_over.take().or_else(|| ended.try_recv().ok()) {
            bytes += weight(&settlement);
            if !batch.is_empty() && (batch.len() >= MAX_BATCH || bytes > MAX_BATCH_BYTES) {
                left_over = Some(settlement);
                break;
            }
            batch.push(settlement);
        }
        write_notes(&storage, &running, batch.iter().map(|settlement| settlement.fence)).await;
        settle(&storage, &running, std::mem::take(&mut batch)).await;
    }
}

fn weight(settlement: &Settlement) -> usize {
    let result = match &settlement.next {
        windlass_jobs::Next::Succeeded { result: Some(result) } => result.as_str().len(),
        _ => 0,
    };
    result + settlement.follow_ups.iter().map(|job| job.payload.as_str().len()).sum::<usize>()
}

/// Settles a batch, trying again for as long as storage is away: what a run did must not be forgotten.
async fn settle(storage: &Arc<dyn Storage>, running: &Running, batch: Vec<Settlement>) {
    let mut backoff = Backoff::default();
    let fences: Vec<Fence> = batch.iter().map(|settlement| settlement.fence).collect();
    loop {
        match storage.settle(batch.clone()).await {
            Ok(outcomes) => {
                for (fence, outcome) in fences.iter().zip(outcomes) {
                    if let Err(Superseded) = outcome {
                        tracing::warn!(job = %fence.job, run = fence.run, "this run was taken away; its outcome does not count");
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
                for settlement in batch {
                    Box::pin(settle(storage, running, vec![settlement])).await;
                }
                return;
            }
            Err(error) => {
                tracing::error!(%error, "failed to settle; giving this run up");
                break;
            }
        }
    }
    running.remove(fences.into_iter());
}

/// Writes what some runs logged and how far they are.
async fn write_notes(storage: &Arc<dyn Storage>, running: &Running, fences: impl Iterator<Item = Fence>) {
    let mut sources = Vec::new();
    let notes: Vec<Note> = fences
        .filter_map(|fence| {
            let entry = running.get(fence)?;
            let note = {
                let mut written = entry.written();
                let progress = written.progress.take();
                let lines: Vec<LogLine> = std::mem::take(&mut written.lines);
                Note { fence, progress, lines }
            };
            if note.progress.is_none() && note.lines.is_empty() {
                return None;
            }
            sources.push(entry);
            Some(note)
        })
        .collect();
    if notes.is_empty() {
        return;
    }
    match storage.note(notes.clone()).await {
        Ok(outcomes) => {
            for (entry, outcome) in sources.iter().zip(outcomes) {
                if outcome.is_err() {
                    entry.stop.stop(StopReason::LeaseLost);
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "failed to write logs and progress; trying again");
            for (entry, note) in sources.into_iter().zip(notes) {
                let mut written = entry.written();
                let newer = std::mem::replace(&mut written.lines, note.lines);
                written.lines.extend(newer);
                written.progress = written.progress.take().or(note.progress);
            }
        }
    }
}
