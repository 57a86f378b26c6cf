//! Modules, their versions and their bytes.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use windlass_api::{
    Digest, HandlerPath, HandlerSpec, Json, Mode, ModuleName, ModuleView, State, Timestamp, VersionView,
};

use super::{
    fault::Fault,
    record::{Job, columns},
    tx::Tx,
    words::{self, Word, unsigned},
};
use crate::storage::{NewVersion, Retirement, Signal, StorageError};

/// Who moves jobs when a version is activated.
const ACTIVATION: &str = "activation";

pub(super) fn add_version(tx: &mut Tx<'_>, new: &NewVersion) -> Result<bool, Fault> {
    let handlers = Json::write(&new.handlers).map_err(|error| Fault::damaged("a version's handlers", error))?;
    tx.db
        .prepare_cached("INSERT INTO components (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((new.digest.0, &new.bytes))?;
    let added = tx
        .db
        .prepare_cached(
            "INSERT INTO versions (module, digest, size, version, sdk, handlers, deployed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.module.as_str(),
            new.digest.0,
            i64::try_from(new.bytes.len()).unwrap_or(i64::MAX),
            new.version,
            new.sdk,
            handlers.as_str(),
            tx.now.0,
        ])?;
    if added == 0 {
        tx.db
            .prepare_cached("UPDATE versions SET retired_at = NULL WHERE module = ?1 AND digest = ?2")?
            .execute((new.module.as_str(), new.digest.0))?;
    }
    Ok(added == 0)
}

/// The number of a module's active version.
pub(super) fn active(tx: &Tx<'_>, module: &ModuleName) -> Result<Option<i64>, Fault> {
    let mut query = tx.db.prepare_cached("SELECT active FROM modules WHERE name = ?1")?;
    Ok(query.query_row([module.as_str()], |row| row.get(0)).optional()?)
}

/// How a handler runs in its module's active version; nothing where that has no such handler.
pub(super) fn active_mode(tx: &Tx<'_>, path: &HandlerPath) -> Result<Option<Mode>, Fault> {
    let Some(version) = active(tx, &path.module)? else { return Ok(None) };
    let handlers = handlers_of(tx.db, &path.module, version)?;
    Ok(handlers.into_iter().find(|spec| spec.name == path.handler).map(|spec| spec.mode))
}

fn handlers_of(db: &Connection, module: &ModuleName, version: i64) -> Result<Vec<HandlerSpec>, Fault> {
    let text = db
        .prepare_cached("SELECT handlers FROM versions WHERE n = ?1")?
        .query_row([version], |row| row.get::<_, String>(0))?;
    serde_json::from_str(&text).map_err(|error| Fault::damaged(format_args!("a version of module {module}"), error))
}

/// The number of a version.
pub(super) fn number(db: &Connection, module: &ModuleName, digest: Digest) -> Result<Option<i64>, Fault> {
    let mut query = db.prepare_cached("SELECT n FROM versions WHERE module = ?1 AND digest = ?2")?;
    Ok(query.query_row((module.as_str(), digest.0), |row| row.get(0)).optional()?)
}

/// The number of a version that new jobs may be sent to.
fn usable(db: &Connection, module: &ModuleName, digest: Digest) -> Result<Option<i64>, Fault> {
    let mut query =
        db.prepare_cached("SELECT n FROM versions WHERE module = ?1 AND digest = ?2 AND retired_at IS NULL")?;
    Ok(query.query_row((module.as_str(), digest.0), |row| row.get(0)).optional()?)
}

/// Whether a version is retired.
pub(super) fn is_retired(db: &Connection, version: i64) -> Result<bool, Fault> {
    let mut query = db.prepare_cached("SELECT retired_at IS NOT NULL FROM versions WHERE n = ?1")?;
    Ok(query.query_row([version], |row| row.get(0)).optional()?.unwrap_or(false))
}

pub(super) fn retire(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Retirement, Fault> {
    let Some(version) = number(tx.db, module, digest)? else { return Ok(Retirement::Unknown) };
    if usable(tx.db, module, digest)?.is_none() {
        return Ok(Retirement::Done);
    }
    if active(tx, module)? == Some(version) || canary(tx.db, module)?.is_some_and(|(canary, _)| canary == version) {
        return Ok(Retirement::Live);
    }
    let (waiting, running) = tx
        .db
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state <> 3), count(*) FILTER (WHERE state = 3)
             FROM jobs INDEXED BY jobs_by_state WHERE state IN (0, 2, 3) AND version = ?1",
        )?
        .query_row([version], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
    if waiting + running > 0 {
        return Ok(Retirement::Needed { waiting, running });
    }
    tx.db.prepare_cached("UPDATE versions SET retired_at = ?2 WHERE n = ?1")?.execute((version, tx.now.0))?;
    tx.db
        .prepare_cached(
            "DELETE FROM components WHERE digest = ?1
             AND NOT EXISTS (SELECT 1 FROM versions WHERE digest = ?1 AND retired_at IS NULL)",
        )?
        .execute([digest.0])?;
    tx.signal(Signal::Modules);
    Ok(Retirement::Done)
}

