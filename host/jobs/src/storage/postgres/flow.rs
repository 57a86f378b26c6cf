//! Jobs that continue others: what an end means for a child, how a child starts, and who continues whom.
//!
//! Who continues whom is kept as edges, a row for each parent of a child. An edge that is met no longer holds its child back.

use std::collections::{BTreeSet, HashMap};

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{ContinueOn, HandlerPath, JobId, Mode, Page, Relations, Relative, State, Timestamp};

use super::{
    enqueue::HANDLER_MISSING,
    fault::Fault,
    record::traits,
    tx::Tx,
    words::{Word, amount},
};
use crate::Start;

/// Why a job waits for its parents.
pub(super) const PARENTS: &str = "parents";

/// Why a job is deleted whose parents cannot end as it asks.
pub(super) const PARENT_GONE: &str = "parent-gone";

/// No page of children is longer.
const MAX_CHILDREN: usize = 1_000;

/// What the state of a parent means for a child that it holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds it back no longer.
    Met,
    /// It may still end as asked.
    Waits,
    /// It cannot end as asked any more.
    Cannot,
}

/// Judges a parent by its state; one that is not there counts as deleted.
pub(super) fn judge(on: ContinueOn, parent: State) -> Verdict {
    match (on, parent) {
        (_, State::Scheduled | State::Awaiting | State::Enqueued | State::Processing)
        | (ContinueOn::Success, State::Failed) => Verdict::Waits,
        (ContinueOn::Success, State::Succeeded) | (ContinueOn::Failure, State::Failed) | (ContinueOn::Finished, _) => {
            Verdict::Met
        }
        (ContinueOn::Success, State::Deleted) | (ContinueOn::Failure, State::Succeeded | State::Deleted) => {
            Verdict::Cannot
        }
    }
}

/// Where a job stands whose start begins to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: State,
    pub(super) at: Timestamp,
    pub(super) mode: Mode,
    pub(super) reason: Option<&'static str>,
}

/// Where a job stands that starts so from now on. `active` is how its handler runs in its module's active version.
pub(super) fn begin(start: Start, now: Timestamp, mode: Mode, active: Option<Mode>) -> Standing {
    let standing = |state, at| Standing { state, at, mode, reason: None };
    match (start, active) {
        (Start::After(delay_ms), _) if delay_ms > 0 => standing(State::Scheduled, now.plus_ms(delay_ms)),
        (Start::At(at), _) if at > now => standing(State::Scheduled, at),
        (Start::Now | Start::After(_) | Start::At(_), _) => standing(State::Enqueued, now),
        (Start::WithHandler, Some(mode)) => Standing { mode, ..standing(State::Enqueued, now) },
        (Start::WithHandler, None) => Standing { reason: Some(HANDLER_MISSING), ..standing(State::Awaiting, now) },
    }
}

/// A start as it is kept.
pub(super) fn start_number(start: Start) -> (i16, i64) {
    match start {
        Start::Now => (0, 0),
        Start::After(delay_ms) => (1, i64::try_from(delay_ms).unwrap_or(i64::MAX)),
        Start::At(at) => (2, at.0),
        Start::WithHandler => (3, 0),
    }
}

/// A start from how it is kept; now where it makes no sense.
pub(super) fn start_of(number: Option<i16>, value: Option<i64>) -> Start {
    let value = value.unwrap_or(0);
    match number {
        Some(1) => Start::After(u64::try_from(value).unwrap_or(0)),
        Some(2) => Start::At(Timestamp(value)),
        Some(3) => Start::WithHandler,
        _ => Start::Now,
    }
}

/// One parent of a job on its way in. The parent's number is 0 where it is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) parent: i64,
    pub(super) parent_id: JobId,
    pub(super) met: bool,
}

/// Keeps the edges of new jobs, in the order in which their parents were given, and whether each job has ended already.
pub(super) async fn keep_edges(tx: &mut Tx<'_>, edges: &[(i64, bool, Vec<Edge>)]) -> Result<(), Fault> {
    let all = edges
        .iter()
        .flat_map(|(child, done, edges)| (0_i16..).zip(edges).map(move |(place, edge)| (*child, *done, place, *edge)))
        .collect::<Vec<_>>();
    if all.is_empty() {
        return Ok(());
    }
    let query = tx
        .query(
            "INSERT INTO @edges (child, place, parent, parent_id, met, done)
             SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::uuid[], $5::boolean[], $6::boolean[])",
        )
        .bind(all.iter().map(|(child, ..)| *child).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, _, place, _)| *place).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., edge)| edge.parent).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., edge)| edge.parent_id.0).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., edge)| edge.met).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, done, ..)| *done).collect::<Vec<_>>());
    tx.run(query).await?;
    Ok(())
}

/// The numbers and states of jobs, as they are at this moment. Those that are not there are left out.
pub(super) async fn states(tx: &mut Tx<'_>, ids: &BTreeSet<JobId>) -> Result<HashMap<JobId, (i64, State)>, Fault> {
    let query = tx
        .query(
            "SELECT w.id, j.seq, coalesce(l.state, e.state) FROM unnest($1::uuid[]) AS w (id)
             CROSS JOIN LATERAL (SELECT seq FROM @jobs WHERE id = w.id LIMIT 1) j
             LEFT JOIN LATERAL (
                 SELECT state FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = j.seq LIMIT 1) l ON true
             LEFT JOIN LATERAL (SELECT state FROM @ended WHERE state IN (4, 5, 6) AND seq = j.seq LIMIT 1) e ON true
             WHERE coalesce(l.state, e.state) IS NOT NULL",
        )
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>());
    let mut states = HashMap::new();
    for row in tx.all(query).await? {
        states.insert(JobId(row.try_get(0)?), (row.try_get(1)?, State::from_number(row.try_get(2)?)?));
    }
    Ok(states)
}

