//! Jobs of which there is to be only one: the entries of their keys, each of which names the last job that was stored with it.
//!
//! Whoever decides about a key holds its entry, and so is alone with it; an entry that nobody took is removed again. Entries are
//! held in the order of their keys, and before any job is.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Digest, JobId, State, Timestamp, UniqueRule};

use super::{
    conditions,
    fault::Fault,
    record::Job,
    tx::Tx,
    words::{self, Word, count},
};
use crate::NewJob;

/// The keys of jobs.
pub(super) fn keys_of<'a>(jobs: impl IntoIterator<Item = &'a NewJob>) -> BTreeSet<Digest> {
    jobs.into_iter().filter_map(|job| job.conditions.unique.as_ref()).map(|rule| rule.key).collect()
}

/// The job that an entry names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) id: JobId,
    pub(super) state: State,
    pub(super) made_at: Timestamp,
    pub(super) run: u32,
}

impl Holder {
    /// Whether it may get another payload and another time.
    pub(super) fn may_be_replaced(&self) -> bool {
        matches!(self.state, State::Scheduled | State::Awaiting | State::Enqueued) && self.run == 0
    }
}

/// Holds the entries of keys until the transaction ends; gives the numbers of the jobs that they name.
pub(super) async fn hold(tx: &mut Tx<'_>, keys: &BTreeSet<Digest>) -> Result<HashMap<Digest, i64>, Fault> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let query = tx
        .query(
            "INSERT INTO @uniques AS u (key, holder) SELECT k, 0 FROM unnest($1::bytea[]) AS k ORDER BY k
             ON CONFLICT (key) DO UPDATE SET holder = u.holder RETURNING key, holder",
        )
        .bind(bytes(keys));
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((words::digest(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

fn bytes(keys: &BTreeSet<Digest>) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.0.to_vec()).collect()
}

/// The jobs that entries name, as they are now. One whose record is gone or makes no sense stands in nobody's way.
pub(super) async fn holders(tx: &mut Tx<'_>, entries: &HashMap<Digest, i64>) -> Result<HashMap<Digest, Holder>, Fault> {
    let seqs = entries.values().copied().filter(|seq| *seq != 0).collect::<Vec<_>>();
    if seqs.is_empty() {
        return Ok(HashMap::new());
    }
    let query = tx
        .query(
            "SELECT w.seq, j.id, j.created_at, coalesce(l.state, e.state), coalesce(l.run, e.run)
             FROM unnest($1::bigint[]) AS w (seq)
             CROSS JOIN LATERAL (SELECT id, created_at FROM @jobs WHERE seq = w.seq LIMIT 1) j
             LEFT JOIN LATERAL (
                 SELECT state, run FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = w.seq LIMIT 1) l ON true
             LEFT JOIN LATERAL (SELECT state, run FROM @ended WHERE state IN (4, 5, 6) AND seq = w.seq LIMIT 1) e ON true",
        )
        .bind(seqs);
    let mut found = HashMap::new();
    for row in tx.all(query).await? {
        let (Some(state), Some(run)) = (row.try_get::<Option<i16>, _>(3)?, row.try_get::<Option<i64>, _>(4)?) else {
            continue;
        };
        let Ok(state) = State::from_number(state) else { continue };
        let (id, made_at) = (JobId(row.try_get::<Uuid, _>(1)?), Timestamp(row.try_get(2)?));
        found.insert(row.try_get::<i64, _>(0)?, Holder { id, state, made_at, run: count(run) });
    }
    Ok(entries.iter().filter_map(|(key, seq)| Some((*key, *found.get(seq)?))).collect())
}

/// Has entries, which must be held, name other jobs.
pub(super) async fn name(tx: &mut Tx<'_>, holders: &[(Digest, i64)]) -> Result<(), Fault> {
    if holders.is_empty() {
        return Ok(());
    }
    let query = tx
        .query(
            "UPDATE @uniques u SET holder = n.holder FROM unnest($1::bytea[], $2::bigint[]) AS n (key, holder)
             WHERE u.key = n.key",
        )
        .bind(holders.iter().map(|(key, _)| key.0.to_vec()).collect::<Vec<_>>())
        .bind(holders.iter().map(|(_, seq)| *seq).collect::<Vec<_>>());
    tx.run(query).await?;
    Ok(())
}

/// Removes those entries of the ones that are held that name nobody.
pub(super) async fn let_go(tx: &mut Tx<'_>, keys: &BTreeSet<Digest>) -> Result<(), Fault> {
    if keys.is_empty() {
        return Ok(());
    }
    let query = tx.query("DELETE FROM @uniques WHERE key = ANY($1::bytea[]) AND holder = 0").bind(bytes(keys));
    tx.run(query).await?;
    Ok(())
}

/// Removes the entries that name jobs which are removed. One that is held now is left: a job that is gone stands in nobody's
/// way, and the next job of the key takes the entry over.
pub(super) async fn forget(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<(), Fault> {
    let query = tx
        .query(
            "WITH keys AS MATERIALIZED (
                 SELECT u.spot FROM (
                     SELECT seq, unique_key FROM @conditions WHERE seq = ANY($1::bigint[]) AND unique_key IS NOT NULL) c
                 CROSS JOIN LATERAL (
                     SELECT ctid AS spot FROM @uniques WHERE key = c.unique_key AND holder = c.seq LIMIT 1
                     FOR UPDATE SKIP LOCKED) u)
             DELETE FROM @uniques WHERE ctid = ANY (ARRAY(SELECT spot FROM keys))",
        )
        .bind(seqs.to_vec());
    tx.run(query).await?;
    Ok(())
}

/// The key of a job, and its rule, where it is unique.
pub(super) async fn rule_of(tx: &mut Tx<'_>, id: JobId) -> Result<Option<UniqueRule>, Fault> {
    let query = tx.query(
        "SELECT c.unique_key, c.unique_states, c.unique_period_ms, c.on_conflict
         FROM (SELECT seq FROM @jobs WHERE id = $1 LIMIT 1) j
         CROSS JOIN LATERAL (SELECT * FROM @conditions WHERE seq = j.seq LIMIT 1) c",
    );
    let Some(row) = tx.first(query.bind(id.0)).await? else { return Ok(None) };
    conditions::rule(&row, 0).map_err(|fault| match fault {
        Fault::Damaged(why) => Fault::damaged(format_args!("job {id}"), why),
        fault => fault,
    })
}

/// The other job that stands in the way of one that is to be enqueued anew; nothing where that becomes the holder of its key,
/// whose entry must be held.
pub(super) async fn take_back(
    tx: &mut Tx<'_>,
    job: &Job,
    rule: &UniqueRule,
    entries: &HashMap<Digest, i64>,
) -> Result<Option<JobId>, Fault> {
    let now = tx.now();
    let holder = holders(tx, entries).await?.get(&rule.key).copied();
    if let Some(holder) = holder.filter(|holder| holder.id != job.id && rule.counts(holder.state, holder.made_at, now))
    {
        return Ok(Some(holder.id));
    }
    name(tx, &[(rule.key, job.seq)]).await?;
    Ok(None)
}
