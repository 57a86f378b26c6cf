//! What a job depends on besides its turn, as far as it does not change with each step: what it waits for, and what it must
//! be the only one of.

use rusqlite::{Connection, OptionalExtension, params};
use windlass_api::{After, ContinueOn, JobId, Json, UniqueRule};

use super::{
    fault::Fault,
    record::{Job, ties},
    tx::Tx,
    words::{self, Word},
};
use crate::Start;

/// The conditions of a job as they are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// Why it was made in the state that it was made in.
    pub(super) born_reason: Option<String>,
    /// How the jobs that it continues must have ended.
    pub(super) continue_on: Option<ContinueOn>,
    /// How it goes on when they have.
    pub(super) start: Option<Start>,
    /// How it is unique.
    pub(super) unique: Option<UniqueRule>,
}

fn damaged(job: &Job, why: impl std::fmt::Display) -> Fault {
    Fault::damaged(format_args!("the conditions of job {}", job.id), why)
}

impl Kept {
    /// Those of a job; none where it has no ties that need any.
    pub(super) fn of(db: &Connection, job: &Job) -> Result<Self, Fault> {
        if !job.is_tied(ties::CONTINUES | ties::UNIQUE) {
            return Ok(Self::default());
        }
        let mut query =
            db.prepare_cached("SELECT born_reason, continue_on, start, unique_rule FROM conditions WHERE seq = ?1")?;
        let mut rows = query.query([job.seq])?;
        let row = rows.next()?.ok_or_else(|| damaged(job, "they are not there"))?;
        let start = row.get::<_, Option<String>>(2)?.map(|text| serde_json::from_str(&text)).transpose();
        let unique = row.get::<_, Option<String>>(3)?.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            born_reason: row.get(0)?,
            continue_on: row.get::<_, Option<i64>>(1)?.map(ContinueOn::from_number).transpose()?,
            start: start.map_err(|error| damaged(job, error))?,
            unique: unique.map_err(|error| damaged(job, error))?,
        })
    }

    pub(super) fn insert(&self, tx: &Tx<'_>, seq: i64) -> Result<(), Fault> {
        let text = |json: serde_json::Result<Json>| json.map_err(|error| Fault::damaged("a job's conditions", error));
        let start = self.start.as_ref().map(|start| text(Json::write(start))).transpose()?;
        let rule = self.unique.as_ref().map(|rule| text(Json::write(rule))).transpose()?;
        tx.db
            .prepare_cached(
                "INSERT INTO conditions (seq, born_reason, continue_on, start, unique_key, unique_rule)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                seq,
                self.born_reason,
                self.continue_on.map(Word::number),
                start.as_ref().map(Json::as_str),
                self.unique.as_ref().map(|rule| rule.key.0),
                rule.as_ref().map(Json::as_str),
            ])?;
        Ok(())
    }
}

/// How the jobs that a job continues must have ended.
pub(super) fn continue_on(db: &Connection, job: &Job) -> Result<ContinueOn, Fault> {
    let on = db
        .prepare_cached("SELECT continue_on FROM conditions WHERE seq = ?1")?
        .query_row([job.seq], |row| row.get::<_, Option<i64>>(0))
        .optional()?
        .flatten();
    ContinueOn::from_number(on.ok_or_else(|| damaged(job, "they do not say what it waits for"))?)
}

/// Changes how a job goes on when its parents are done.
pub(super) fn put_start(tx: &Tx<'_>, seq: i64, start: Start) -> Result<(), Fault> {
    let text = Json::write(&start).map_err(|error| Fault::damaged("a job's start", error))?;
    tx.db.prepare_cached("UPDATE conditions SET start = ?2 WHERE seq = ?1")?.execute((seq, text.as_str()))?;
    Ok(())
}

/// What a job continues, as it is shown.
pub(super) fn after(db: &Connection, job: &Job, kept: &Kept) -> Result<Option<After>, Fault> {
    let Some(on) = kept.continue_on else { return Ok(None) };
    Ok(Some(After { jobs: parents(db, job)?, on }))
}

/// The jobs that a job continues, in the order in which they were given.
pub(super) fn parents(db: &Connection, job: &Job) -> Result<Vec<JobId>, Fault> {
    parents_where(db, job, "SELECT parent FROM edges WHERE child = ?1 ORDER BY position")
}

/// Those of them that it has not found as asked.
pub(super) fn unmet_parents(db: &Connection, job: &Job) -> Result<Vec<JobId>, Fault> {
    parents_where(db, job, "SELECT parent FROM edges WHERE child = ?1 AND met = 0 ORDER BY position")
}

fn parents_where(db: &Connection, job: &Job, sql: &str) -> Result<Vec<JobId>, Fault> {
    if !job.is_tied(ties::CONTINUES) {
        return Ok(Vec::new());
    }
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query([job.seq])?;
    let mut parents = Vec::new();
    while let Some(row) = rows.next()? {
        let id = words::uuid(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        parents.push(JobId(id.map_err(|_| damaged(job, "the id of a job that it continues is none"))?));
    }
    Ok(parents)
}
