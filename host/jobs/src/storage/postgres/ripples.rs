//! What the ends of jobs mean for those that continue them.
//!
//! ```text
//!   a job ends ──▶ a ripple ──▶ its children, by their numbers, a slice at a time ──▶ met, and all met: goes on
//!        ▲                                                                     └──▶ deleted
//!        └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A ripple is written in the step that ends the job. The same step works off some of it, promotions the rest. Children that
//! somebody holds at the moment are never waited for: the ripple stays, and goes on with them later. The ripples of one parent
//! are worked off in their order.
//!
//! A child that was stored in an application's own transaction asks for a look at its parents in the same list, since nobody held
//! them for it: see [`looks`](super::looks).

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{ContinueOn, Mode, State};

use super::{
    fault::Fault,
    flow::{Verdict, judge, start_of},
    looks::{self, Look, delete, go_on_with},
    promote::SCHEDULER,
    record::{self, Change, Job, MORE, live, made, traits},
    tx::Tx,
    words::{Word, amount},
};

/// How many children a step moves that ends jobs.
pub(super) const AT_ONCE: usize = 100;

/// How many ripples are read at once.
const READ: i64 = 100;

/// How many children are moved at once.
const SLICE: usize = 1_000;

/// How long one promotion works at ripples, about.
const MOST_TIME: Duration = Duration::from_millis(500);

/// What stands for an outcome where the parents of a job are to be looked at: no job ends so.
const LOOK: State = State::Scheduled;

/// Has the parents of children looked at by a promotion.
pub(super) async fn look_later(tx: &mut Tx<'_>, children: &[i64]) -> Result<(), Fault> {
    if children.is_empty() {
        return Ok(());
    }
    let query = tx
        .query("INSERT INTO @ripples (parent, outcome, after, upto) SELECT c, $2, 0, 0 FROM unnest($1::bigint[]) AS c")
        .bind(children.to_vec())
        .bind(LOOK.number());
    tx.run(query).await?;
    Ok(())
}

/// The end of a job, on its way to the children.
#[derive(Clone, Copy, Debug)]
struct Ripple {
    n: i64,
    /// The job that ended; the child where its parents are to be looked at.
    parent: i64,
    /// How it ended; [`LOOK`] where parents are to be looked at.
    outcome: State,
    after: i64,
    upto: i64,
}

/// What came of working at a ripple.
#[derive(Debug, Default)]
struct Worked {
    /// How many children were looked at.
    looked_at: usize,
    /// How many of them became enqueued.
    moved: usize,
    /// Whether nothing is left of the ripple.
    is_over: bool,
    /// Whether it waits for somebody who holds a child.
    is_held_up: bool,
    /// How far it has come.
    after: i64,
    /// The ripples of children that ended by it.
    new: Vec<Ripple>,
}

/// What is left of the ripples after a promotion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// How many children became enqueued, and how many were looked at.
    pub(super) moved: usize,
    pub(super) looked_at: usize,
    /// Whether there is more that could be done at once.
    pub(super) more: bool,
    /// Whether something waits for others to let go of it.
    pub(super) blocked: bool,
}

/// Has the children know of the ends in these changes.
pub(super) async fn spread(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    let mut ripples = VecDeque::from(note(tx, changes).await?);
    while tx.children_left > 0
        && let Some(ripple) = ripples.pop_front()
    {
        // What is left of an earlier end of the same job comes before.
        let query = tx.query("SELECT 1 FROM @ripples WHERE parent = $1 AND n < $2 LIMIT 1");
        let query = query.bind(ripple.parent).bind(ripple.n);
        if tx.first(query).await?.is_some() {
            continue;
        }
        let worked = work_at(tx, ripple, tx.children_left).await?;
        tx.children_left -= worked.looked_at.max(1).min(tx.children_left);
        ripples.extend(worked.new);
    }
    Ok(())
}

/// Goes on with what is left of ripples, for as many children.
pub(super) async fn go_on(tx: &mut Tx<'_>, limit: usize) -> Result<Left, Fault> {
    let mut left = Left::default();
    let (mut last, mut budget, began) = (i64::MIN, limit, Instant::now());
    if read(tx, last).await?.is_empty() {
        return Ok(left);
    }
    // One at a time, so that the ripples of a job stay in their order. Whoever has the lock does the work.
    let query = tx.query("SELECT pg_try_advisory_xact_lock(hashtextextended('@ripples', 0))");
    if !tx.first(query).await?.ok_or(Fault::Again)?.try_get::<bool, _>(0)? {
        return Ok(Left { blocked: true, ..left });
    }
    let mut held_up = HashSet::new();
    loop {
        let ripples = read(tx, last).await?;
        let Some(newest) = ripples.last() else { return Ok(left) };
        last = newest.n;
        for mut ripple in ripples {
            if held_up.contains(&ripple.parent) {
                continue;
            }
            loop {
                if budget == 0 || began.elapsed() > MOST_TIME {
                    return Ok(Left { more: true, ..left });
                }
                let worked = work_at(tx, ripple, budget.min(SLICE)).await?;
                budget -= worked.looked_at.max(1).min(budget);
                left.moved += worked.moved;
                left.looked_at += worked.looked_at;
                if worked.is_held_up {
                    left.blocked = true;
                    held_up.insert(ripple.parent);
                }
                if worked.is_over || worked.is_held_up {
                    break;
                }
                ripple.after = worked.after;
            }
        }
    }
}