/// Marks jobs, whose rows must be held, as those that others continue.
pub(super) async fn mark_parents(tx: &mut Tx<'_>, live: Vec<Uuid>, ended: Vec<i64>) -> Result<(), Fault> {
    if !live.is_empty() {
        let query = tx.query("UPDATE @live SET traits = coalesce(traits, 0::smallint) | $2 WHERE id = ANY($1::uuid[])");
        let query = query.bind(live).bind(traits::CHILDREN);
        tx.run(query).await?;
    }
    if !ended.is_empty() {
        let query = tx.query(
            "UPDATE @ended SET traits = coalesce(traits, 0::smallint) | $2
             WHERE state IN (4, 5, 6) AND seq = ANY($1::bigint[])",
        );
        let query = query.bind(ended).bind(traits::CHILDREN);
        tx.run(query).await?;
    }
    Ok(())
}

/// A job waits for none of its parents any more, and is unfinished again.
pub(super) async fn let_go(tx: &mut Tx<'_>, child: i64) -> Result<(), Fault> {
    let query = tx.query("UPDATE @edges SET met = true, done = false WHERE child = $1").bind(child);
    tx.run(query).await?;
    Ok(())
}

/// What stands at the other end of an edge, in the order of [`relative`].
macro_rules! relatives {
    ($edges:literal, $other:literal, $id:literal) => {
        concat!(
            "SELECT e.child, ",
            $id,
            ", (SELECT module || '/' || name FROM @handlers WHERE n = j.handler),
                 coalesce(l.state, x.state), c.continues_on, e.met
             FROM (",
            $edges,
            ") e
             LEFT JOIN LATERAL (SELECT id, handler FROM @jobs WHERE seq = ",
            $other,
            " LIMIT 1) j ON true
             LEFT JOIN LATERAL (SELECT state FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = ",
            $other,
            " LIMIT 1) l ON true
             LEFT JOIN LATERAL (SELECT state FROM @ended WHERE state IN (4, 5, 6) AND seq = ",
            $other,
            " LIMIT 1) x ON true
             LEFT JOIN LATERAL (SELECT continues_on FROM @conditions WHERE seq = e.child LIMIT 1) c ON true
             ORDER BY e.child, e.place"
        )
    };
}

fn relative(row: &PgRow) -> Result<Option<Relative>, Fault> {
    // A child whose record is lost has no id any more.
    let Some(id) = row.try_get::<Option<Uuid>, _>(1)?.map(JobId) else { return Ok(None) };
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("job {id}"), why);
    let path = row.try_get::<Option<&str>, _>(2)?.map(str::parse::<HandlerPath>).transpose();
    let path = path.map_err(|error| damaged(&error))?;
    let on = row.try_get::<Option<i16>, _>(4)?.map(ContinueOn::from_number).transpose()?.unwrap_or_default();
    let state = row.try_get::<Option<i16>, _>(3)?.map(State::from_number).transpose()?;
    let (module, handler) = path.map(|path| (path.module, path.handler)).unzip();
    Ok(Some(Relative { id, module, handler, state, on, met: row.try_get(5)? }))
}

pub(super) async fn relations(
    tx: &mut Tx<'_>,
    id: JobId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Option<Relations>, Fault> {
    const PARENTS: &str = relatives!("SELECT * FROM @edges WHERE child = $1 ORDER BY place", "e.parent", "e.parent_id");
    const CHILDREN: &str =
        relatives!("SELECT * FROM @edges WHERE parent = $1 AND child > $2 ORDER BY child LIMIT $3", "e.child", "j.id");
    let parse = |text: &str| text.parse::<i64>().map_err(|_| Fault::cursor(text));
    let after = cursor.map(parse).transpose()?.unwrap_or(-1);
    let limit = limit.clamp(1, MAX_CHILDREN);
    let query = tx.query("SELECT seq FROM @jobs WHERE id = $1").bind(id.0);
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let seq = row.try_get::<i64, _>(0)?;
    let query = tx.query(PARENTS).bind(seq);
    let rows = tx.all(query).await?;
    let parents = rows.iter().filter_map(|row| relative(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    let query = tx.query(CHILDREN).bind(seq).bind(after).bind(amount(limit + 1));
    let mut rows = tx.all(query).await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|row| row.try_get::<i64, _>(0)).transpose()?;
    let children = rows.iter().filter_map(|row| relative(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Relations { parents, children: Page::new(children, next.map(|seq| seq.to_string())) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_reads_back_as_it_was_kept() {
        for start in [Start::Now, Start::After(7), Start::At(Timestamp(9)), Start::WithHandler] {
            let (number, value) = start_number(start);
            assert_eq!(start_of(Some(number), Some(value)), start);
        }
        assert_eq!(start_of(None, None), Start::Now);
    }

    #[test]
    fn a_start_counts_from_now() {
        let now = Timestamp(1_000);
        let state = |start, active| begin(start, now, Mode::Sync, active).state;
        assert_eq!(begin(Start::After(5), now, Mode::Sync, None).at, Timestamp(1_005));
        assert_eq!((state(Start::After(0), None), state(Start::At(now), None)), (State::Enqueued, State::Enqueued));
        assert_eq!(state(Start::At(Timestamp(1_001)), None), State::Scheduled);
        assert_eq!(state(Start::WithHandler, None), State::Awaiting);
        assert_eq!(begin(Start::WithHandler, now, Mode::Sync, Some(Mode::Async)).mode, Mode::Async);
    }
}
