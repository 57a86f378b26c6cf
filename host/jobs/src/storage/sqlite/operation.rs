//! What the writing thread carries out.

use tokio::sync::oneshot;

use super::{fault::Fault, tx::Tx};
use crate::storage::StorageError;

/// Whether an operation's effect must outlive a power cut when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// As the storage is configured.
    Promised,
    /// It need not: losing it in a power cut loses nothing that was promised, since the host is lost in the same cut.
    Relaxed,
}

/// An operation on its way to the writer.
pub(super) trait Operation: Send {
    fn durability(&self) -> Durability;
    /// Whether the log is to be folded into the database before it is answered.
    fn folds(&self) -> bool {
        false
    }
    fn apply(&mut self, tx: &mut Tx<'_>) -> Applied;
    /// Answers; `broken` says why nothing of it holds.
    fn answer(self: Box<Self>, broken: Option<&str>);
}

/// What came of an operation within its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Done,
    Undone,
    /// SQLite has rolled back the whole transaction.
    Broken,
}

/// An operation made of a closure.
pub(super) struct Step<F, T> {
    durability: Durability,
    step: Option<F>,
    outcome: Option<Result<T, StorageError>>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<F, T> Step<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send,
    T: Send,
{
    /// An operation, and where its answer comes.
    pub(super) fn new(durability: Durability, step: F) -> (Self, oneshot::Receiver<Result<T, StorageError>>) {
        let (reply, answered) = oneshot::channel();
        (Self { durability, step: Some(step), outcome: None, reply }, answered)
    }
}

impl<F, T> Operation for Step<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send,
    T: Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn apply(&mut self, tx: &mut Tx<'_>) -> Applied {
        let Some(step) = self.step.take() else { return Applied::Undone };
        let outcome = tx.in_savepoint(step);
        let applied = match &outcome {
            Ok(_) => Applied::Done,
            // Once it has met a damaged page, SQLite writes nothing more in the same transaction.
            Err(fault) if tx.db.is_autocommit() || fault.breaks_its_transaction() => Applied::Broken,
            Err(_) => Applied::Undone,
        };
        self.outcome = Some(outcome.map_err(StorageError::from));
        applied
    }

    fn answer(self: Box<Self>, broken: Option<&str>) {
        let answer = match (broken, self.outcome) {
            // An operation that failed by itself says why; one that only shared the transaction says what broke it.
            (_, Some(Err(error))) => Err(error),
            (Some(reason), _) => Err(StorageError::Unavailable(reason.to_owned())),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(StorageError::Unavailable("the operation was not carried out".to_owned())),
        };
        // Whoever asked may be gone; the effect holds all the same.
        let _ = self.reply.send(answer);
    }
}

/// Changes nothing: it is answered when all before it is committed and the log is folded into the database.
pub(super) struct Fold {
    reply: oneshot::Sender<()>,
}

impl Fold {
    /// The operation, and where its answer comes.
    pub(super) fn new() -> (Self, oneshot::Receiver<()>) {
        let (reply, answered) = oneshot::channel();
        (Self { reply }, answered)
    }
}

impl Operation for Fold {
    fn durability(&self) -> Durability {
        // What was written with less so far is made durable by the folding itself.
        Durability::Promised
    }

    fn folds(&self) -> bool {
        true
    }

    fn apply(&mut self, _: &mut Tx<'_>) -> Applied {
        Applied::Done
    }

    fn answer(self: Box<Self>, _: Option<&str>) {
        // Whoever asked may be gone.
        let _ = self.reply.send(());
    }
}
