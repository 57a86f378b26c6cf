//! The threads that read, so that looking never waits behind writing, and never blocks an async task.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::Fault;
use crate::storage::StorageError;

type Look = Box<dyn FnOnce(&mut Connection) + Send>;

/// A few connections, a thread each.
#[derive(Debug)]
pub(super) struct Readers {
    looks: mpsc::Sender<Look>,
}

impl Readers {
    /// Starts a thread for each connection. They end when this is dropped.
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, StorageError> {
        let (looks, queue) = mpsc::channel::<Look>();
        let queue = Arc::new(Mutex::new(queue));
        for mut db in connections {
            let queue = Arc::clone(&queue);
            let work = move || {
                loop {
                    // Whoever waits for the next look holds the lock; the others wait for the lock.
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(look) = next else { return };
                    look(&mut db);
                }
            };
            let thread = thread::Builder::new().name("windlass-sqlite-read".to_owned()).spawn(work);
            thread.map_err(|error| StorageError::Unusable(format!("a thread cannot be started: {error}")))?;
        }
        Ok(Self { looks })
    }

    /// Looks at one state of the database, whatever is written meanwhile.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |db| {
            let seen = db.transaction().map_err(Fault::from).and_then(|snapshot| look(&snapshot));
            // Whoever asked may be gone.
            let _ = answer.send(seen.map_err(StorageError::from));
        });
        let gone = || StorageError::Unavailable("the storage is closed".to_owned());
        self.looks.send(look).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}