async fn read(tx: &mut Tx<'_>, after: i64) -> Result<Vec<Ripple>, Fault> {
    let query = tx.query("SELECT n, parent, outcome, after, upto FROM @ripples WHERE n > $1 ORDER BY n LIMIT $2");
    let rows = tx.all(query.bind(after).bind(READ)).await?;
    let ripple = |row: &sqlx::postgres::PgRow| {
        // One whose outcome makes no sense deletes nobody's work: it holds back until its parent is requeued.
        let outcome = State::from_number(row.try_get(2)?).unwrap_or(State::Failed);
        Ok(Ripple {
            n: row.try_get(0)?,
            parent: row.try_get(1)?,
            outcome,
            after: row.try_get(3)?,
            upto: row.try_get(4)?,
        })
    };
    rows.iter().map(ripple).collect()
}

/// Writes down the ends in these changes: for the children of those that ended, and for their parents.
async fn note(tx: &mut Tx<'_>, changes: &[Change]) -> Result<Vec<Ripple>, Fault> {
    let has_ended = |change: &&Change| {
        change.job.state.is_final() && change.before.is_some_and(|before| before != change.job.state)
    };
    let with = |bit: i16| changes.iter().filter(has_ended).filter(move |change| change.job.traits & bit != 0);
    let finished = with(traits::PARENTS).map(|change| change.job.seq).collect::<Vec<_>>();
    if !finished.is_empty() {
        finish(tx, finished).await?;
    }
    let (parents, outcomes): (Vec<_>, Vec<_>) =
        with(traits::CHILDREN).map(|change| (change.job.seq, change.job.state)).unzip();
    ripple(tx, &parents, &outcomes).await
}

/// Writes ripples for jobs with children that still wait. The rows of the jobs must be held: who makes a child holds them too,
/// so that all children are seen here.
async fn ripple(tx: &mut Tx<'_>, parents: &[i64], outcomes: &[State]) -> Result<Vec<Ripple>, Fault> {
    if parents.is_empty() {
        return Ok(Vec::new());
    }
    let query = tx
        .query(
            "INSERT INTO @ripples (parent, outcome, after, upto)
             SELECT p.seq, p.outcome, -1, m.child FROM unnest($1::bigint[], $2::smallint[]) AS p (seq, outcome)
             CROSS JOIN LATERAL (
                 SELECT child FROM @edges WHERE parent = p.seq AND NOT met ORDER BY child DESC LIMIT 1) m
             RETURNING n, parent, outcome, after, upto",
        )
        .bind(parents.to_vec())
        .bind(outcomes.iter().map(|outcome| outcome.number()).collect::<Vec<_>>());
    let mut ripples = Vec::new();
    for row in tx.all(query).await? {
        ripples.push(Ripple {
            n: row.try_get(0)?,
            parent: row.try_get(1)?,
            outcome: State::from_number(row.try_get(2)?)?,
            after: row.try_get(3)?,
            upto: row.try_get(4)?,
        });
    }
    Ok(ripples)
}

/// Has the children of jobs that are removed know of it. The promotions work it off.
pub(super) async fn removed(tx: &mut Tx<'_>, parents: &[i64]) -> Result<(), Fault> {
    ripple(tx, parents, &vec![State::Deleted; parents.len()]).await?;
    Ok(())
}

/// Jobs with parents have ended: parents that were kept for them may go when their time is over.
async fn finish(tx: &mut Tx<'_>, children: Vec<i64>) -> Result<(), Fault> {
    let query = tx.query("UPDATE @edges SET done = true WHERE child = ANY($1::bigint[])").bind(children.clone());
    tx.run(query).await?;
    // One that is just being looked at is looked at again later.
    let query = tx
        .query(
            "WITH kept AS MATERIALIZED (
                 SELECT x.spot FROM (
                     SELECT DISTINCT parent FROM @edges WHERE child = ANY($1::bigint[]) ORDER BY parent) e
                 CROSS JOIN LATERAL (
                     SELECT ctid AS spot FROM @ended WHERE state = 4 AND seq = e.parent AND kept_at IS NOT NULL LIMIT 1
                     FOR UPDATE SKIP LOCKED) x)
             UPDATE @ended SET kept_at = NULL WHERE ctid = ANY (ARRAY(SELECT spot FROM kept))",
        )
        .bind(children);
    tx.run(query).await?;
    Ok(())
}

