//! What goes wrong with SQLite, in the words of a storage.

use rusqlite::{Error, ErrorCode};

use crate::storage::{Refusal, StorageError};

/// What is said of a file whose pages do not make sense.
pub(super) const DAMAGED_FILE: &str = "the database file itself";

/// What is said of a file that SQLite may read only.
pub(super) const READ_ONLY: &str = "the database cannot be written to";

/// What went wrong inside of a step.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said so.
    Sqlite(Error),
    /// A record does not make sense; the text names it.
    Damaged(String),
    /// The cursor that was given is none.
    Cursor(String),
    /// What was to be kept is over a limit.
    TooLarge(String),
    /// A job of the call cannot stand beside what is there.
    Refused { position: usize, refusal: Refusal },
    /// What follows from a step could not be done in its transaction, which is rolled back; the step can be repeated.
    Unfollowed,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    pub(super) fn damaged(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("{what}: {why}"))
    }

    /// What was given is no cursor; only its beginning is told.
    pub(super) fn cursor(given: &str) -> Self {
        Self::Cursor(given.chars().take(80).collect())
    }

    /// Whether SQLite finds the file damaged.
    pub(super) fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt))
    }

    /// Whether nothing more can be written in the transaction that met it.
    pub(super) fn breaks_its_transaction(&self) -> bool {
        matches!(self, Self::Unfollowed) || self.is_of_the_file()
    }

    /// Whether a single record is at fault, so that others are worth going on with.
    pub(super) fn is_of_a_record(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            // Not SQLite's own: a value of another type than its column should hold, or a row that is not there.
            Self::Sqlite(error) => error.sqlite_error_code().is_none(),
            Self::Cursor(_) | Self::TooLarge(_) | Self::Refused { .. } | Self::Unfollowed => false,
        }
    }

    /// The same where it kept the database from being opened.
    pub(super) fn on_open(self, name: &str) -> StorageError {
        match StorageError::from(self) {
            StorageError::Unavailable(text) => StorageError::Unusable(format!("{name} cannot be opened: {text}")),
            StorageError::Damaged(text) => StorageError::Unusable(format!("{name} cannot be used: {text}")),
            error => error,
        }
    }
}

impl From<Fault> for StorageError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(text) => Self::Damaged(text),
            Fault::Cursor(given) => Self::InvalidCursor(given),
            Fault::TooLarge(text) => Self::TooLarge(text),
            Fault::Refused { position, refusal } => Self::Refused { position, refusal },
            Fault::Unfollowed => Self::Unavailable(
                "the transaction was rolled back, because what follows from it met a damaged page; try again"
                    .to_owned(),
            ),
            Fault::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(DAMAGED_FILE.to_owned()),
                Some(ErrorCode::NotADatabase) => Self::Damaged("the file is not a database".to_owned()),
                Some(ErrorCode::DiskFull) => Self::Unavailable("the disk is full; make room on it".to_owned()),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Self::Unavailable("another process holds the database; try again".to_owned())
                }
                Some(ErrorCode::ReadOnly) => Self::Unavailable(READ_ONLY.to_owned()),
                // Some limits, such as a quota, do not look like a full disk to SQLite.
                Some(ErrorCode::SystemIoFailure) => Self::Unavailable(format!(
                    "the database cannot be read or written ({error}): see whether its disk is full, over a quota, or failing"
                )),
                Some(_) => Self::Unavailable(error.to_string()),
                // Not SQLite's own: a value of another type than its column should hold.
                None => Self::Damaged(error.to_string()),
            },
        }
    }
}
