//! Opening the storage that a URL names: the same way for hosts, for tools and for applications.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use super::{Retention, Storage, StorageError, StorageKind, StorageUrl};

/// What this process does with a storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It runs jobs. An SQLite file has one host at a time.
    Host,
    /// It enqueues and looks.
    #[default]
    Client,
}

/// How a storage is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What this process does with it; a client's work by default.
    pub role: Role,
    /// Whether to make a storage that is not there, and to bring one of an older version to this one; yes by default.
    pub prepare: bool,
    /// Whether nothing is written at all, not even what SQLite keeps beside its file; no by default. Whatever would write is
    /// refused then, and nothing is prepared.
    pub read_only: bool,
    /// How long ended jobs and logs are kept.
    pub retention: Retention,
    /// When a write of SQLite's counts as done; on the disk by default. The others are set up where they run.
    #[cfg(feature = "sqlite")]
    pub synchronous: super::sqlite::Synchronous,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            role: Role::Client,
            prepare: true,
            read_only: false,
            retention: Retention::default(),
            #[cfg(feature = "sqlite")]
            synchronous: super::sqlite::Synchronous::default(),
        }
    }
}

impl OpenOptions {
    /// The options of a host, everything else by default.
    #[must_use]
    pub fn host() -> Self {
        Self { role: Role::Host, ..Self::default() }
    }
}

/// What was done to bring a storage to the version that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that it had; nothing where there was no storage yet.
    pub from: Option<u32>,
    /// The version that it has now.
    pub to: u32,
}

/// Opens a storage.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use windlass_jobs::{
///     Client,
///     storage::{OpenOptions, StorageUrl, open},
/// };
///
/// # let folder = tempfile::tempdir()?;
/// # let text = format!("sqlite:{}", folder.path().join("windlass.db").display());
/// // Such as "postgres://windlass:secret@localhost/jobs".
/// let url: StorageUrl = text.parse()?;
/// let client = Client::new(open(&url, OpenOptions::default()).await?);
/// assert!(client.queues().await?.is_empty());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
///
/// # Errors
/// [`StorageError::Unavailable`] where it cannot be reached now: another try may help. [`StorageError::Unusable`] where it
/// cannot be used as it is, [`StorageError::Absent`] where there is none and [`OpenOptions::prepare`] is off; the text
/// explains it: a wrong password, a missing database, a newer version, another host
/// on the same SQLite file, or a kind of storage that this program was built without.
#[cfg_attr(
    not(any(feature = "postgres", feature = "redis", feature = "sqlite")),
    expect(unused_variables, reason = "there is no storage to open")
)]
pub async fn open(url: &StorageUrl, options: OpenOptions) -> Result<Arc<dyn Storage>, StorageError> {
    match url.kind() {
        #[cfg(feature = "sqlite")]
        StorageKind::Sqlite => sqlite::open(url, options).await,
        #[cfg(feature = "postgres")]
        StorageKind::Postgres => postgres::open(url, options).await,
        #[cfg(feature = "redis")]
        StorageKind::Redis => redis::open(url, options).await,
        #[allow(unreachable_patterns, reason = "not with every choice of features")]
        kind => Err(not_built_in(kind)),
    }
}

/// Makes a storage that is not there, and brings one of an older version to this program's.
///
/// # Errors
/// As [`open`].
pub async fn migrate(url: &StorageUrl) -> Result<Migration, StorageError> {
    match url.kind() {
        #[cfg(feature = "sqlite")]
        StorageKind::Sqlite => sqlite::migrate(url).await,
        #[cfg(feature = "postgres")]
        StorageKind::Postgres => postgres::migrate(url).await,
        #[cfg(feature = "redis")]
        StorageKind::Redis => redis::migrate(url).await,
        #[allow(unreachable_patterns, reason = "not with every choice of features")]
        kind => Err(not_built_in(kind)),
    }
}

fn not_built_in(kind: StorageKind) -> StorageError {
    let feature = match kind {
        StorageKind::Sqlite => "sqlite",
        StorageKind::Postgres => "postgres",
        StorageKind::Redis => "redis",
    };
    StorageError::Unusable(format!(
        "this program was built without {}: build it with the feature `{feature}` of windlass-jobs",
        kind.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_was_not_built_in_is_named_with_its_feature() {
        assert_eq!(
            not_built_in(StorageKind::Postgres).to_string(),
            "this program was built without PostgreSQL: build it with the feature `postgres` of windlass-jobs"
        );
    }
}
