//! Modules, their versions and their bytes.

use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};
use windlass_api::{
    Digest, HandlerPath, HandlerSpec, Json, Mode, ModuleName, ModuleView, State, Timestamp, VersionView,
};

use super::{
    enqueue::HANDLER_MISSING,
    fault::Fault,
    record::{self, Job, live, made},
    tx::Tx,
    words::{self, Word, amount, plain, unsigned},
};
use crate::storage::{NewVersion, Signal};

/// Who moves jobs when a version is activated.
const ACTIVATION: &str = "activation";

/// How many jobs are moved at once.
const SLICE: usize = 1_000;

/// Keeps versions from being activated until the transaction ends: whoever lets a job wait for its handler must not miss
/// the one that brings it. To be taken before the look, so that the look sees all that came before.
pub(super) async fn hold_activations(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let query = tx.query("SELECT pg_advisory_xact_lock_shared(hashtextextended('@modules', 0))");
    tx.first(query).await?;
    Ok(())
}

async fn activate_alone(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let query = tx.query("SELECT pg_advisory_xact_lock(hashtextextended('@modules', 0))");
    tx.first(query).await?;
    Ok(())
}

pub(super) async fn add_version(tx: &mut Tx<'_>, new: &NewVersion) -> Result<bool, Fault> {
    let handlers = Json::write(&new.handlers).map_err(|error| Fault::damaged("a version's handlers", error))?;
    let query = tx
        .query("INSERT INTO @components (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&new.digest.0[..])
        .bind(&new.bytes);
    tx.run(query).await?;
    let query = tx
        .query(
            "INSERT INTO @versions (module, digest, size, version, sdk, handlers, deployed_at)
             SELECT $2, $3, $4, $5, $6, $7, @now ON CONFLICT DO NOTHING",
        )
        .bind(tx.instant())
        .bind(new.module.as_str())
        .bind(&new.digest.0[..])
        .bind(amount(new.bytes.len()))
        .bind(plain(&new.version))
        .bind(plain(&new.sdk))
        .bind(handlers.as_str());
    Ok(tx.run(query).await? == 0)
}

/// The number of a module's active version.
pub(super) async fn active(tx: &mut Tx<'_>, module: &ModuleName) -> Result<Option<i32>, Fault> {
    let query = tx.query("SELECT active FROM @modules WHERE name = $1").bind(module.as_str());
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?)
}

/// How a handler runs in its module's active version; nothing where that has no such handler.
pub(super) async fn active_mode(tx: &mut Tx<'_>, path: &HandlerPath) -> Result<Option<Mode>, Fault> {
    let Some(version) = active(tx, &path.module).await? else { return Ok(None) };
    let handlers = handlers_of(tx, &path.module, version).await?;
    Ok(handlers.into_iter().find(|spec| spec.name == path.handler).map(|spec| spec.mode))
}

/// The number of a version.
pub(super) async fn number(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Option<i32>, Fault> {
    let query = tx.query("SELECT n FROM @versions WHERE module = $1 AND digest = $2");
    let query = query.bind(module.as_str()).bind(digest.0.to_vec());
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?)
}

async fn handlers_of(tx: &mut Tx<'_>, module: &ModuleName, version: i32) -> Result<Vec<HandlerSpec>, Fault> {
    let query = tx.query("SELECT handlers FROM @versions WHERE n = $1").bind(version);
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("a version of module {module}"), why);
    let row = tx.first(query).await?.ok_or_else(|| damaged(&"it is not there"))?;
    serde_json::from_str(row.try_get(0)?).map_err(|error| damaged(&error))
}

