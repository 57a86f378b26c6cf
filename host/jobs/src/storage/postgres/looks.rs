//! The step that a job takes which waits for its parents no longer, and the look at the parents of one that was stored in an
//! application's own transaction: nobody held them for it, so that they may have ended meanwhile without telling it.

use sqlx::Row;
use windlass_api::{ContinueOn, Mode, State, Timestamp};

use super::{
    fault::Fault,
    flow::{self, PARENT_GONE, PARENTS, Verdict, begin, judge, start_of},
    promote::SCHEDULER,
    record::{Change, Job, MORE, live, made},
    tx::Tx,
    words::Word,
};
use crate::Start;

/// Lets a job go on whose parents have all ended as asked.
pub(super) fn go_on_with(job: Job, start: Start, active: Option<Mode>, now: Timestamp, by: &str) -> Change {
    let mut change = job.change();
    begin_now(&mut change, start, active, now, by);
    change
}

/// The same for a job that changes already. It runs as its handler does now.
pub(super) fn begin_now(change: &mut Change, start: Start, active: Option<Mode>, now: Timestamp, by: &str) {
    let standing = begin(start, now, active.unwrap_or(change.job.mode), active);
    change.job.mode = standing.mode;
    change.job.ready_at = now;
    change.job.become_now(now, standing.state, standing.reason);
    change.job.at = standing.at;
    change.record_step(now, State::Awaiting, by);
}

/// Deletes a job whose parents cannot end as asked.
pub(super) fn delete(job: Job, now: Timestamp, by: &str) -> Change {
    let mut change = job.change();
    delete_now(&mut change, now, by);
    change
}

/// The same for a job that changes already.
pub(super) fn delete_now(change: &mut Change, now: Timestamp, by: &str) {
    change.job.become_now(now, State::Deleted, Some(PARENT_GONE));
    change.record_step(now, State::Awaiting, by);
}

/// What came of a look.
pub(super) enum Look {
    /// Somebody holds the job or one of its parents.
    HeldUp,
    /// It has been looked at; this is to be written where something comes of it.
    Done(Option<Change>),
}

/// Looks at a job's parents as they are now, and marks them as such. Nothing is waited for.
pub(super) async fn look(tx: &mut Tx<'_>, child: i64) -> Result<Look, Fault> {
    const CHILD: &str = concat!(
        live!(
            "w.there, c.continues_on, c.start, c.start_value, h.active_mode",
            "(SELECT true AS there FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = $1 LIMIT 1) w
             LEFT JOIN LATERAL (
                 SELECT * FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = $1 LIMIT 1 FOR UPDATE SKIP LOCKED) l
                 ON true
             LEFT JOIN LATERAL (
                 SELECT continues_on, start, start_value FROM @conditions WHERE seq = $1 LIMIT 1) c ON true
             LEFT JOIN LATERAL (SELECT active_mode FROM @handlers WHERE n = l.handler LIMIT 1) h ON true"
        ),
        made!()
    );
    let query = tx.query(CHILD).bind(child);
    // One that has ended meanwhile waits for nobody.
    let Some(row) = tx.first(query).await? else { return Ok(Look::Done(None)) };
    if row.try_get::<Option<uuid::Uuid>, _>(0)?.is_none() {
        return Ok(Look::HeldUp);
    }
    let job = Job::read(&row)?;
    let Some(states) = hold_parents(tx, child).await? else { return Ok(Look::HeldUp) };
    if job.state != State::Awaiting || job.reason.as_deref() != Some(PARENTS) {
        return Ok(Look::Done(None));
    }
    let on = row.try_get::<Option<i16>, _>(MORE + 1)?.map(ContinueOn::from_number).transpose()?.unwrap_or_default();
    let (mut met, mut waits, mut is_gone) = (Vec::new(), false, false);
    for (place, state) in states {
        match judge(on, state) {
            Verdict::Met => met.push(place),
            Verdict::Waits => waits = true,
            Verdict::Cannot => is_gone = true,
        }
    }
    let query = tx.query("UPDATE @edges SET met = true WHERE child = $1 AND place = ANY($2::smallint[])");
    let query = query.bind(child).bind(met);
    tx.run(query).await?;
    let now = tx.now();
    if is_gone {
        return Ok(Look::Done(Some(delete(job, now, SCHEDULER))));
    }
    if waits {
        return Ok(Look::Done(None));
    }
    let start = start_of(row.try_get(MORE + 2)?, row.try_get(MORE + 3)?);
    let active = row.try_get::<Option<i16>, _>(MORE + 4)?.map(Mode::from_number).transpose()?;
    Ok(Look::Done(Some(go_on_with(job, start, active, now, SCHEDULER))))
}

/// Holds and marks the parents of a job; gives the states of those that hold it back, by their places. Nothing where somebody
/// else holds one of them.
async fn hold_parents(tx: &mut Tx<'_>, child: i64) -> Result<Option<Vec<(i16, State)>>, Fault> {
    let query = tx
        .query(
            "SELECT e.place, e.met, w.there, l.id, l.state, x.seq, x.state
             FROM (SELECT * FROM @edges WHERE child = $1 ORDER BY place) e
             LEFT JOIN LATERAL (
                 SELECT true AS there FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = e.parent
                 UNION ALL SELECT true FROM @ended WHERE state IN (4, 5, 6) AND seq = e.parent LIMIT 1) w ON true
             LEFT JOIN LATERAL (
                 SELECT id, state FROM @live WHERE state + 0 IN (0, 1, 2, 3) AND seq = e.parent LIMIT 1
                 FOR UPDATE SKIP LOCKED) l ON true
             LEFT JOIN LATERAL (
                 SELECT seq, state FROM @ended WHERE state IN (4, 5, 6) AND seq = e.parent LIMIT 1
                 FOR UPDATE SKIP LOCKED) x ON true",
        )
        .bind(child);
    let (mut states, mut live, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for row in tx.all(query).await? {
        let (id, seq) = (row.try_get::<Option<uuid::Uuid>, _>(3)?, row.try_get::<Option<i64>, _>(5)?);
        let is_there = row.try_get::<Option<bool>, _>(2)?.unwrap_or(false);
        if is_there && id.is_none() && seq.is_none() {
            return Ok(None);
        }
        let state = row.try_get::<Option<i16>, _>(if id.is_some() { 4 } else { 6 })?;
        let state = state.map(State::from_number).transpose()?.unwrap_or(State::Deleted);
        if !row.try_get::<bool, _>(1)? {
            states.push((row.try_get(0)?, state));
        }
        live.extend(id);
        ended.extend(seq);
    }
    flow::mark_parents(tx, live, ended).await?;
    Ok(Some(states))
}
