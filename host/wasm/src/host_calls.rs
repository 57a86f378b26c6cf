//! What a handler may call: the contract's imports. Everything that a guest hands over is bounded here, before the
//! host sees it.

use std::time::Instant;

use crate::{
    contract::{
        CheckpointError, EnqueueError, Level, Parent, ParentError, Request, bindings, config, context, log, queue,
    },
    failure::clip,
    store::RunState,
};

/// No note of a progress report is longer, in bytes.
const MAX_NOTE_BYTES: usize = 1_000;

/// No key of a checkpoint is longer, in bytes.
const MAX_KEY_BYTES: usize = 200;

impl bindings::windlass::job::types::Host for RunState {}

impl log::Host for RunState {
    fn write(&mut self, level: Level, message: String, fields: Option<String>) -> wasmtime::Result<()> {
        self.logs.write(level, message, fields);
        Ok(())
    }
}

impl context::Host for RunState {
    fn progress(&mut self, percent: f32, note: Option<String>) -> wasmtime::Result<()> {
        // `clamp` lets "not a number" through.
        let percent = if percent.is_nan() { 0.0 } else { percent.clamp(0.0, 100.0) };
        self.host.progress(percent, note.map(|note| clip(note, MAX_NOTE_BYTES)));
        Ok(())
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.stop.is_cancelled())
    }

    fn remaining(&mut self) -> wasmtime::Result<Option<u64>> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Ok(left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
    }

    async fn get_checkpoint(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, CheckpointError>> {
        if let Err(error) = check_key(&key) {
            return Ok(Err(error));
        }
        Ok(self.host.checkpoint(&key).await)
    }

    async fn put_checkpoint(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), CheckpointError>> {
        if let Err(error) = check_key(&key).and_then(|()| check_value(&value, self.checkpoint_bytes)) {
            return Ok(Err(error));
        }
        Ok(self.host.put_checkpoint(&key, value).await)
    }

    async fn get_parent(&mut self, id: String) -> wasmtime::Result<Result<Parent, ParentError>> {
        Ok(self.host.parent(&id).await)
    }
}

fn check_key(key: &str) -> Result<(), CheckpointError> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    Err(CheckpointError::TooLarge(format!("the key has {} bytes: expected 1 to {MAX_KEY_BYTES}", key.len())))
}

fn check_value(value: &str, limit: u64) -> Result<(), CheckpointError> {
    if value.len() as u64 > limit {
        let message = format!("the value has {} bytes: expected at most {limit}", value.len());
        return Err(CheckpointError::TooLarge(message));
    }
    check_json(value).map_err(CheckpointError::InvalidJson)
}

/// Whether text is one JSON value; the error says where it stops being so.
pub(crate) fn check_json(text: &str) -> Result<(), String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| error.to_string())
}

impl config::Host for RunState {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.grants.config.get(&key).cloned())
    }

    fn secret(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.grants.secrets.get(&key).cloned())
    }
}

impl queue::Host for RunState {
    async fn enqueue(&mut self, request: Request) -> wasmtime::Result<Result<String, EnqueueError>> {
        Ok(match self.admit(&request) {
            Ok(()) => self.host.enqueue(request).await,
            Err(error) => Err(error),
        })
    }
}

impl RunState {
    /// Counts a job against the run's limits. One that the host then refuses counts too: asking costs.
    fn admit(&mut self, request: &Request) -> Result<(), EnqueueError> {
        let limit_reached = |message| Err(EnqueueError::LimitReached(message));
        let Some(left) = self.follow_ups_left.checked_sub(1) else {
            return limit_reached(format!("a run may enqueue at most {} jobs", self.limits.count));
        };
        let Some(bytes_left) = self.follow_up_bytes_left.checked_sub(size(request)) else {
            return limit_reached(format!("a run may enqueue at most {} bytes of jobs", self.limits.bytes));
        };
        if let Err(error) = check_json(&request.payload) {
            return Err(EnqueueError::Invalid(format!("payload is not JSON: {error}")));
        }
        self.follow_ups_left = left;
        self.follow_up_bytes_left = bytes_left;
        Ok(())
    }
}

fn size(request: &Request) -> u64 {
    let pairs = request.headers.iter().chain(&request.extensions).map(|(name, value)| name.len() + value.len());
    let tags = request.tags.iter().map(String::len);
    let queue = request.queue.as_ref().map_or(0, String::len);
    let bytes = pairs.chain(tags).sum::<usize>() + request.payload.len() + request.handler.len() + queue;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
