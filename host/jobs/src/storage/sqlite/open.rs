//! Opening a database.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::{
    SqliteStorage,
    hub::Hub,
    lock::HostLock,
    operation::Operation,
    options::{Role, SqliteOptions},
    pen::Pen,
    readers::Readers,
    schema, servers,
    writer::Writer,
};
use crate::{Clock, storage::StorageError};

/// How long a connection waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads run side by side up to this number; each takes a thread and a connection.
const READERS: usize = 3;

/// Operations that may queue up before callers wait for room.
const MAX_QUEUED: usize = 4096;

/// Statements that a connection keeps prepared: all that there are, and some of the lists'.
const STATEMENTS: usize = 192;

/// The log is folded into the database after so many pages, 16 MiB: rarely enough to spare pages that change often, and
/// soon enough to keep it small.
const CHECKPOINT_PAGES: i64 = 4096;

impl SqliteStorage {
    /// Opens a database, which is made where it is not there. A host takes the lock beside it, and gives up all servers
    /// that it finds there as lost: their process is gone.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] where another host holds it, where it comes from a newer version, where it is not a
    /// Windlass database, or where it cannot be opened.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Arc<Self>, StorageError> {
        let path = path.as_ref();
        let lock = (options.role == Role::Host).then(|| HostLock::take(path)).transpose()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let name = path.display().to_string();
        let open = || connect(&name, || Connection::open_with_flags(path, flags));
        let mut writer = open()?;
        schema::prepare(&mut writer, &name)?;
        set_up_writer(&writer, &name)?;
        let readers = (0..READERS)
            .map(|_| {
                let db = open()?;
                db.pragma_update(None, "query_only", true).map_err(|error| cannot_open(&name, error))?;
                Ok(db)
            })
            .collect::<Result<_, StorageError>>()?;
        Self::start(writer, Some((Readers::start(readers)?, path.to_owned())), lock, options)
    }

    /// A database in memory, gone with the last handle: for tests and trials.
    ///
    /// # Errors
    /// Where there is no memory or no thread for it.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Arc<Self>, StorageError> {
        let name = "the database in memory";
        let mut db = connect(name, Connection::open_in_memory)?;
        schema::prepare(&mut db, name)?;
        Self::start(db, None, None, SqliteOptions { role: Role::Host, clock, ..SqliteOptions::default() })
    }

    fn start(
        db: Connection,
        file: Option<(Readers, PathBuf)>,
        lock: Option<HostLock>,
        options: SqliteOptions,
    ) -> Result<Arc<Self>, StorageError> {
        let hub = Arc::new(Hub::new());
        let (operations, queue) = mpsc::channel::<Box<dyn Operation>>();
        let (role, retention) = (options.role, options.retention);
        let mut writer = Writer {
            db,
            operations: queue,
            clock: Arc::clone(&options.clock),
            retention,
            synchronous: options.synchronous,
            hub: Arc::clone(&hub),
            watches: file.is_some() && role == Role::Host,
        };
        if role == Role::Host {
            let swept = writer.at_start(servers::sweep_all)?;
            if swept > 0 {
                tracing::warn!(jobs = swept, "took jobs away from servers that were lost");
            }
        }
        let pen = Pen::start(writer, operations, lock)?;
        let (readers, path) = file.unzip();
        Ok(Arc::new(Self {
            pen,
            readers,
            hub,
            retention,
            clock: options.clock,
            synchronous: options.synchronous,
            path,
            room: Semaphore::new(MAX_QUEUED),
        }))
    }
}

fn cannot_open(name: &str, error: rusqlite::Error) -> StorageError {
    super::fault::Fault::from(error).on_open(name)
}

fn connect(name: &str, open: impl FnOnce() -> rusqlite::Result<Connection>) -> Result<Connection, StorageError> {
    let set_up = |db: Connection| {
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(db)
    };
    open().and_then(set_up).map_err(|error| cannot_open(name, error))
}

fn set_up_writer(db: &Connection, name: &str) -> Result<(), StorageError> {
    let set_up = || {
        let mode = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Ok(mode)
    };
    match set_up() {
        Ok(mode) if mode.eq_ignore_ascii_case("wal") => Ok(()),
        Ok(mode) => Err(StorageError::Unusable(format!(
            "{name} cannot be used with a write-ahead log (its journal mode stays `{mode}`): put it on a local disk"
        ))),
        Err(error) => Err(cannot_open(name, error)),
    }
}
