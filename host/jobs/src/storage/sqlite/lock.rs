//! The lock that makes a process the only host of a database.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use fs4::{FileExt, TryLockError};

use crate::storage::StorageError;

/// Held as long as this lives; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct HostLock {
    file: File,
    path: PathBuf,
    /// Whether nobody had held it before.
    is_new: bool,
}

impl HostLock {
    /// Takes the lock beside a database.
    pub(super) fn take(database: &Path) -> Result<Self, StorageError> {
        // Two names of one database must meet at one lock.
        let path = beside(&resolved(database, MAX_LINKS));
        let failed = |error: &dyn std::fmt::Display| {
            StorageError::Unusable(format!("the lock file {} cannot be used: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        // Not truncated: while another process holds the lock, the file says which.
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| failed(&error))?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file).map_or_else(String::new, |pid| format!(" (process {pid})"));
                return Err(StorageError::Unusable(format!(
                    "another windlass host{holder} uses {}; stop it or give this one its own storage",
                    database.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let is_new = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        let pid = std::process::id();
        // Only a help for whoever meets the lock: failing to say who holds it does no harm.
        let _ = file.set_len(0).and_then(|()| write!(file, "{pid}")).and_then(|()| file.flush());
        Ok(Self { file, path, is_new })
    }

    /// Where the lock file stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is held, wherever it stands by now.
    pub(super) fn metadata(&self) -> Option<Metadata> {
        self.file.metadata().ok()
    }

    /// Whether the file was not there, or nobody had held it before: then it tells nothing of earlier hosts.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }
}

/// How many links to a file that is not there yet are followed.
const MAX_LINKS: usize = 40;

/// The path without links. A database that is not there yet will be made where its folder, or its link, leads to.
fn resolved(path: &Path, links: usize) -> PathBuf {
    if let Ok(canonical) = path.canonicalize() {
        return canonical;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match path.read_link() {
        Ok(target) if links > 0 => resolved(&folder.join(target), links - 1),
        _ => match (folder.canonicalize(), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            // It cannot be opened, and the attempt to says so.
            _ => path.to_owned(),
        },
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
