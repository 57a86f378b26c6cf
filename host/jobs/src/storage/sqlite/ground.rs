//! Whether the files that are open are still those that stand under their names.
//!
//! What is written to a file that was removed, or that another one was put in the place of, is gone with the process; and
//! where that happened to the lock file, a second host can start. No write is acknowledged from then on.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::lock::HostLock;
use crate::storage::StorageError;

/// How long a look holds for what need not outlast a power cut. Heartbeats come far less often, so each of them looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What tells a file from all others of its machine.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// Elsewhere nobody can remove a file that is open.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// A file that is open.
#[derive(Debug)]
struct Standing {
    what: &'static str,
    path: PathBuf,
    identity: (u64, u64),
}

impl Standing {
    fn of(what: &'static str, path: PathBuf, metadata: Option<&Metadata>) -> Option<Self> {
        Some(Self { what, identity: identity(metadata?)?, path })
    }

    /// What became of it; nothing where it stands.
    fn loss(&self) -> Option<&'static str> {
        match fs::metadata(&self.path) {
            Ok(metadata) if identity(&metadata) == Some(self.identity) => None,
            Ok(_) => Some("replaced by another one"),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Some("removed or moved away")
            }
            // Whoever may not look knows nothing.
            Err(_) => None,
        }
    }
}

/// What an open database stands on.
#[derive(Debug, Default)]
pub(super) struct Ground {
    files: Vec<Standing>,
    seen: Mutex<Seen>,
}

/// What the last look found. The lock is held for the few microseconds of a look, and no look needs another's outcome.
#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    loss: Option<String>,
}

impl Ground {
    /// Of a database whose connections are open and have read it, so that its log is there.
    pub(super) fn of(database: &Path, lock: Option<&HostLock>) -> Self {
        let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let beside = |what, end: &str| {
            let mut name = real.clone().into_os_string();
            name.push(end);
            let path = PathBuf::from(name);
            let metadata = fs::metadata(&path).ok();
            Standing::of(what, path, metadata.as_ref())
        };
        let lock =
            lock.and_then(|lock| Standing::of("the lock file", lock.path().to_owned(), lock.metadata().as_ref()));
        let files = [
            Standing::of("the database file", database.to_owned(), fs::metadata(database).ok().as_ref()),
            beside("the write-ahead log", "-wal"),
            beside("the log's index", "-shm"),
            lock,
        ];
        Self { files: files.into_iter().flatten().collect(), seen: Mutex::default() }
    }

    /// Looks, and refuses where something is not where it was.
    pub(super) fn look(&self) -> Result<(), StorageError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.look_anew(&mut seen);
        seen.outcome()
    }

    /// The same, from the last look where that is young enough.
    pub(super) fn look_at_times(&self) -> Result<(), StorageError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look_anew(&mut seen);
        }
        seen.outcome()
    }

    fn look_anew(&self, seen: &mut Seen) {
        seen.at = Some(Instant::now());
        let found = self.files.iter().find_map(|file| Some((file, file.loss()?)));
        let loss = found.map(|(Standing { what, path, .. }, became)| {
            format!(
                "{what} {} was {became} while windlass uses it, so that nothing more is stored: stop this process, put the \
                 file back if you have it, and start it again",
                path.display()
            )
        });
        match (&seen.loss, &loss) {
            (None, Some(loss)) => tracing::error!("{loss}; what was stored last may be gone when this process ends"),
            (Some(_), None) => tracing::warn!("the files of the database are back where they were; going on"),
            _ => {}
        }
        seen.loss = loss;
    }
}

impl Seen {
    fn outcome(&self) -> Result<(), StorageError> {
        self.loss.as_ref().map_or(Ok(()), |loss| Err(StorageError::Unavailable(loss.clone())))
    }
}

/// Refuses a database that has a second name: SQLite keeps its log by the name that it was opened with, so that two
/// processes that use different ones would not see each other's writes and destroy the file.
pub(super) fn refuse_second_name(database: &Path) -> Result<(), StorageError> {
    match names(database) {
        Some(names) if names > 1 => Err(StorageError::Unusable(format!(
            "{} has {names} names (hard links), and SQLite keeps what was written last under only one of them: remove the \
             others (`find -samefile` finds them), or give windlass a copy",
            database.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn names(database: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(database).ok().filter(Metadata::is_file).map(|metadata| metadata.nlink())
}

#[cfg(not(unix))]
fn names(_: &Path) -> Option<u64> {
    None
}