/// Works at one ripple, for at most as many children.
async fn work_at(tx: &mut Tx<'_>, ripple: Ripple, most: usize) -> Result<Worked, Fault> {
    if ripple.outcome == LOOK {
        return look(tx, ripple).await;
    }
    const CHILDREN: &str = concat!(
        live!(
            "e.child, w.there, c.continues_on, c.start, c.start_value, h.active_mode",
            "(SELECT child FROM @edges WHERE parent = $1 AND child > $2 AND child <= $3 AND NOT met
                 ORDER BY child LIMIT $4) e
             LEFT JOIN LATERAL (
                 SELECT true AS there FROM @live WHERE state + 0 = 1 AND seq = e.child AND reason = 'parents'
                 LIMIT 1) w ON true
             LEFT JOIN LATERAL (
                 SELECT * FROM @live WHERE state + 0 = 1 AND seq = e.child AND reason = 'parents'
                 LIMIT 1 FOR UPDATE SKIP LOCKED) l ON true
             LEFT JOIN LATERAL (
                 SELECT continues_on, start, start_value FROM @conditions WHERE seq = e.child LIMIT 1) c ON true
             LEFT JOIN LATERAL (SELECT active_mode FROM @handlers WHERE n = l.handler LIMIT 1) h ON true"
        ),
        made!(),
        "ORDER BY e.child"
    );
    let query = tx.query(CHILDREN).bind(ripple.parent).bind(ripple.after).bind(ripple.upto).bind(amount(most));
    let rows = tx.all(query).await?;
    let mut worked = Worked { after: ripple.after, ..Worked::default() };
    let (mut changes, mut met) = (Vec::new(), Vec::new());
    let now = tx.now();
    for row in &rows {
        let child = row.try_get::<i64, _>(MORE)?;
        if row.try_get::<Option<Uuid>, _>(0)?.is_none() {
            if row.try_get::<Option<bool>, _>(MORE + 1)?.unwrap_or(false) {
                worked.is_held_up = true;
                break;
            }
            // It has gone another way.
            worked.after = child;
            continue;
        }
        worked.after = child;
        worked.looked_at += 1;
        let Ok(job) = Job::read(row) else {
            tracing::error!(child, "a job that waits for others is passed over, because it is damaged");
            continue;
        };
        let on = row.try_get::<Option<i16>, _>(MORE + 2)?.map(ContinueOn::from_number).transpose();
        match judge(on.ok().flatten().unwrap_or_default(), ripple.outcome) {
            Verdict::Met => {
                met.push((child, job, start_of(row.try_get(MORE + 3)?, row.try_get(MORE + 4)?), mode(row)?))
            }
            Verdict::Waits => {}
            Verdict::Cannot => {
                changes.push(delete(job, now, SCHEDULER));
            }
        }
    }
    let free = meet(tx, ripple.parent, met.iter().map(|(child, ..)| *child).collect()).await?;
    for (_, job, start, active) in met.into_iter().filter(|(child, ..)| free.contains(child)) {
        let change = go_on_with(job, start, active, now, SCHEDULER);
        worked.moved += usize::from(change.job.state == State::Enqueued);
        changes.push(change);
    }
    record::write(tx, &changes).await?;
    worked.new = note(tx, &changes).await?;
    worked.is_over = !worked.is_held_up && rows.len() < most;
    keep(tx, ripple.n, (!worked.is_over).then_some(worked.after)).await?;
    Ok(worked)
}

/// Looks at the parents of one job.
async fn look(tx: &mut Tx<'_>, ripple: Ripple) -> Result<Worked, Fault> {
    let mut worked = Worked { looked_at: 1, ..Worked::default() };
    match looks::look(tx, ripple.parent).await? {
        Look::HeldUp => worked.is_held_up = true,
        Look::Done(change) => {
            worked.is_over = true;
            let changes = change.into_iter().collect::<Vec<_>>();
            worked.moved = changes.iter().filter(|change| change.job.state == State::Enqueued).count();
            record::write(tx, &changes).await?;
            worked.new = note(tx, &changes).await?;
            keep(tx, ripple.n, None).await?;
        }
    }
    Ok(worked)
}

fn mode(row: &sqlx::postgres::PgRow) -> Result<Option<Mode>, Fault> {
    row.try_get::<Option<i16>, _>(MORE + 5)?.map(Mode::from_number).transpose()
}

/// Marks the edges from a parent to children as met; gives the children that wait for no other parent.
async fn meet(tx: &mut Tx<'_>, parent: i64, children: Vec<i64>) -> Result<HashSet<i64>, Fault> {
    if children.is_empty() {
        return Ok(HashSet::new());
    }
    let query = tx.query("UPDATE @edges SET met = true WHERE parent = $1 AND child = ANY($2::bigint[])");
    let query = query.bind(parent).bind(children.clone());
    tx.run(query).await?;
    let query = tx
        .query(
            "SELECT c FROM unnest($1::bigint[]) AS c
             WHERE NOT EXISTS (SELECT 1 FROM @edges WHERE child = c AND met IS NOT TRUE ORDER BY place LIMIT 1)",
        )
        .bind(children);
    tx.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Keeps how far a ripple has come; removes it where nothing is left of it.
async fn keep(tx: &mut Tx<'_>, n: i64, after: Option<i64>) -> Result<(), Fault> {
    let query = match after {
        Some(after) => tx.query("UPDATE @ripples SET after = $2 WHERE n = $1").bind(n).bind(after),
        None => tx.query("DELETE FROM @ripples WHERE n = $1").bind(n),
    };
    tx.run(query).await?;
    Ok(())
}
