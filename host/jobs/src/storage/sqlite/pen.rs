//! The way to the writing thread.

use std::{sync::mpsc::Sender, thread};

use super::{lock::HostLock, operation::Operation, writer::Writer};
use crate::storage::StorageError;

/// The way to the writing thread. Dropping it waits until the last operation is committed, so that whoever opens the
/// database next finds its lock free.
#[derive(Debug)]
pub(super) struct Pen {
    operations: Option<Sender<Box<dyn Operation>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Pen {
    /// Starts the thread; `lock` is held as long as it runs.
    pub(super) fn start(
        writer: Writer,
        operations: Sender<Box<dyn Operation>>,
        lock: Option<HostLock>,
    ) -> Result<Self, StorageError> {
        let work = move || {
            writer.run();
            drop(lock);
        };
        let thread = thread::Builder::new().name("windlass-sqlite-write".to_owned()).spawn(work);
        let thread = thread.map_err(|error| StorageError::Unusable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { operations: Some(operations), thread: Some(thread) })
    }

    /// Queues an operation; gives whether the thread is still there.
    pub(super) fn send(&self, operation: Box<dyn Operation>) -> bool {
        self.operations.as_ref().is_some_and(|operations| operations.send(operation).is_ok())
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        drop(self.operations.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes to the database has panicked");
        }
    }
}
