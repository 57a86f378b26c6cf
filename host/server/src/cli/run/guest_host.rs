//! What a run reaches of its job when there is no host: everything is told on the terminal, nothing is kept.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use uuid::Uuid;
use windlass_wasm::{
    RunHost,
    contract::{CheckpointError, EnqueueError, Level, Parent, ParentError, Request},
};

use super::super::{format, output::say};
use crate::modules::manifest;

/// A guest may report its progress in every turn of a loop; nobody reads faster than this.
const BETWEEN_PROGRESS: Duration = Duration::from_millis(500);

/// The host of one run on a terminal.
#[derive(Debug, Default)]
pub(super) struct TerminalHost {
    /// Locked to read or write one entry.
    checkpoints: Mutex<HashMap<String, String>>,
    /// When progress was shown last; locked to look and set.
    progress_at: Mutex<Option<Instant>>,
}

#[async_trait]
impl RunHost for TerminalHost {
    fn log(&self, level: Level, message: String, fields: Option<String>) {
        let fields = fields.map(|fields| format!(" {fields}")).unwrap_or_default();
        say(&format!("{:5} {}", manifest::level(level), format::harmless(&format!("{message}{fields}"))));
    }

    fn progress(&self, percent: f32, note: Option<String>) {
        let mut shown_at = self.progress_at.lock().unwrap_or_else(PoisonError::into_inner);
        if percent >= 100.0 || shown_at.is_none_or(|shown_at| shown_at.elapsed() >= BETWEEN_PROGRESS) {
            *shown_at = Some(Instant::now());
            say(&format!("{percent:4.0} % {}", format::one_line(note.as_deref().unwrap_or_default(), 200)));
        }
    }

    async fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError> {
        Ok(self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    async fn put_checkpoint(&self, key: &str, value: String) -> Result<(), CheckpointError> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value);
        Ok(())
    }

    async fn parent(&self, id: &str) -> Result<Parent, ParentError> {
        Err(ParentError::Unknown(format!(
            "job {} is no parent of this one: a single run has none",
            format::one_line(id, 60)
        )))
    }

    async fn enqueue(&self, request: Request) -> Result<String, EnqueueError> {
        let (handler, payload) = (format::one_line(&request.handler, 200), format::one_line(&request.payload, 200));
        say(&format!("a host would enqueue a job for {handler}: {payload}"));
        Ok(Uuid::now_v7().to_string())
    }
}
