//! Enqueueing within a transaction of the application's.

use std::collections::HashMap;

use sqlx::PgConnection;
use windlass_api::Enqueued;

use super::{
    core::Core,
    enqueue::{self, Incoming},
    fault::Fault,
    intake,
    news::News,
    tx::{Told, Tx},
};
use crate::{NewJob, storage::StorageError};

/// Stores jobs by the application's own connection. Its transaction is left open.
pub(super) async fn enqueue(
    core: &Core,
    connection: &mut PgConnection,
    jobs: &[NewJob],
    by: &str,
) -> Result<Vec<Enqueued>, StorageError> {
    let incoming = jobs.iter().map(|job| Incoming { job, by }).collect::<Vec<_>>();
    intake::make_known(core, &incoming).await?;
    let mut told = Told::default();
    let mut is_open = true;
    let mut tx = Tx {
        db: connection,
        is_open: &mut is_open,
        texts: &core.texts,
        names: &core.names,
        retention: core.retention,
        told: &mut told,
        clock: core.clock.as_ref().map(|clock| clock.now()),
        began_at: None,
        // Nobody knows here whether the application's connection goes through a pooler.
        persistent: false,
        own_queues: HashMap::new(),
        own_handlers: HashMap::new(),
    };
    store(core, &mut tx, &incoming).await.map_err(StorageError::from)
}

async fn store(core: &Core, tx: &mut Tx<'_>, incoming: &[Incoming<'_>]) -> Result<Vec<Enqueued>, Fault> {
    let enqueued = enqueue::enqueue(tx, incoming).await?;
    if tx.told.work {
        // It is told when the transaction is committed, which is not seen from here; so without looking whether anybody
        // wishes it, which could be too early.
        let query = tx.query("SELECT pg_notify($1, $2)").bind(core.channel.clone()).bind(News::Work.write());
        tx.all(query).await?;
    }
    Ok(enqueued)
}