const _: () = assert!(
    State::Scheduled as i64 == 0 && State::Enqueued as i64 == 2 && State::Processing as i64 == 3,
    "the statement above names them"
);

/// Makes a version the active one, and ends the canary.
pub(super) fn activate(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<bool, Fault> {
    let known = switch(tx, module, digest)?;
    if known {
        end_canary(tx, module)?;
    }
    Ok(known)
}

/// Makes a version the active one beside the canary.
pub(super) fn switch(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<bool, Fault> {
    let Some(version) = usable(tx.db, module, digest)? else { return Ok(false) };
    tx.db
        .prepare_cached(
            "INSERT INTO modules (name, active) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET active = excluded.active",
        )?
        .execute((module.as_str(), version))?;
    for spec in handlers_of(tx.db, module, version)? {
        let handler = tx.handler(&HandlerPath { module: module.clone(), handler: spec.name })?;
        wake_awaiting(tx, handler, spec.mode)?;
        for state in [State::Enqueued, State::Scheduled] {
            change_mode(tx, handler, state, spec.mode)?;
        }
    }
    tx.signal(Signal::Modules);
    Ok(true)
}

/// A module's canary: the number of the version, and its share.
pub(super) fn canary(db: &Connection, module: &ModuleName) -> Result<Option<(i64, u8)>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT n, canary_percent FROM versions INDEXED BY versions_canary WHERE module = ?1 AND canary_percent IS NOT NULL",
    )?;
    Ok(query.query_row([module.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// The canary of a handler's module, where it has the handler.
pub(super) fn canary_with(tx: &Tx<'_>, path: &HandlerPath) -> Result<Option<(i64, u8)>, Fault> {
    let Some(canary) = canary(tx.db, &path.module)? else { return Ok(None) };
    let handlers = handlers_of(tx.db, &path.module, canary.0)?;
    Ok(handlers.iter().any(|spec| spec.name == path.handler).then_some(canary))
}

pub(super) fn set_canary(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest, percent: u8) -> Result<bool, Fault> {
    let Some(version) = usable(tx.db, module, digest)? else { return Ok(false) };
    end_canary(tx, module)?;
    tx.db.prepare_cached("UPDATE versions SET canary_percent = ?2 WHERE n = ?1")?.execute((version, percent))?;
    tx.signal(Signal::Modules);
    Ok(true)
}

pub(super) fn end_canary(tx: &mut Tx<'_>, module: &ModuleName) -> Result<Option<Digest>, Fault> {
    let Some((version, _)) = canary(tx.db, module)? else { return Ok(None) };
    tx.db.prepare_cached("UPDATE versions SET canary_percent = NULL WHERE n = ?1")?.execute([version])?;
    tx.signal(Signal::Modules);
    tx.digest(version).map(Some)
}

/// How many jobs are let go at once.
const UNPINNED_AT_ONCE: i64 = 1_000;

/// The jobs that may be let go, state by state in the order of their making: the state, and the last one that was let go.
pub(super) type Unpinned = (State, i64);

pub(super) const NONE_UNPINNED: Unpinned = (State::Scheduled, i64::MIN);

/// Lets some of the jobs go that wait and are pinned to a version; gives how many, and how to go on.
pub(super) fn unpin(
    tx: &mut Tx<'_>,
    module: &ModuleName,
    digest: Digest,
    (state, after): Unpinned,
) -> Result<(u64, Option<Unpinned>), Fault> {
    let Some(version) = number(tx.db, module, digest)? else { return Ok((0, None)) };
    let (mut jobs, mut last) = (Vec::new(), None);
    {
        let mut query = tx.db.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM jobs INDEXED BY jobs_by_state WHERE state = ?1 AND seq > ?2 AND version = ?3 ORDER BY seq LIMIT ?4"
        ))?;
        let mut rows = query.query((state.number(), after, version, UNPINNED_AT_ONCE))?;
        while let Some(row) = rows.next()? {
            last = Some(row.get(0)?);
            match Job::read(row) {
                // One that cannot be read keeps no other from being let go.
                Err(fault) if fault.is_of_a_record() => {
                    tracing::error!(error = %StorageError::from(fault), "a job stays pinned");
                }
                read => jobs.push(read?),
            }
        }
    }
    let next = match (last, state) {
        (Some(last), _) => Some((state, last)),
        (None, State::Scheduled) => Some((State::Enqueued, i64::MIN)),
        (None, _) => None,
    };
    let unpinned = u64::try_from(jobs.len()).unwrap_or(u64::MAX);
    for mut job in jobs {
        let before = job.place();
        let path = tx.handler_path(job.handler)?;
        job.version = None;
        job.mode = active_mode(tx, &path)?.unwrap_or(job.mode);
        job.save(tx, &before)?;
    }
    Ok((unpinned, next))
}

fn wake_awaiting(tx: &mut Tx<'_>, handler: i64, mode: Mode) -> Result<(), Fault> {
    for mut job in lacking(tx, handler)? {
        let before = job.place();
        job.mode = mode;
        job.become_ready(tx, None);
        job.record_step(tx, State::Awaiting, ACTIVATION)?;
        job.save(tx, &before)?;
    }
    Ok(())
}

/// The jobs that wait for a handler. Those that wait for other jobs are awaiting too, and are not looked at.
fn lacking(tx: &Tx<'_>, handler: i64) -> Result<Vec<Job>, Fault> {
    let mut query = tx.db.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM jobs INDEXED BY jobs_lacking WHERE handler = ?1 AND state = 1 AND reason = 'handler-missing' ORDER BY seq"
    ))?;
    let mut rows = query.query([handler])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(Job::read(row)?);
    }
    Ok(jobs)
}

