//! Jobs that continue others: how they are made, when they go on, and how they are shown. What the end of a job does to them
//! is [`ripples`](super::ripples)'.

use rusqlite::{Connection, OptionalExtension, Row};
use windlass_api::{After, ContinueOn, JobId, Page, Relations, Relative, State};

use super::{
    conditions::{self, Kept},
    enqueue::{Birth, birth},
    fault::Fault,
    list::{numbered, page_size},
    modules,
    record::{Job, ties},
    tx::Tx,
    words::{self, Word},
};
use crate::Start;

/// Why a job waits for those that it continues.
pub(super) const PARENTS: &str = "parents";

/// Why a job was deleted whose parents cannot end as it needs.
pub(super) const PARENT_GONE: &str = "parent-gone";

/// What a parent's state means to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It has ended as asked.
    Met,
    /// It may still.
    Waits,
    /// It no longer can.
    Gone,
}

/// What a state of a parent means to a child. One that was removed is as one that was deleted.
pub(super) fn judge(on: ContinueOn, parent: State) -> Judgement {
    match (on, parent) {
        (ContinueOn::Success, State::Succeeded) | (ContinueOn::Failure, State::Failed) => Judgement::Met,
        (ContinueOn::Finished, state) if state.is_final() => Judgement::Met,
        (ContinueOn::Success | ContinueOn::Failure, State::Deleted) | (ContinueOn::Failure, State::Succeeded) => {
            Judgement::Gone
        }
        _ => Judgement::Waits,
    }
}

/// A job that a new one continues.
struct Parent {
    id: JobId,
    /// Absent where it is not here.
    seq: Option<i64>,
    judgement: Judgement,
}

