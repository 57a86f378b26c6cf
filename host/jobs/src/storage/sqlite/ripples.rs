//! What the end of a job means for those that continue it.
//!
//! ```text
//!   a job with children ends, or is removed ──▶ a ripple, kept until all of its children were looked at
//!   each child that waits for it ──▶ its edge is met; with the last one it goes on
//!                                ──▶ or it is deleted, and makes a ripple of its own
//!                                ──▶ or it goes on waiting
//! ```

use rusqlite::OptionalExtension;
use windlass_api::{JobId, State};

use super::{
    conditions,
    damage::{Suspect, set_aside, unless_damaged},
    fault::Fault,
    flow::{self, Judgement, PARENT_GONE},
    promote::SCHEDULER,
    record::{Job, ties},
    tx::Tx,
    words::{self, Word},
};

/// What came of going on with ripples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    /// How much was looked at.
    pub(super) looked_at: usize,
    /// How many children became enqueued.
    pub(super) enqueued: usize,
    /// Whether nothing is left.
    pub(super) is_all: bool,
}

/// Tells those that a job is tied to of the state that it has come into.
pub(super) fn moved(tx: &mut Tx<'_>, job: &Job) -> Result<(), Fault> {
    if job.is_tied(ties::KEPT) {
        put_back(tx, job.seq)?;
    }
    if job.state.is_final() {
        if job.is_tied(ties::HAS_CHILDREN) {
            begin(tx, job.id, job.state)?;
        }
        if job.is_tied(ties::CONTINUES) {
            release_parents(tx, job.seq)?;
        }
    }
    Ok(())
}

/// Keeps that the children of a job are to be told of its end. One that was removed has ended as deleted.
pub(super) fn begin(tx: &mut Tx<'_>, parent: JobId, outcome: State) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "INSERT INTO ripples (parent, outcome, until)
             VALUES (?1, ?2, (SELECT coalesce(max(child), -1) FROM edges WHERE parent = ?1))",
        )?
        .execute((parent.0.as_bytes(), outcome.number()))?;
    tx.effects.consequences.ripples = true;
    Ok(())
}

/// Puts a job that was kept for its children back among those to be removed.
fn put_back(tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
    tx.db.prepare_cached("UPDATE jobs SET ties = ties & 7 WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// A job has ended, so that those that it continues need not be kept for it.
pub(super) fn release_parents(tx: &Tx<'_>, child: i64) -> Result<(), Fault> {
    tx.db
        .prepare_cached(
            "UPDATE jobs SET ties = ties & 7
             WHERE ties >= 8 AND id IN (SELECT parent FROM edges WHERE child = ?1)",
        )?
        .execute([child])?;
    Ok(())
}

/// A ripple that is not through.
struct Ripple {
    n: i64,
    parent: Vec<u8>,
    outcome: State,
    until: i64,
    reached: i64,
}

/// Goes on with ripples, the oldest first, until so many children were looked at. One whose record is damaged is failed.
pub(super) fn spread(tx: &mut Tx<'_>, limit: usize, suspect: &Suspect) -> Result<Spread, Fault> {
    let mut spread = Spread::default();
    loop {
        let Some(ripple) = first(tx)? else { return Ok(Spread { is_all: true, ..spread }) };
        let left = limit - spread.looked_at.min(limit);
        if left == 0 {
            return Ok(spread);
        }
        // One more than may be looked at tells whether the ripple goes on.
        let mut children = children(tx, &ripple, left.saturating_add(1))?;
        let goes_on = children.len() > left;
        children.truncate(left);
        for child in &children {
            let told = suspect
                .watch_beside(*child, tx, |tx| unless_damaged(tx, *child, |tx| tell(tx, *child, &ripple, suspect)))?;
            match told {
                Some(became) => spread.enqueued += usize::from(became),
                None => set_aside(tx, *child, State::Awaiting)?,
            }
        }
        // One without children must not make the step any longer than one with a child.
        spread.looked_at += children.len().max(1);
        match children.last() {
            Some(last) if goes_on => {
                tx.db.prepare_cached("UPDATE ripples SET reached = ?2 WHERE n = ?1")?.execute((ripple.n, last))?;
            }
            _ => forget(tx, ripple.n)?,
        }
    }
}

/// Whether there is any.
pub(super) fn are_left(tx: &Tx<'_>) -> Result<bool, Fault> {
    Ok(tx.db.prepare_cached("SELECT 1 FROM ripples")?.exists([])?)
}

fn forget(tx: &Tx<'_>, n: i64) -> Result<(), Fault> {
    tx.db.prepare_cached("DELETE FROM ripples WHERE n = ?1")?.execute([n])?;
    Ok(())
}

/// The oldest ripple. One that does not say what it is cannot be gone on with, and is removed.
fn first(tx: &Tx<'_>) -> Result<Option<Ripple>, Fault> {
    loop {
        let row = tx
            .db
            .prepare_cached("SELECT n, parent, outcome, until, reached FROM ripples ORDER BY n LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            .optional()?;
        let Some((n, parent, outcome, until, reached)) = row else { return Ok(None) };
        match State::from_number(outcome) {
            Ok(outcome) if words::uuid(&parent).is_ok() => {
                return Ok(Some(Ripple { n, parent, outcome, until, reached }));
            }
            _ => {
                tracing::error!(
                    number = n,
                    "the end of a job is passed over for its children, because its record is damaged"
                );
                forget(tx, n)?;
            }
        }
    }
}

fn children(tx: &Tx<'_>, ripple: &Ripple, limit: usize) -> Result<Vec<i64>, Fault> {
    let mut query = tx.db.prepare_cached(
        "SELECT child FROM edges INDEXED BY edges_by_parent
         WHERE parent = ?1 AND child > ?2 AND child <= ?3 AND met = 0 ORDER BY child LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let children = query.query_map((&ripple.parent, ripple.reached, ripple.until, limit), |row| row.get(0))?;
    Ok(children.collect::<Result<_, _>>()?)
}

/// Tells a child how the parent ended; gives whether it became enqueued.
fn tell(tx: &mut Tx<'_>, child: i64, ripple: &Ripple, suspect: &Suspect) -> Result<bool, Fault> {
    let mut job = suspect.watch(child, || Job::by_seq(tx.db, child))?;
    if !flow::waits_for_parents(&job) {
        return Ok(false);
    }
    // Its history is about to be written to: whether that can be is seen by looking at the place.
    suspect.watch(child, || Ok(tx.db.prepare_cached("SELECT 1 FROM history WHERE seq = ?1")?.exists([child])?))?;
    let on = suspect.watch(child, || conditions::continue_on(tx.db, &job))?;
    match flow::judge(on, ripple.outcome) {
        Judgement::Waits => Ok(false),
        Judgement::Gone => {
            let before = job.place();
            job.become_now(tx, State::Deleted, Some(PARENT_GONE.into()));
            job.record_step(tx, State::Awaiting, SCHEDULER)?;
            job.save(tx, &before)?;
            Ok(false)
        }
        Judgement::Met => {
            tx.db
                .prepare_cached("UPDATE edges SET met = 1 WHERE child = ?1 AND parent = ?2")?
                .execute((child, &ripple.parent))?;
            if flow::has_unmet(tx, child)? {
                return Ok(false);
            }
            let before = job.place();
            flow::go_on(tx, &mut job)?;
            job.record_step(tx, State::Awaiting, SCHEDULER)?;
            job.save(tx, &before)?;
            Ok(job.state == State::Enqueued)
        }
    }
}
