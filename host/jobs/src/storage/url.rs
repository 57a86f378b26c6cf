//! Where a storage is, as people write it. Whether anything is there is found out by opening it.

mod parse;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de};

/// A storage's URL: `sqlite:FILE`, `postgres://USER:PASSWORD@HOST/DATABASE` or `redis://HOST`, the last with TLS as
/// `rediss`, with Sentinel as `redis+sentinel`, with Cluster as `redis+cluster`. PostgreSQL and Redis take
/// `?namespace=NAME`. It is shown without its password.
///
/// ```
/// use windlass_jobs::storage::{StorageKind, StorageUrl};
///
/// let url: StorageUrl = "postgres://windlass:secret@localhost/jobs?namespace=mail".parse().unwrap();
/// assert_eq!(url.kind(), StorageKind::Postgres);
/// assert_eq!(url.to_string(), "postgres://windlass:***@localhost/jobs?namespace=mail");
///
/// let refused = "windlass.db".parse::<StorageUrl>().unwrap_err();
/// assert!(refused.to_string().contains("write `sqlite:windlass.db`"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StorageUrl {
    text: String,
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Sqlite(PathBuf),
    Postgres,
    Redis,
}

/// The kinds of storages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// One file, for one host.
    Sqlite,
    /// A PostgreSQL database, for several hosts.
    Postgres,
    /// A Redis server or several, for several hosts.
    Redis,
}

/// Text that names no storage; it says what is wrong, and never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidStorageUrl(String);

impl StorageKind {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        }
    }
}

impl StorageUrl {
    /// The file of an SQLite storage.
    #[must_use]
    pub fn sqlite(file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        Self { text: format!("sqlite:{}", file.display()), place: Place::Sqlite(file) }
    }

    /// Which kind of storage it names.
    #[must_use]
    pub const fn kind(&self) -> StorageKind {
        match self.place {
            Place::Sqlite(_) => StorageKind::Sqlite,
            Place::Postgres => StorageKind::Postgres,
            Place::Redis => StorageKind::Redis,
        }
    }

    /// The file of an SQLite storage; nothing for the others.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::Sqlite(file) => Some(file),
            Place::Postgres | Place::Redis => None,
        }
    }

    /// The whole text with its password: for whoever connects, not for people.
    #[must_use]
    pub fn with_password(&self) -> &str {
        &self.text
    }
}

impl FromStr for StorageUrl {
    type Err = InvalidStorageUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStorageUrl> {
        let place = parse::place(text).map_err(InvalidStorageUrl)?;
        Ok(Self { text: text.to_owned(), place })
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Sqlite(_) => f.write_str(&self.text),
            Place::Postgres | Place::Redis => f.write_str(&parse::masked(&self.text)),
        }
    }
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StorageUrl").field(&self.to_string()).finish()
    }
}

impl<'de> Deserialize<'de> for StorageUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = StorageUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a storage such as \"sqlite:windlass.db\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StorageUrl, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
