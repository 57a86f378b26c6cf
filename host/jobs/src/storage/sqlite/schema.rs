//! The schema and its versions.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::storage::StorageError;

/// What stands in the file's header for "a Windlass database": `Wndl`.
const APPLICATION_ID: i32 = 0x576e_646c;

/// Each brings a database from the version before to its own; the first one starts with an empty file.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];

/// The version that this program knows.
pub(in crate::storage) const VERSION: u32 = 1;

const _: () = assert!(MIGRATIONS.len() == VERSION as usize, "each migration makes a version");

/// Makes the database's schema the one that this program knows.
pub(super) fn prepare(db: &mut Connection, name: &str) -> Result<(), StorageError> {
    let unusable = |text: String| Err(StorageError::Unusable(text));
    let (application, version, objects) = read_header(db).map_err(|fault| fault.on_open(name))?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0) {
        return unusable(format!("{name} is not a windlass database: give windlass a file of its own"));
    }
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if version > known {
        return unusable(format!(
            "{name} has schema version {version}, and this windlass knows versions up to {known}: use a newer windlass"
        ));
    }
    if version < known {
        migrate(db).map_err(|fault| fault.on_open(name))?;
    }
    Ok(())
}

fn read_header(db: &Connection) -> Result<(i32, i32, i64), Fault> {
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let objects = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((pragma("application_id")?, pragma("user_version")?, objects))
}

fn migrate(db: &mut Connection) -> Result<(), Fault> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the write lock: another process may have migrated meanwhile.
    let version = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))?;
    for (migration, to) in MIGRATIONS.iter().zip(1_i32..).filter(|(_, to)| *to > version) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", to)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.commit()?;
    Ok(())
}
