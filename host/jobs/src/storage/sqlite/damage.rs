//! Going on past a job whose record is damaged: one such job must not stop all that stand behind it.

use rusqlite::OptionalExtension;
use windlass_api::JobId;

use super::{fault::Fault, tx::Tx, words};
use crate::storage::StorageError;

/// Deals with one job of several, wholly or not at all. Nothing where its record is damaged, which is logged.
pub(super) fn unless_damaged<T>(
    tx: &mut Tx<'_>,
    seq: i64,
    step: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    match tx.guarded(step) {
        Ok(done) => Ok(Some(done)),
        Err(fault) if fault.is_of_a_record() => {
            log(tx, seq, fault)?;
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Takes a job out of every line, so that it is not met there again. It stays to be looked at and repaired.
pub(super) fn set_aside(tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
    // Its place in the lines may be what is damaged, so it is looked for by its number alone.
    for line in ["DELETE FROM waiting WHERE seq = ?1", "DELETE FROM scheduled WHERE seq = ?1"] {
        tx.db.prepare_cached(line)?.execute([seq])?;
    }
    Ok(())
}

fn log(tx: &Tx<'_>, seq: i64, fault: Fault) -> Result<(), Fault> {
    let id = tx
        .db
        .prepare_cached("SELECT id FROM jobs WHERE seq = ?1")?
        .query_row([seq], |row| Ok(row.get::<_, Vec<u8>>(0).ok()))
        .optional()?
        .flatten()
        .and_then(|id| words::uuid(&id).ok());
    let job = id.map_or_else(|| format!("number {seq}"), |id| JobId(id).to_string());
    tracing::error!(%job, error = %StorageError::from(fault), "a job is passed over, because its record is damaged");
    Ok(())
}
