//! Opening a database.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use rusqlite::{Connection, MAIN_DB, OpenFlags};
use tokio::sync::Semaphore;
use windlass_api::State;

use super::{
    SqliteStorage,
    damage::{Extent, MAX_SUSPECTS, set_suspect_aside},
    fault::READ_ONLY,
    findings, forerunner,
    ground::{self, Ground},
    hub::Hub,
    lock::HostLock,
    operation::Operation,
    options::{Role, SqliteOptions},
    pen::Pen,
    readers::Readers,
    schema,
    servers::{self, Passing},
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
const STATEMENTS: usize = 256;

/// The log is folded into the database after so many pages, 16 MiB: rarely enough to spare pages that change often, and
/// soon enough to keep it small.
const CHECKPOINT_PAGES: i64 = 4096;

/// What is kept of the log's file once it is folded, 64 MiB: one large import must not take its room for good.
const MAX_LOG_BYTES: i64 = 64 * 1024 * 1024;

/// What a database in memory is called.
const IN_MEMORY: &str = "the database in memory";

impl SqliteStorage {
    /// Opens a database, which is made where it is not there. A host takes the lock beside it, and gives up all servers
    /// that it finds there as lost: their process is gone. Where the lock file was removed, it waits up to 20 seconds until
    /// that is sure.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] where another host holds it, where it has several names (hard links), where it comes from a
    /// newer version, where it is not a Windlass database, where it may not be prepared and is not, or where it cannot be
    /// opened.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Arc<Self>, StorageError> {
        let path = path.as_ref();
        ground::refuse_second_name(path)?;
        if options.read_only && options.role == Role::Client {
            return Self::look(path, options);
        }
        let lock = (options.role == Role::Host).then(|| HostLock::take(path)).transpose()?;
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, options.prepare);
        let name = path.display().to_string();
        let open = || connect(&name, || Connection::open_with_flags(path, flags));
        let mut writer = open()?;
        schema::prepare(&mut writer, &name, options.prepare)?;
        set_up_writer(&writer, &name)?;
        let readers = (0..READERS)
            .map(|_| {
                let db = open()?;
                db.pragma_update(None, "query_only", true).map_err(|error| cannot_open(&name, error))?;
                Ok(db)
            })
            .collect::<Result<_, StorageError>>()?;
        // A host that was killed leaves servers behind as well, but its lock file too.
        if lock.as_ref().is_some_and(HostLock::is_new) {
            forerunner::wait_until_silent(&writer, options.clock.as_ref(), &name)?;
        }
        Self::start(writer, Some((Readers::start(readers)?, path.to_owned())), lock, options)
    }

    /// Opens a database that is not to be touched.
    fn look(path: &Path, options: SqliteOptions) -> Result<Arc<Self>, StorageError> {
        let name = path.display().to_string();
        let open = || connect(&name, || untouched(path));
        let mut db = open()?;
        schema::prepare(&mut db, &name, false)?;
        let readers = (0..READERS).map(|_| open()).collect::<Result<_, StorageError>>()?;
        Self::start(db, Some((Readers::start(readers)?, path.to_owned())), None, options)
    }

    /// A database in memory, gone with the last handle: for tests and trials.
    ///
    /// # Errors
    /// Where there is no memory or no thread for it.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Arc<Self>, StorageError> {
        let mut db = connect(IN_MEMORY, Connection::open_in_memory)?;
        schema::prepare(&mut db, IN_MEMORY, true)?;
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
        let ground = file.as_ref().map(|(_, path)| Ground::of(path, lock.as_ref())).unwrap_or_default();
        let ground = Arc::new(ground);
        let (role, retention) = (options.role, options.retention);
        let mut writer = Writer {
            db,
            operations: queue,
            clock: Arc::clone(&options.clock),
            retention,
            synchronous: options.synchronous,
            hub: Arc::clone(&hub),
            ground: Arc::clone(&ground),
            folds: !options.read_only,
            watches: file.is_some() && role == Role::Host,
        };
        if role == Role::Host {
            let name = file.as_ref().map_or_else(|| IN_MEMORY.to_owned(), |(_, path)| path.display().to_string());
            let swept = sweep_all(&mut writer, &name)?;
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
            ground,
            retention,
            clock: options.clock,
            synchronous: options.synchronous,
            role,
            path,
            stuck: Arc::default(),
            room: Semaphore::new(MAX_QUEUED),
        }))
    }
}