impl Parent {
    fn of(tx: &Tx<'_>, id: JobId, on: ContinueOn) -> Result<Self, Fault> {
        let found = tx
            .db
            .prepare_cached("SELECT seq, state FROM jobs WHERE id = ?1")?
            .query_row([id.0.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        Ok(match found {
            Some((seq, state)) => {
                // One whose state cannot be read ends when that is found.
                let judgement = State::from_number(state).map_or(Judgement::Waits, |state| judge(on, state));
                Self { id, seq: Some(seq), judgement }
            }
            None => Self { id, seq: None, judgement: judge(on, State::Deleted) },
        })
    }
}

/// The jobs that a new one continues.
pub(super) struct Parents {
    on: ContinueOn,
    parents: Vec<Parent>,
}

impl Parents {
    /// Looks at them as they are now.
    pub(super) fn of(tx: &Tx<'_>, after: &After) -> Result<Self, Fault> {
        let parents = after.jobs.iter().map(|id| Parent::of(tx, *id, after.on));
        Ok(Self { on: after.on, parents: parents.collect::<Result<_, _>>()? })
    }

    /// The first that is not here.
    pub(super) fn unknown(&self) -> Option<JobId> {
        self.parents.iter().find(|parent| parent.seq.is_none()).map(|parent| parent.id)
    }

    /// Says that all have ended as asked but these.
    pub(super) fn set_met_but(&mut self, waits_for: &[JobId]) {
        for parent in self.parents.iter_mut().filter(|parent| !waits_for.contains(&parent.id)) {
            parent.judgement = Judgement::Met;
        }
    }

    /// What they mean together.
    pub(super) fn judgement(&self) -> Judgement {
        let is = |judgement| self.parents.iter().any(|parent| parent.judgement == judgement);
        match (is(Judgement::Gone), is(Judgement::Waits)) {
            (true, _) => Judgement::Gone,
            (false, true) => Judgement::Waits,
            (false, false) => Judgement::Met,
        }
    }

    pub(super) fn on(&self) -> ContinueOn {
        self.on
    }

    /// Ties the new job to them.
    pub(super) fn tie(&self, tx: &Tx<'_>, child: i64) -> Result<(), Fault> {
        for (position, parent) in (0_i64..).zip(&self.parents) {
            tx.db
                .prepare_cached("INSERT INTO edges (child, position, parent, met) VALUES (?1, ?2, ?3, ?4)")?
                .execute((child, position, parent.id.0.as_bytes(), parent.judgement == Judgement::Met))?;
            if let Some(seq) = parent.seq {
                tx.db
                    .prepare_cached("UPDATE jobs SET ties = ties | 1 WHERE seq = ?1 AND NOT ties & 1")?
                    .execute([seq])?;
            }
        }
        Ok(())
    }
}

const _: () = assert!(ties::HAS_CHILDREN == 1, "the statement above names it");

/// Whether jobs that are here already continue this one, which comes later.
pub(super) fn has_children(tx: &Tx<'_>, id: JobId) -> Result<bool, Fault> {
    Ok(tx.db.prepare_cached("SELECT 1 FROM edges WHERE parent = ?1")?.exists([id.0.as_bytes()])?)
}

/// Whether a job waits for others.
pub(super) fn waits_for_parents(job: &Job) -> bool {
    job.state == State::Awaiting && job.reason.as_deref() == Some(PARENTS)
}

/// Whether a job has a parent that it has not found as asked.
pub(super) fn has_unmet(tx: &Tx<'_>, child: i64) -> Result<bool, Fault> {
    Ok(tx.db.prepare_cached("SELECT 1 FROM edges WHERE child = ?1 AND met = 0")?.exists([child])?)
}

/// Lets a job that waited for its parents start as it was to, from now on, in the mode that its handler has now. The caller
/// records and saves it.
pub(super) fn go_on(tx: &mut Tx<'_>, job: &mut Job) -> Result<(), Fault> {
    let start = Kept::of(tx.db, job)?.start.unwrap_or(Start::Now);
    let path = tx.handler_path(job.handler)?;
    job.mode = modules::active_mode(tx, &path)?.unwrap_or(job.mode);
    let Birth { state, at, mode, reason } = birth(tx, start, job.mode, &path)?;
    job.mode = mode;
    job.ready_at = tx.now;
    job.become_now(tx, state, reason.map(Into::into));
    job.at = at;
    Ok(())
}

/// From now on a job waits for nobody.
pub(super) fn wait_no_longer(tx: &mut Tx<'_>, job: &mut Job) -> Result<(), Fault> {
    tx.db.prepare_cached("UPDATE edges SET met = 1 WHERE child = ?1 AND met = 0")?.execute([job.seq])?;
    if job.version.is_none() {
        let path = tx.handler_path(job.handler)?;
        job.mode = modules::active_mode(tx, &path)?.unwrap_or(job.mode);
    }
    Ok(())
}

/// Whether a job that has ended is to be kept, since one that continues it is unfinished. The youngest children end last
/// for the most part, so they are looked at first.
pub(super) fn has_unfinished_child(tx: &Tx<'_>, id: JobId) -> Result<bool, Fault> {
    Ok(tx
        .db
        .prepare_cached(
            "SELECT 1 FROM edges INDEXED BY edges_by_parent JOIN jobs ON jobs.seq = edges.child
             WHERE parent = ?1 AND state < 4 ORDER BY child DESC LIMIT 1",
        )?
        .exists([id.0.as_bytes()])?)
}

/// The parents of a job, and a page of its children; nothing where there is no such job.
pub(super) fn relations(
    db: &Connection,
    id: JobId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Option<Relations>, Fault> {
    let after = cursor.map(numbered).transpose()?.unwrap_or(-1);
    let Some(job) = Job::by_id(db, id)? else { return Ok(None) };
    let parents = if job.is_tied(ties::CONTINUES) { parents_of(db, &job)? } else { Vec::new() };
    let children = if job.is_tied(ties::HAS_CHILDREN) {
        children_of(db, &job, after, limit)?
    } else {
        Page::new(Vec::new(), None)
    };
    Ok(Some(Relations { parents, children }))
}

fn parents_of(db: &Connection, job: &Job) -> Result<Vec<Relative>, Fault> {
    let on = conditions::continue_on(db, job)?;
    let mut query = db.prepare_cached(
        "SELECT edges.parent, met, handlers.module, handlers.name, jobs.state
         FROM edges LEFT JOIN jobs ON jobs.id = edges.parent LEFT JOIN handlers ON handlers.n = jobs.handler
         WHERE child = ?1 ORDER BY position",
    )?;
    let mut rows = query.query([job.seq])?;
    let mut parents = Vec::new();
    while let Some(row) = rows.next()? {
        parents.push(relative(row, on)?);
    }
    Ok(parents)
}

fn children_of(db: &Connection, job: &Job, after: i64, limit: usize) -> Result<Page<Relative>, Fault> {
    let limit = page_size(limit);
    let mut query = db.prepare_cached(
        "SELECT jobs.id, met, handlers.module, handlers.name, jobs.state, child, continue_on
         FROM edges INDEXED BY edges_by_parent
         JOIN jobs ON jobs.seq = edges.child JOIN conditions ON conditions.seq = edges.child
         LEFT JOIN handlers ON handlers.n = jobs.handler
         WHERE parent = ?1 AND child > ?2 ORDER BY child LIMIT ?3",
    )?;
    let mut rows = query.query((job.id.0.as_bytes(), after, limit + 1))?;
    let (mut children, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        if i64::try_from(children.len()).is_ok_and(|shown| shown == limit) {
            return Ok(Page::new(children, last));
        }
        let on = row.get::<_, Option<i64>>(6)?.map(ContinueOn::from_number).transpose()?;
        children.push(relative(row, on.unwrap_or_default())?);
        last = Some(row.get::<_, i64>(5)?.to_string());
    }
    Ok(Page::new(children, None))
}

fn relative(row: &Row<'_>, on: ContinueOn) -> Result<Relative, Fault> {
    let id = JobId(words::uuid(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?);
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("job {id}"), why);
    let module = row.get::<_, Option<String>>(2)?.map(|name| name.parse()).transpose();
    let handler = row.get::<_, Option<String>>(3)?.map(|name| name.parse()).transpose();
    Ok(Relative {
        id,
        module: module.map_err(|error: windlass_api::InvalidName| damaged(&error))?,
        handler: handler.map_err(|error: windlass_api::InvalidName| damaged(&error))?,
        state: row.get::<_, Option<i64>>(4)?.map(State::from_number).transpose()?,
        on,
        met: row.get(1)?,
    })
}
