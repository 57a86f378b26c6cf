//! Enqueueing within a transaction of the application's.

use std::collections::HashMap;

use sqlx::{Connection, PgConnection};
use windlass_api::Enqueued;

use super::{
    core::{Core, step},
    enqueue::{self, Incoming, Names, Numbers},
    fault::Fault,
    news::News,
    tx::{Kind, Told, Tx},
};
use crate::{NewJob, storage::StorageError};

/// Stores jobs by the application's own connection. Its transaction is left open.
pub(super) async fn enqueue(
    core: &Core,
    connection: &mut PgConnection,
    jobs: &[NewJob],
    by: &str,
) -> Result<Vec<Enqueued>, StorageError> {
    require_transaction(connection).await?;
    let incoming = jobs.iter().map(|job| Incoming { job, by }).collect::<Vec<_>>();
    let mut told = Told::default();
    let mut is_open = true;
    let mut tx = Tx {
        db: connection,
        is_open: &mut is_open,
        texts: &core.texts,
        retention: core.retention,
        told: &mut told,
        clock: core.clock.as_ref().map(|clock| clock.now()),
        began_at: None,
        // Nobody knows here whether the application's connection goes through a pooler.
        persistent: false,
        own_queues: HashMap::new(),
        own_handlers: HashMap::new(),
    };
    let enqueued = match enqueue::enqueue_known(&mut tx, &incoming, &Numbers::default()).await? {
        Some(enqueued) => enqueued,
        None => {
            let numbers = make_known(core, jobs).await?;
            enqueue::enqueue_known(&mut tx, &incoming, &numbers).await?.ok_or(Fault::Again)?
        }
    };
    tell(core, &mut tx).await?;
    Ok(enqueued)
}

/// Outside of a transaction each statement would be committed by itself, and a job be there without the data that it is for.
async fn require_transaction(connection: &mut PgConnection) -> Result<(), Fault> {
    if connection.is_in_transaction() {
        return Ok(());
    }
    // It may have been begun by the application's own words, of which sqlx does not know; PostgreSQL does.
    let ask = sqlx::raw_sql("SAVEPOINT windlass_enqueue; RELEASE SAVEPOINT windlass_enqueue");
    ask.execute(connection).await?;
    Ok(())
}

/// Makes names known in a step of its own, so that no other one waits for the application's transaction. That may not see
/// them, so their numbers are given.
async fn make_known(core: &Core, jobs: &[NewJob]) -> Result<Numbers, StorageError> {
    let names = Names::of(jobs);
    let make = async |tx: &mut Tx<'_>| {
        names.make_known(tx).await?;
        names.numbers(tx).await
    };
    step!(core, Kind::Several, |tx| make(tx))
}

async fn tell(core: &Core, tx: &mut Tx<'_>) -> Result<(), Fault> {
    if tx.told.work {
        // It is told when the transaction is committed, which is not seen from here; so without looking whether anybody
        // wishes it, which could be too early.
        let query = tx.query("SELECT pg_notify($1, $2)").bind(core.channel.clone()).bind(News::Work.write());
        tx.all(query).await?;
    }
    Ok(())
}