/// Gives up all servers of the database. One that cannot be written to is said to be so at once: waiting would not help.
fn sweep_all(writer: &mut Writer, name: &str) -> Result<usize, StorageError> {
    let swept = match writer.db.is_readonly(MAIN_DB) {
        Ok(true) => Err(StorageError::Unavailable(READ_ONLY.to_owned())),
        _ => sweep_past_suspects(writer),
    };
    swept.map_err(|error| match error {
        StorageError::Unavailable(text) if text == READ_ONLY => StorageError::Unusable(format!(
            "{name} cannot be written to: let the user that windlass runs as write to it and to its folder, or give it another \
             file"
        )),
        error => error,
    })
}

/// Goes on past jobs that stand on damaged pages: one such page must not keep a host from starting.
fn sweep_past_suspects(writer: &mut Writer) -> Result<usize, StorageError> {
    let passing = Arc::new(Passing::default());
    for _ in 0..MAX_SUSPECTS {
        let met = Arc::clone(&passing);
        let swept = writer.at_start(move |tx| servers::sweep_all(tx, &met));
        let seq = match passing.suspect.take() {
            Some(seq) if swept.is_err() => seq,
            _ => return swept,
        };
        tracing::error!(job = seq, "a job is passed over, because the database file is damaged where it stands");
        for extent in Extent::ALL {
            let aside = writer.at_start(move |tx| set_suspect_aside(tx, seq, State::Processing, extent));
            if !matches!(aside, Err(StorageError::Damaged(_))) {
                break;
            }
        }
        passing.pass(seq);
    }
    writer.at_start(move |tx| servers::sweep_all(tx, &passing))
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

/// A connection that leaves a file and what stands beside it as they are.
fn untouched(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let has_log = fs::metadata(findings::log_of(path)).is_ok_and(|log| log.len() > 0);
    match path.to_str() {
        // Whoever uses the database has a log, so that nobody does. SQLite would make one for whoever only reads, too.
        Some(path) if !has_log => {
            let name = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        _ => Connection::open_with_flags(path, flags),
    }
}

fn set_up_writer(db: &Connection, name: &str) -> Result<(), StorageError> {
    let set_up = || {
        let mode = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        db.pragma_update_and_check(None, "journal_size_limit", MAX_LOG_BYTES, |_| Ok(()))?;
        // The first look opens the log, so that it can be watched from here on.
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens what a host finds, with a server that it would have to give up.
    fn start(prepare: impl FnOnce(&Path, Connection) -> Connection) -> Result<Arc<SqliteStorage>, StorageError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let mut db = connect("a test", || Connection::open(&path)).unwrap();
        schema::prepare(&mut db, "a test", true).unwrap();
        db.execute_batch(
            "INSERT INTO servers (id, alive, beat, host, pid, version, queues, sync_slots, sync_busy, async_slots,
             async_busy, started_at, heartbeat_at) VALUES (zeroblob(16), 1, 0, '', 0, '', '[]', 0, 0, 0, 0, 0, 0)",
        )
        .unwrap();
        let db = prepare(&path, db);
        SqliteStorage::start(db, Some((Readers::start(Vec::new()).unwrap(), path)), None, SqliteOptions::host())
    }

    #[test]
    fn a_host_refuses_a_database_that_cannot_be_written_to() {
        let opened_so = |path: &Path, _| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let refuses_writes = |_: &Path, db: Connection| {
            db.pragma_update(None, "query_only", true).unwrap();
            db
        };
        for refused in [start(opened_so), start(refuses_writes)] {
            match refused {
                Err(StorageError::Unusable(text)) => {
                    assert!(text.contains("jobs.db cannot be written to: let the user"), "{text}");
                }
                other => panic!("should be unusable, but is {other:?}"),
            }
        }
        start(|_, db| db).unwrap();
    }
}
