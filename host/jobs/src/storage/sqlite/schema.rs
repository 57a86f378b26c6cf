//! The schema and its versions.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::storage::StorageError;

/// What stands in the file's header for "a Windlass database": `Wndl`.
const APPLICATION_ID: i32 = 0x576e_646c;

/// What an empty file is filled with, and then brought to [`VERSION`]: the whole schema of [`FIRST_RELEASED`].
const SCHEMA: &str = include_str!("schema/2.sql");

/// The version that this program knows.
pub(in crate::storage) const VERSION: u32 = 4;

/// The first version that was released. Version 1 changed while it was being written, so that nothing can be told of what
/// a file of it holds.
const FIRST_RELEASED: u32 = 2;

/// Each brings a database from a version to the next one, beginning with the first that was released.
const MIGRATIONS: &[&str] = &[include_str!("schema/3.sql"), include_str!("schema/4.sql")];

const _: () = assert!(FIRST_RELEASED as usize + MIGRATIONS.len() == VERSION as usize, "each migration makes a version");

/// Makes the database's schema the one that this program knows, where that may be changed; otherwise it must be that
/// already.
pub(super) fn prepare(db: &mut Connection, name: &str, may_change: bool) -> Result<(), StorageError> {
    let unusable = |text: String| Err(StorageError::Unusable(text));
    let (application, version, objects) = read_header(db).map_err(|fault| fault.on_open(name))?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0) {
        return unusable(format!("{name} is not a windlass database: give windlass a file of its own"));
    }
    if version > i64::from(VERSION) {
        return unusable(format!(
            "{name} has schema version {version}, and this windlass knows versions up to {VERSION}: use a newer windlass"
        ));
    }
    if version != 0 && version < i64::from(FIRST_RELEASED) {
        return unusable(format!(
            "{name} has schema version {version}: it was made by a development version of windlass from before the first \
             release, and cannot be brought to version {VERSION}; move it away, and start with a new file"
        ));
    }
    if version == i64::from(VERSION) {
        return Ok(());
    }
    if !may_change {
        return unusable(if version == 0 {
            format!("{name} is an empty database: run `windlass storage migrate` to make a storage of it")
        } else {
            format!(
                "{name} has schema version {version}, and this windlass needs version {VERSION}: run `windlass storage \
                 migrate`"
            )
        });
    }
    migrate(db).map_err(|fault| fault.on_open(name))
}

fn read_header(db: &Connection) -> Result<(i32, i64, i64), Fault> {
    let application = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let objects = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((application, version(db)?, objects))
}

fn version(db: &Connection) -> Result<i64, Fault> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn migrate(db: &mut Connection) -> Result<(), Fault> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the write lock: another process may have migrated meanwhile.
    let mut version = version(&transaction)?;
    if version == 0 {
        transaction.execute_batch(SCHEMA)?;
        version = FIRST_RELEASED.into();
    }
    for (migration, to) in MIGRATIONS.iter().zip(i64::from(FIRST_RELEASED) + 1..).filter(|(_, to)| *to > version) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", to)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.commit()?;
    Ok(())
}