const _: () = assert!(State::Awaiting as i64 == 1, "the statement above names it");

/// Moves jobs to the line of the mode in which their handler runs now. Those that are pinned to a version keep its mode.
fn change_mode(tx: &mut Tx<'_>, handler: i64, state: State, mode: Mode) -> Result<(), Fault> {
    for mut job in jobs_in(tx, handler, state, "version IS NULL AND mode <> ?3", mode.number())? {
        let before = job.place();
        job.mode = mode;
        job.save(tx, &before)?;
    }
    Ok(())
}

/// A handler's jobs in a state for which a condition holds, so that those that stay as they are are not read. Where
/// there are none in that state, as the tally knows, the state's jobs are not looked through.
fn jobs_in(tx: &Tx<'_>, handler: i64, state: State, condition: &str, value: impl ToSql) -> Result<Vec<Job>, Fault> {
    let counted = tx
        .db
        .prepare_cached("SELECT coalesce(sum(jobs), 0) FROM tally WHERE handler = ?1 AND state = ?2")?
        .query_row((handler, state.number()), |row| row.get::<_, i64>(0))?;
    let mut jobs = Vec::new();
    if counted == 0 && !tx.has_changes() {
        return Ok(jobs);
    }
    let mut query = tx.db.prepare_cached(&format!(
        "SELECT {} FROM jobs INDEXED BY jobs_by_state WHERE state = ?1 AND handler = ?2 AND {condition} ORDER BY seq",
        columns!(),
    ))?;
    let mut rows = query.query((state.number(), handler, value))?;
    while let Some(row) = rows.next()? {
        jobs.push(Job::read(row)?);
    }
    Ok(jobs)
}

const VERSION: &str = "SELECT versions.digest, size, version, sdk, handlers, deployed_at, \
     versions.n = coalesce(modules.active, -1), versions.module, canary_percent, retired_at \
     FROM versions LEFT JOIN modules ON modules.name = versions.module";

fn view(row: &Row<'_>) -> Result<VersionView, Fault> {
    let digest = words::digest(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
    let handlers = serde_json::from_str(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?);
    Ok(VersionView {
        digest,
        size_bytes: unsigned(row.get(1)?),
        version: row.get(2)?,
        sdk: row.get(3)?,
        handlers: handlers.map_err(|error| Fault::damaged(format_args!("version {digest}"), error))?,
        deployed_at: Timestamp(row.get(5)?),
        active: row.get(6)?,
        canary_percent: row.get(8)?,
        retired_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
    })
}

pub(super) fn modules(db: &Connection) -> Result<Vec<ModuleView>, Fault> {
    let mut query = db.prepare_cached(&format!("{VERSION} ORDER BY versions.module, versions.n DESC"))?;
    let mut rows = query.query([])?;
    let mut modules = BTreeMap::<ModuleName, Vec<VersionView>>::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(7)?.parse().map_err(|error| Fault::damaged("a module", error))?;
        modules.entry(name).or_default().push(view(row)?);
    }
    Ok(modules.into_iter().map(|(name, versions)| ModuleView { name, versions }).collect())
}

pub(super) fn active_version(db: &Connection, module: &ModuleName) -> Result<Option<VersionView>, Fault> {
    let mut query = db.prepare_cached(&format!("{VERSION} WHERE modules.name = ?1 AND versions.n = modules.active"))?;
    query.query([module.as_str()])?.next()?.map(view).transpose()
}

pub(super) fn live_versions(db: &Connection, module: &ModuleName) -> Result<Vec<VersionView>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "{VERSION} WHERE versions.module = ?1 AND (versions.n = modules.active OR canary_percent IS NOT NULL)
         ORDER BY versions.n = coalesce(modules.active, -1) DESC"
    ))?;
    let mut rows = query.query([module.as_str()])?;
    let mut live = Vec::new();
    while let Some(row) = rows.next()? {
        live.push(view(row)?);
    }
    Ok(live)
}

pub(super) fn version(db: &Connection, module: &ModuleName, digest: Digest) -> Result<Option<VersionView>, Fault> {
    let mut query = db.prepare_cached(&format!("{VERSION} WHERE versions.module = ?1 AND versions.digest = ?2"))?;
    query.query((module.as_str(), digest.0))?.next()?.map(view).transpose()
}

pub(super) fn component(db: &Connection, digest: Digest) -> Result<Option<Vec<u8>>, Fault> {
    let mut query = db.prepare_cached("SELECT bytes FROM components WHERE digest = ?1")?;
    Ok(query.query_row([digest.0], |row| row.get(0)).optional()?)
}
