//! The row of what a job depends on besides its turn: written once, with the job, for those that depend on something.

use std::collections::HashMap;

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{After, ContinueOn, JobId, LimitKey, OnConflict, UniqueRule};

use super::{
    fault::Fault,
    flow::{start_number, start_of},
    tx::Tx,
    words::{self, Word, bits_of, signed, states_of, unsigned},
};
use crate::{Conditions, Start};

/// A row on its way in.
pub(super) struct Kept<'a> {
    pub(super) seq: i64,
    /// The reason of the first line of the history, where it is not the one that such a line has otherwise.
    pub(super) born_reason: Option<&'a str>,
    /// How the job starts once it waits for nobody.
    pub(super) start: Option<Start>,
    pub(super) conditions: &'a Conditions,
}

pub(super) async fn keep(tx: &mut Tx<'_>, rows: &[Kept<'_>]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$row:ident| $value:expr) => {
            rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    macro_rules! rule {
        (|$rule:ident| $value:expr) => {
            rows.iter().map(|row| row.conditions.unique.as_ref().map(|$rule| $value)).collect::<Vec<_>>()
        };
    }
    let query = tx
        .query(
            "INSERT INTO @conditions (seq, born_reason, continues_on, start, start_value, unique_key, unique_states,
                 unique_period_ms, on_conflict, limit_key)
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::smallint[], $4::smallint[], $5::bigint[], $6::bytea[],
                 $7::smallint[], $8::bigint[], $9::smallint[], $10::text[])",
        )
        .bind(column!(|row| row.seq))
        .bind(column!(|row| row.born_reason.map(words::plain)))
        .bind(column!(|row| row.conditions.after.as_ref().map(|after| after.on.number())))
        .bind(column!(|row| row.start.map(|start| start_number(start).0)))
        .bind(column!(|row| row.start.map(|start| start_number(start).1)))
        .bind(rule!(|rule| rule.key.0.to_vec()))
        .bind(rule!(|rule| bits_of(&rule.states)))
        .bind(rows.iter().map(|row| row.conditions.unique.as_ref()?.period_ms.map(signed)).collect::<Vec<_>>())
        .bind(rule!(|rule| rule.on_conflict.number()))
        .bind(column!(|row| row.conditions.limit_key.as_ref().map(|key| key.as_str().to_owned())));
    tx.run(query).await?;
    Ok(())
}

/// Another start for a job that waits for its parents.
pub(super) async fn restart(tx: &mut Tx<'_>, seq: i64, start: Start) -> Result<(), Fault> {
    let (number, value) = start_number(start);
    let query = tx.query("UPDATE @conditions SET start = $2, start_value = $3 WHERE seq = $1");
    let query = query.bind(seq).bind(number).bind(value);
    tx.run(query).await?;
    Ok(())
}

/// How a job is unique, from four columns; nothing where it is not.
pub(super) fn rule(row: &PgRow, first: usize) -> Result<Option<UniqueRule>, Fault> {
    let Some(key) = row.try_get::<Option<&[u8]>, _>(first)? else { return Ok(None) };
    let on_conflict = row.try_get::<Option<i16>, _>(first + 3)?.map(OnConflict::from_number).transpose()?;
    Ok(Some(UniqueRule {
        key: words::digest(key).map_err(|_| Fault::damaged("its key", "it does not have 32 bytes"))?,
        states: states_of(row.try_get::<Option<i16>, _>(first + 1)?.unwrap_or(0)),
        period_ms: row.try_get::<Option<i64>, _>(first + 2)?.map(unsigned),
        on_conflict: on_conflict.unwrap_or_default(),
    }))
}

/// What is known of the conditions of a job.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) born_reason: Option<String>,
    pub(super) start: Option<Start>,
    pub(super) after: Option<After>,
    pub(super) waits_for: Vec<JobId>,
    pub(super) unique: Option<UniqueRule>,
    pub(super) holds_key: bool,
    pub(super) limit_key: Option<LimitKey>,
}

/// The conditions of jobs by their numbers. Those that have none are left out.
pub(super) async fn known(tx: &mut Tx<'_>, seqs: &[i64]) -> Result<HashMap<i64, Known>, Fault> {
    let mut known = HashMap::<i64, Known>::new();
    if seqs.is_empty() {
        return Ok(known);
    }
    let query = tx
        .query(
            "SELECT c.seq, c.unique_key, c.unique_states, c.unique_period_ms, c.on_conflict, c.born_reason, c.start,
                 c.start_value, c.continues_on, c.limit_key, coalesce(u.holder = c.seq, false)
             FROM (SELECT * FROM @conditions WHERE seq = ANY($1::bigint[])) c
             LEFT JOIN LATERAL (SELECT holder FROM @uniques WHERE key = c.unique_key LIMIT 1) u ON true",
        )
        .bind(seqs.to_vec());
    let mut continues_on = HashMap::new();
    for row in tx.all(query).await? {
        let seq = row.try_get::<i64, _>(0)?;
        let limit_key = row.try_get::<Option<&str>, _>(9)?.map(str::parse).transpose();
        let on = row.try_get::<Option<i16>, _>(8)?.map(ContinueOn::from_number).transpose()?;
        continues_on.extend(on.map(|on| (seq, on)));
        let start = row.try_get::<Option<i16>, _>(6)?;
        let conditions = Known {
            born_reason: row.try_get(5)?,
            start: start.map(|number| Ok::<_, Fault>(start_of(Some(number), row.try_get(7)?))).transpose()?,
            unique: rule(&row, 1)?,
            holds_key: row.try_get(10)?,
            limit_key: limit_key.map_err(|error| Fault::damaged("its limit key", error))?,
            ..Known::default()
        };
        known.insert(seq, conditions);
    }
    if continues_on.is_empty() {
        return Ok(known);
    }
    let query = tx
        .query("SELECT child, parent_id, met FROM @edges WHERE child = ANY($1::bigint[]) ORDER BY child, place")
        .bind(continues_on.keys().copied().collect::<Vec<_>>());
    for row in tx.all(query).await? {
        let (child, parent) = (row.try_get::<i64, _>(0)?, JobId(row.try_get::<Uuid, _>(1)?));
        let (Some(known), Some(on)) = (known.get_mut(&child), continues_on.get(&child)) else { continue };
        known.after.get_or_insert_with(|| After { jobs: Vec::new(), on: *on }).jobs.push(parent);
        if !row.try_get::<bool, _>(2)? {
            known.waits_for.push(parent);
        }
    }
    Ok(known)
}
