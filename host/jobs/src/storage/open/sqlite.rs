//! SQLite files: what can be told of one before it is opened, so that a wrong path leaves nothing behind.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Migration, OpenOptions, Role};
use crate::storage::{
    Storage, StorageError, StorageUrl,
    sqlite::{self, SqliteOptions, SqliteStorage},
};

/// What every SQLite database begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Where its header holds the version that the database's owner counts, in 4 bytes, the highest first.
const USER_VERSION: usize = 60;

/// How long its header is.
const HEADER: usize = 100;

pub(super) async fn open(url: &StorageUrl, options: OpenOptions) -> Result<Arc<dyn Storage>, StorageError> {
    let OpenOptions { role, prepare, read_only, retention, synchronous } = options;
    let prepare = prepare && !read_only;
    let role = match role {
        Role::Host => sqlite::Role::Host,
        Role::Client => sqlite::Role::Client,
    };
    let path = path_of(url);
    // Opening waits for locks and reads the disk.
    on_thread(move || {
        if look(&path)?.is_none() && !prepare {
            let path = path.display();
            let what = format!("there is no storage in {path} yet: correct the path, or let `windlass serve` make it");
            return Err(StorageError::Absent { what, findings: Vec::new() });
        }
        let options = SqliteOptions { role, prepare, read_only, synchronous, retention, ..SqliteOptions::default() };
        let storage: Arc<dyn Storage> = SqliteStorage::open(path, options)?;
        Ok(storage)
    })
    .await
}

pub(super) async fn migrate(url: &StorageUrl) -> Result<Migration, StorageError> {
    let path = path_of(url);
    on_thread(move || {
        // A database that nothing was made in yet has version 0.
        let from = look(&path)?.filter(|version| *version > 0);
        SqliteStorage::open(&path, SqliteOptions::default())?;
        Ok(Migration { from, to: sqlite::SCHEMA_VERSION })
    })
    .await
}

fn path_of(url: &StorageUrl) -> PathBuf {
    url.file().map(Path::to_owned).unwrap_or_default()
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| StorageError::Unavailable(format!("opening it broke off: {error}")))?
}

/// The version of the schema in a file, or nothing where there is no file or an empty one.
fn look(path: &Path) -> Result<Option<u32>, StorageError> {
    let shown = path.display();
    let unusable = |text: String| Err(StorageError::Unusable(text));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return absent(path).map(|()| None),
        Err(error) => return unusable(format!("{shown} cannot be opened: {error}")),
    };
    if metadata.is_dir() {
        return unusable(format!(
            "{shown} is a folder: name a file in it, such as {}",
            path.join("windlass.db").display()
        ));
    }
    if !metadata.is_file() {
        return unusable(format!("{shown} is no plain file: give windlass a file of its own"));
    }
    let mut header = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut header));
    if let Err(error) = read {
        return unusable(format!("{shown} cannot be read: {error}"));
    }
    if header.is_empty() {
        return Ok(None);
    }
    let version = header.get(USER_VERSION..USER_VERSION + 4).and_then(|bytes| bytes.try_into().ok());
    match version {
        Some(version) if header.starts_with(MAGIC) => Ok(Some(u32::from_be_bytes(version))),
        _ => unusable(format!("{shown} is not a database: give windlass a file of its own")),
    }
}

/// Whether a file could be made there.
fn absent(path: &Path) -> Result<(), StorageError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // A link to a file that is not there yet leads elsewhere; opening it tells.
    if folder.is_dir() || path.is_symlink() {
        return Ok(());
    }
    let (folder, path) = (folder.display(), path.display());
    Err(StorageError::Unusable(format!(
        "{path} cannot be made, since there is no folder {folder}: make it, or correct the path"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    async fn refusal(path: &Path, options: OpenOptions) -> String {
        match super::super::open(&StorageUrl::sqlite(path), options).await {
            Ok(_) => panic!("{} was opened", path.display()),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_a_storage_is_refused_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        fs::write(&text, "This is not a database. ".repeat(20)).unwrap();
        let short = folder.path().join("short");
        fs::write(&short, "SQLite format 3\0").unwrap();
        for role in [Role::Host, Role::Client] {
            let options = || OpenOptions { role, ..OpenOptions::default() };
            assert!(refusal(&text, options()).await.contains("notes.txt is not a database"));
            assert!(refusal(&short, options()).await.contains("short is not a database"));
            let error = refusal(folder.path(), options()).await;
            assert!(error.contains("is a folder: name a file in it"), "{error}");
            let error = refusal(&folder.path().join("a/b.db"), options()).await;
            assert!(error.contains("there is no folder"), "{error}");
        }
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, ["notes.txt", "short"]);
    }

    #[tokio::test]
    async fn without_preparing_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windlass.db");
        let looking = || OpenOptions { prepare: false, ..OpenOptions::default() };
        assert!(refusal(&path, looking()).await.contains("there is no storage in"));
        assert!(names(folder.path()).is_empty());

        let url = StorageUrl::sqlite(&path);
        let made = super::super::migrate(&url).await.unwrap();
        assert_eq!((made.from, made.to > 0), (None, true));
        let again = super::super::migrate(&url).await.unwrap();
        assert_eq!((again.from, again.to), (Some(made.to), made.to));
        super::super::open(&url, looking()).await.unwrap();
    }

    #[tokio::test]
    async fn without_preparing_an_empty_database_is_refused_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windlass.db");
        // It has a header, and nothing in it.
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a); DROP TABLE t; VACUUM").unwrap();
        let before = fs::read(&path).unwrap();
        let looking = OpenOptions { prepare: false, ..OpenOptions::default() };
        let error = refusal(&path, looking).await;
        assert!(error.contains("run `windlass storage migrate`"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
        let made = super::super::migrate(&StorageUrl::sqlite(&path)).await.unwrap();
        assert_eq!(made, Migration { from: None, to: sqlite::SCHEMA_VERSION });
    }

    #[tokio::test]
    async fn a_second_host_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windlass.db");
        let first = super::super::open(&StorageUrl::sqlite(&path), OpenOptions::host()).await.unwrap();
        assert!(refusal(&path, OpenOptions::host()).await.contains("another windlass host"));
        drop(first);
    }
}