pub(super) async fn activate(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<bool, Fault> {
    let Some(version) = number(tx, module, digest).await? else { return Ok(false) };
    activate_alone(tx).await?;
    let query = tx
        .query(
            "INSERT INTO @modules AS m (name, active) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET active = excluded.active, changes = m.changes + 1",
        )
        .bind(module.as_str())
        .bind(version);
    tx.run(query).await?;
    let mut by_mode = BTreeMap::<Mode, Vec<i32>>::new();
    for spec in handlers_of(tx, module, version).await? {
        let handler = tx.handler(&HandlerPath { module: module.clone(), handler: spec.name }).await?;
        wake_awaiting(tx, handler, spec.mode).await?;
        by_mode.entry(spec.mode).or_default().push(handler);
    }
    for (mode, handlers) in by_mode {
        change_modes(tx, &handlers, mode).await?;
    }
    tx.told.signals.push(Signal::Modules);
    Ok(true)
}

async fn wake_awaiting(tx: &mut Tx<'_>, handler: i32, mode: Mode) -> Result<(), Fault> {
    const AWAITING: &str = concat!(
        live!(
            "(SELECT * FROM @live WHERE state = 1 AND handler = $1 AND reason = $2 ORDER BY seq LIMIT $3 FOR UPDATE) l"
        ),
        made!(),
        "ORDER BY l.seq"
    );
    loop {
        let query = tx.query(AWAITING).bind(handler).bind(HANDLER_MISSING).bind(amount(SLICE));
        let now = tx.now();
        let mut changes = Vec::new();
        for row in tx.all(query).await? {
            let mut change = Job::read(&row)?.change();
            change.job.mode = mode;
            change.job.become_ready(now, None);
            change.record_step(now, State::Awaiting, ACTIVATION);
            changes.push(change);
        }
        record::save(tx, &changes).await?;
        if changes.len() < SLICE {
            return Ok(());
        }
    }
}

/// Moves jobs to the line of the mode in which their handlers run now. Those that are pinned to a version keep its mode.
/// Only the lines of the other mode are looked through, once for all handlers. A job that somebody claims at this moment is
/// left to its server, which finds that it has no slot of the kind and puts it into the right line.
async fn change_modes(tx: &mut Tx<'_>, handlers: &[i32], mode: Mode) -> Result<(), Fault> {
    const WAITING: &str = "WITH wrong AS MATERIALIZED (
             SELECT id FROM @live WHERE state = 2 AND mode = $1 AND handler = ANY ($2::integer[]) AND version IS NULL
             FOR UPDATE SKIP LOCKED)
         UPDATE @live SET mode = $3 WHERE id = ANY (ARRAY(SELECT id FROM wrong))";
    const SCHEDULED: &str = "WITH wrong AS MATERIALIZED (
             SELECT id FROM @live WHERE state = 0 AND mode = $1 AND handler = ANY ($2::integer[]) AND version IS NULL
             FOR UPDATE SKIP LOCKED)
         UPDATE @live SET mode = $3 WHERE id = ANY (ARRAY(SELECT id FROM wrong))";
    for other in Mode::VALUES.iter().filter(|other| **other != mode) {
        let moving = |tx: &Tx<'_>, statement| {
            tx.query(statement).bind(other.number()).bind(handlers.to_vec()).bind(mode.number())
        };
        let query = moving(tx, WAITING);
        tx.told.work |= tx.run(query).await? > 0;
        let query = moving(tx, SCHEDULED);
        tx.run(query).await?;
    }
    Ok(())
}

macro_rules! versions {
    ($condition:literal) => {
        concat!(
            "SELECT v.digest, v.size, v.version, v.sdk, v.handlers, v.deployed_at, coalesce(v.n = m.active, false),
             v.module FROM @versions v
             LEFT JOIN LATERAL (SELECT active FROM @modules WHERE name = v.module LIMIT 1) m ON true ",
            $condition
        )
    };
}

fn view(row: &PgRow) -> Result<VersionView, Fault> {
    let digest = words::digest(row.try_get(0)?)?;
    let handlers = serde_json::from_str(row.try_get(4)?);
    Ok(VersionView {
        digest,
        size_bytes: unsigned(row.try_get(1)?),
        version: row.try_get(2)?,
        sdk: row.try_get(3)?,
        handlers: handlers.map_err(|error| Fault::damaged(format_args!("version {digest}"), error))?,
        deployed_at: Timestamp(row.try_get(5)?),
        active: row.try_get(6)?,
    })
}

pub(super) async fn modules(tx: &mut Tx<'_>) -> Result<Vec<ModuleView>, Fault> {
    let query = tx.query(versions!("ORDER BY v.module, v.n DESC"));
    let mut modules = BTreeMap::<ModuleName, Vec<VersionView>>::new();
    for row in tx.all(query).await? {
        let name = row.try_get::<&str, _>(7)?.parse().map_err(|error| Fault::damaged("a module", error))?;
        modules.entry(name).or_default().push(view(&row)?);
    }
    Ok(modules.into_iter().map(|(name, versions)| ModuleView { name, versions }).collect())
}

pub(super) async fn active_version(tx: &mut Tx<'_>, module: &ModuleName) -> Result<Option<VersionView>, Fault> {
    let query = tx.query(versions!("WHERE v.module = $1 AND v.n = m.active")).bind(module.as_str());
    tx.first(query).await?.as_ref().map(view).transpose()
}

pub(super) async fn version(
    tx: &mut Tx<'_>,
    module: &ModuleName,
    digest: Digest,
) -> Result<Option<VersionView>, Fault> {
    let query = tx.query(versions!("WHERE v.module = $1 AND v.digest = $2"));
    let query = query.bind(module.as_str()).bind(digest.0.to_vec());
    tx.first(query).await?.as_ref().map(view).transpose()
}

pub(super) async fn component(tx: &mut Tx<'_>, digest: Digest) -> Result<Option<Vec<u8>>, Fault> {
    let query = tx.query("SELECT bytes FROM @components WHERE digest = $1").bind(digest.0.to_vec());
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?)
}
