//! Enqueueing within a transaction of the application's.

use std::collections::HashMap;

use sqlx::{Connection, PgConnection, Row};
use windlass_api::{Enqueued, Timestamp};

use super::{
    conditioned::{self, Call, Parents},
    core::{Core, TRIES, step, step_aside},
    enqueue::{self, Incoming, KnownNames, Names, Numbers},
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
    if !jobs.iter().all(conditioned::is_plain) {
        return enqueue_conditioned(core, connection, jobs, by).await;
    }
    let incoming = jobs.iter().map(|job| Incoming { job, by }).collect::<Vec<_>>();
    let (mut told, mut is_open) = (Told::default(), true);
    let mut tx = tx(core, connection, &mut told, &mut is_open);
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

fn tx<'a>(core: &'a Core, db: &'a mut PgConnection, told: &'a mut Told, is_open: &'a mut bool) -> Tx<'a> {
    Tx {
        db,
        is_open,
        texts: &core.texts,
        retention: core.retention,
        told,
        clock: core.clock.as_ref().map(|clock| clock.now()),
        began_at: None,
        // Nobody knows here whether the application's connection goes through a pooler.
        persistent: false,
        own_queues: HashMap::new(),
        own_handlers: HashMap::new(),
        children_left: 0,
        held_left: 0,
    }
}

/// The same for jobs that depend on more than their turn: behind a savepoint, so that the application can go on with its
/// transaction where one of them is refused.
async fn enqueue_conditioned(
    core: &Core,
    connection: &mut PgConnection,
    jobs: &[NewJob],
    by: &str,
) -> Result<Vec<Enqueued>, StorageError> {
    let names = Names::of(jobs);
    let know = async |tx: &mut Tx<'_>| names.known_at_last(tx).await;
    let known: Result<_, StorageError> = step!(core, Kind::Several, |tx| know(tx));
    let known = known?;
    let calls = [Call { jobs: jobs.iter().map(|job| Incoming { job, by }).collect(), is_lenient: false }];
    for tries in 1.. {
        say(connection, "SAVEPOINT windlass_enqueue").await?;
        let (mut told, mut is_open) = (Told::default(), true);
        let stored = {
            let mut tx = tx(core, connection, &mut told, &mut is_open);
            store(core, &mut tx, &calls, &names, &known).await
        };
        let fault = match stored {
            Ok(enqueued) => {
                say(connection, "RELEASE SAVEPOINT windlass_enqueue").await?;
                return Ok(enqueued);
            }
            Err(fault) => fault,
        };
        if !fault.leaves_connection_whole() {
            return Err(fault.into());
        }
        say(connection, "ROLLBACK TO SAVEPOINT windlass_enqueue; RELEASE SAVEPOINT windlass_enqueue").await?;
        if tries == TRIES || !fault.is_worth_repeating() {
            return Err(fault.into());
        }
        step_aside(tries).await;
    }
    Ok(Vec::new())
}

async fn say(connection: &mut PgConnection, sql: &'static str) -> Result<(), Fault> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}

async fn store(
    core: &Core,
    tx: &mut Tx<'_>,
    calls: &[Call<'_>],
    names: &Names<'_>,
    known: &KnownNames,
) -> Result<Vec<Enqueued>, Fault> {
    if tx.clock.is_none() {
        let query = tx.query("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
        let row = tx.first(query).await?.ok_or(Fault::Again)?;
        tx.began_at = Some(Timestamp(row.try_get(0)?));
    }
    let answer =
        conditioned::store(tx, calls, names, known, Parents::LookedAtLater).await?.pop().ok_or(Fault::Again)?;
    let enqueued = answer.map_err(|(position, refusal)| Fault::Refused(position, refusal))?;
    tell(core, tx).await?;
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
