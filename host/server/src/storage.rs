//! Opening the storage that a URL names.

use std::{path::PathBuf, sync::Arc};

use anyhow::bail;
use windlass_jobs::storage::{
    Storage,
    sqlite::{Role, SqliteOptions, SqliteStorage},
};

use crate::config::{Settings, Synchronous};

/// Opens the host's storage.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Arc<dyn Storage>> {
    let path = sqlite_path(&settings.storage)?;
    let synchronous = match settings.sqlite.synchronous {
        Synchronous::Full => windlass_jobs::storage::sqlite::Synchronous::Full,
        Synchronous::Normal => windlass_jobs::storage::sqlite::Synchronous::Normal,
    };
    let options = SqliteOptions { role: Role::Host, synchronous, ..SqliteOptions::default() };
    Ok(SqliteStorage::open(path, options)?)
}

fn sqlite_path(url: &str) -> anyhow::Result<PathBuf> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
        _ => bail!(
            "`{url}` is not a storage: expected `sqlite:FILE`, such as `sqlite:windlass.db` (PostgreSQL and Redis are yet to come)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_url_names_a_file() {
        assert_eq!(sqlite_path("sqlite:a/b.db").unwrap(), PathBuf::from("a/b.db"));
        assert_eq!(sqlite_path("sqlite:///var/b.db").unwrap(), PathBuf::from("/var/b.db"));
    }

    #[test]
    fn another_scheme_is_refused_with_what_is_expected() {
        for url in ["windlass.db", "mysql://x", "sqlite:"] {
            assert!(sqlite_path(url).unwrap_err().to_string().contains("expected `sqlite:FILE`"), "{url}");
        }
    }
}
