//! Modules, their versions and their bytes.

use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};
use windlass_api::{
    Digest, HandlerPath, HandlerSpec, Json, Mode, ModuleName, ModuleView, State, Timestamp, VersionView,
};

use super::{
    fault::Fault,
    tx::Tx,
    words::{self, Word, amount, plain, unsigned},
};
use crate::storage::{NewVersion, Retirement, Signal};

/// How many jobs are moved at once.
pub(super) const SLICE: usize = 1_000;

/// How many jobs are looked at at once for those that stand in the wrong line.
const LOOKED_AT: i64 = 5_000;

pub(super) async fn add_version(tx: &mut Tx<'_>, new: &NewVersion) -> Result<bool, Fault> {
    let handlers = Json::write(&new.handlers).map_err(|error| Fault::damaged("a version's handlers", error))?;
    let query = tx
        .query("INSERT INTO @components (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&new.digest.0[..])
        .bind(&new.bytes);
    tx.run(query).await?;
    // Held, so that nobody who retires another version with the same bytes removes them meanwhile.
    let query = tx.query("SELECT 1 FROM @components WHERE digest = $1 FOR KEY SHARE").bind(new.digest.0.to_vec());
    tx.first(query).await?.ok_or(Fault::Again)?;
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
    let is_known = tx.run(query).await? == 0;
    if is_known {
        let query = tx.query(
            "UPDATE @versions SET retired_at = NULL WHERE module = $1 AND digest = $2 AND retired_at IS NOT NULL",
        );
        let query = query.bind(new.module.as_str()).bind(new.digest.0.to_vec());
        tx.run(query).await?;
    }
    Ok(is_known)
}

/// The number of a module's active version.
pub(super) async fn active(tx: &mut Tx<'_>, module: &ModuleName) -> Result<Option<i32>, Fault> {
    let query = tx.query("SELECT active FROM @modules WHERE name = $1").bind(module.as_str());
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?)
}

/// How a handler runs in its module's active version; nothing where that has no such handler.
pub(super) async fn active_mode(tx: &mut Tx<'_>, path: &HandlerPath) -> Result<Option<Mode>, Fault> {
    let query = tx.query("SELECT active_mode FROM @handlers WHERE module = $1 AND name = $2");
    let query = query.bind(path.module.as_str()).bind(path.handler.as_str());
    let mode = tx.first(query).await?.map(|row| row.try_get::<Option<i16>, _>(0)).transpose()?.flatten();
    mode.map(Mode::from_number).transpose()
}

/// The number of a version.
pub(super) async fn number(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Option<i32>, Fault> {
    let query = tx.query("SELECT n FROM @versions WHERE module = $1 AND digest = $2");
    let query = query.bind(module.as_str()).bind(digest.0.to_vec());
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?)
}

/// The number of a version that new jobs may be sent to.
async fn usable(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Option<i32>, Fault> {
    let query = tx.query("SELECT n FROM @versions WHERE module = $1 AND digest = $2 AND retired_at IS NULL");
    let query = query.bind(module.as_str()).bind(digest.0.to_vec());
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?)
}

/// Whether a version is retired.
pub(super) async fn is_retired(tx: &mut Tx<'_>, version: i32) -> Result<bool, Fault> {
    let query = tx.query("SELECT retired_at IS NOT NULL FROM @versions WHERE n = $1").bind(version);
    Ok(tx.first(query).await?.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Retires a version that no job needs. A claim that began before its version ceased to be live may still pin a job to it; the
/// server that gets it finds the version gone, and gives the job back.
pub(super) async fn retire(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Retirement, Fault> {
    hold_versions(tx, module).await?;
    let Some(version) = number(tx, module, digest).await? else { return Ok(Retirement::Unknown) };
    if usable(tx, module, digest).await?.is_none() {
        return Ok(Retirement::Done);
    }
    let query = tx.query(
        "SELECT coalesce(v.n = m.active, false) OR v.canary_percent IS NOT NULL,
             (SELECT count(*) FROM @live WHERE version = v.n AND state IN (0, 2)),
             (SELECT count(*) FROM @live WHERE version = v.n AND state = 3)
         FROM @versions v LEFT JOIN LATERAL (SELECT active FROM @modules WHERE name = v.module LIMIT 1) m ON true
         WHERE v.n = $1",
    );
    let row = tx.first(query.bind(version)).await?.ok_or(Fault::Again)?;
    if row.try_get(0)? {
        return Ok(Retirement::Live);
    }
    let (waiting, running) = (unsigned(row.try_get(1)?), unsigned(row.try_get(2)?));
    if waiting + running > 0 {
        return Ok(Retirement::Needed { waiting, running });
    }
    let query = tx.query("UPDATE @versions SET retired_at = @now WHERE n = $2").bind(tx.instant()).bind(version);
    tx.run(query).await?;
    // By itself and first, so that what follows sees the versions of those who held the bytes until now.
    let query = tx.query("SELECT 1 FROM @components WHERE digest = $1 FOR UPDATE").bind(digest.0.to_vec());
    tx.first(query).await?;
    let query = tx.query(
        "DELETE FROM @components WHERE digest = $1
         AND NOT EXISTS (SELECT 1 FROM @versions WHERE digest = $1 AND retired_at IS NULL)",
    );
    let query = query.bind(digest.0.to_vec());
    tx.run(query).await?;
    tx.told.signals.push(Signal::Modules);
    Ok(Retirement::Done)
}

async fn handlers_of(tx: &mut Tx<'_>, module: &ModuleName, version: i32) -> Result<Vec<HandlerSpec>, Fault> {
    let query = tx.query("SELECT handlers FROM @versions WHERE n = $1").bind(version);
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("a version of module {module}"), why);
    let row = tx.first(query).await?.ok_or_else(|| damaged(&"it is not there"))?;
    serde_json::from_str(row.try_get(0)?).map_err(|error| damaged(&error))
}

/// What a version that is active now brings: the numbers of its handlers, by how they run.
pub(super) type Switched = BTreeMap<Mode, Vec<i32>>;

/// Makes a version the active one, and ends the canary; nothing where there is none of this digest. Jobs that it concerns are
/// moved afterwards.
pub(super) async fn activate(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Option<Switched>, Fault> {
    hold_versions(tx, module).await?;
    let switched = switch(tx, module, digest).await?;
    if switched.is_some() {
        end_canary(tx, module).await?;
    }
    Ok(switched)
}

/// Makes a version the active one beside the canary.
pub(super) async fn switch(tx: &mut Tx<'_>, module: &ModuleName, digest: Digest) -> Result<Option<Switched>, Fault> {
    let Some(version) = usable(tx, module, digest).await? else { return Ok(None) };
    // Whoever else activates a version of this module waits here.
    let query = tx
        .query(
            "INSERT INTO @modules AS m (name, active) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET active = excluded.active, changes = m.changes + 1",
        )
        .bind(module.as_str())
        .bind(version);
    tx.run(query).await?;
    let mut specs = handlers_of(tx, module, version).await?;
    specs.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    let names = specs.iter().map(|spec| spec.name.as_str().to_owned()).collect::<Vec<_>>();
    let query = tx
        .query(
            "UPDATE @handlers SET active_mode = NULL
             WHERE module = $1 AND active_mode IS NOT NULL AND name <> ALL ($2::text[])",
        )
        .bind(module.as_str())
        .bind(names);
    tx.run(query).await?;
    let mut switched = Switched::new();
    for spec in specs {
        let handler = tx.handler(&HandlerPath { module: module.clone(), handler: spec.name }).await?;
        let query = tx.query("UPDATE @handlers SET active_mode = $2 WHERE n = $1 AND active_mode IS DISTINCT FROM $2");
        let query = query.bind(handler).bind(spec.mode.number());
        tx.run(query).await?;
        switched.entry(spec.mode).or_default().push(handler);
    }
    tx.told.signals.push(Signal::Modules);
    Ok(Some(switched))
}

/// Makes a version the canary, in place of any other; gives whether there is one of this digest.
pub(super) async fn set_canary(
    tx: &mut Tx<'_>,
    module: &ModuleName,
    digest: Digest,
    percent: u8,
) -> Result<bool, Fault> {
    hold_versions(tx, module).await?;
    let Some(version) = usable(tx, module, digest).await? else { return Ok(false) };
    end_canary(tx, module).await?;
    let query = tx.query("UPDATE @versions SET canary_percent = $2 WHERE n = $1");
    let query = query.bind(version).bind(i16::from(percent));
    tx.run(query).await?;
    let mut specs = handlers_of(tx, module, version).await?;
    specs.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    for spec in specs {
        let handler = tx.handler(&HandlerPath { module: module.clone(), handler: spec.name }).await?;
        let query = tx.query("UPDATE @handlers SET canary = $2, canary_percent = $3 WHERE n = $1");
        let query = query.bind(handler).bind(version).bind(i16::from(percent));
        tx.run(query).await?;
    }
    tx.told.signals.push(Signal::Modules);
    Ok(true)
}

/// Ends a module's canary; gives which version it was.
pub(super) async fn end_canary(tx: &mut Tx<'_>, module: &ModuleName) -> Result<Option<Digest>, Fault> {
    hold_versions(tx, module).await?;
    let query = tx.query(
        "UPDATE @versions SET canary_percent = NULL WHERE module = $1 AND canary_percent IS NOT NULL RETURNING digest",
    );
    let query = query.bind(module.as_str());
    let Some(row) = tx.first(query).await? else { return Ok(None) };
    let digest = words::digest(row.try_get(0)?)?;
    let query = tx.query(
        "UPDATE @handlers SET canary = NULL, canary_percent = NULL WHERE module = $1 AND canary_percent IS NOT NULL",
    );
    let query = query.bind(module.as_str());
    tx.run(query).await?;
    tx.told.signals.push(Signal::Modules);
    Ok(Some(digest))
}

/// Whether a module has a canary.
pub(super) async fn has_canary(tx: &mut Tx<'_>, module: &ModuleName) -> Result<bool, Fault> {
    let query = tx.query("SELECT 1 FROM @versions WHERE module = $1 AND canary_percent IS NOT NULL");
    let query = query.bind(module.as_str());
    Ok(tx.first(query).await?.is_some())
}

/// Whoever else changes a module's canary, or which version is active, waits here: before it holds anything else of the module.
pub(super) async fn hold_versions(tx: &mut Tx<'_>, module: &ModuleName) -> Result<(), Fault> {
    let query = tx.query("SELECT n FROM @versions WHERE module = $1 ORDER BY n FOR NO KEY UPDATE");
    let query = query.bind(module.as_str());
    tx.all(query).await?;
    Ok(())
}

/// Those that somebody holds at this moment are being claimed, and keep their version.
const UNPIN: &str = "
WITH chosen AS MATERIALIZED (
    SELECT id, seq FROM @live WHERE seq > $3 AND (state + 0) IN (0, 2)
        AND version = (SELECT n FROM @versions WHERE module = $1 AND digest = $2)
    ORDER BY seq LIMIT $4 FOR UPDATE SKIP LOCKED
),
gone AS (
    UPDATE @live l SET version = NULL, mode = coalesce((SELECT active_mode FROM @handlers WHERE n = l.handler), l.mode)
    WHERE l.id = ANY (ARRAY(SELECT id FROM chosen)) RETURNING 1
)
SELECT max(seq), count(*), (SELECT count(*) FROM gone) FROM chosen";

const _: () = assert!(
    State::Scheduled as i16 == 0 && State::Enqueued as i16 == 2 && State::Processing as i16 == 3,
    "the statements of this file name them"
);

/// Lets some of the jobs go that wait, are pinned to a version and were made after one; gives how many, and the last of them
/// where there may be more.
pub(super) async fn unpin(
    tx: &mut Tx<'_>,
    module: &ModuleName,
    digest: Digest,
    after: i64,
) -> Result<(u64, Option<i64>), Fault> {
    let query = tx.query(UNPIN).bind(module.as_str()).bind(digest.0.to_vec()).bind(after).bind(amount(SLICE));
    let Some(row) = tx.first(query).await? else { return Ok((0, None)) };
    let (last, found) = (row.try_get::<Option<i64>, _>(0)?, row.try_get::<i64, _>(1)?);
    let gone = unsigned(row.try_get(2)?);
    tx.told.work |= gone > 0;
    Ok((gone, last.filter(|_| found == amount(SLICE))))
}

/// The looking through of a line for jobs of handlers that run in another mode now.
pub(super) struct Moving {
    handlers: Vec<i32>,
    from: Mode,
    to: Mode,
    /// Behind which job to go on: its place as the line is ordered.
    after: Place,
}

enum Place {
    /// By queue, priority, instant and number.
    Waiting(i32, i16, i64, i64),
    /// By instant and number.
    Scheduled(i64, i64),
    /// By the limit's line, priority, instant and number.
    Held(i32, i16, i64, i64),
}

/// What is to be looked through after a version has become active. Jobs that are pinned to a version keep its mode.
pub(super) fn moves(switched: &Switched) -> Vec<Moving> {
    let mut moves = Vec::new();
    for (to, handlers) in switched {
        for from in Mode::VALUES.iter().filter(|from| *from != to) {
            let places =
                [Place::Waiting(i32::MIN, 0, 0, 0), Place::Scheduled(i64::MIN, 0), Place::Held(i32::MIN, 0, 0, 0)];
            for after in places {
                moves.push(Moving { handlers: handlers.clone(), from: *from, to: *to, after });
            }
        }
    }
    moves
}

/// `IS TRUE` keeps from looking for the rows in an index once more: where they stand is known.
const WAITING: &str = "
WITH looked_at AS MATERIALIZED (
    SELECT ctid AS spot, queue, priority, ready_at, seq, handler, version FROM @live
    WHERE state = 2 AND held IS NULL AND mode = $1 AND (queue, priority, ready_at, seq) > ($5, $6, $7, $8)
    ORDER BY queue, priority, ready_at, seq LIMIT $4
),
wrong AS MATERIALIZED (
    SELECT id FROM @live
    WHERE ctid = ANY (ARRAY(SELECT spot FROM looked_at WHERE handler = ANY ($2::integer[]) AND version IS NULL))
        AND (state = 2) IS TRUE AND (mode = $1) IS TRUE
    FOR UPDATE SKIP LOCKED
),
moved AS (UPDATE @live SET mode = $3 WHERE id = ANY (ARRAY(SELECT id FROM wrong)) RETURNING 1)
SELECT queue, priority, ready_at, seq, (SELECT count(*) FROM moved), (SELECT count(*) FROM looked_at) FROM looked_at
ORDER BY queue DESC, priority DESC, ready_at DESC, seq DESC LIMIT 1";

const SCHEDULED: &str = "
WITH looked_at AS MATERIALIZED (
    SELECT ctid AS spot, at, seq, handler, version, mode FROM @live
    WHERE state = 0 AND (at, seq) > ($5, $6) ORDER BY at, seq LIMIT $4
),
wrong AS MATERIALIZED (
    SELECT id FROM @live
    WHERE ctid = ANY (ARRAY(SELECT spot FROM looked_at WHERE handler = ANY ($2::integer[]) AND version IS NULL))
        AND (state = 0) IS TRUE AND (mode = $1) IS TRUE
    FOR UPDATE SKIP LOCKED
),
moved AS (UPDATE @live SET mode = $3 WHERE id = ANY (ARRAY(SELECT id FROM wrong)) RETURNING 1)
SELECT at, seq, (SELECT count(*) FROM moved), (SELECT count(*) FROM looked_at) FROM looked_at
ORDER BY at DESC, seq DESC LIMIT 1";

const HELD: &str = "
WITH looked_at AS MATERIALIZED (
    SELECT ctid AS spot, held, priority, ready_at, seq, handler, version FROM @live
    WHERE held IS NOT NULL AND (held, priority, ready_at, seq) > ($5, $6, $7, $8)
    ORDER BY held, priority, ready_at, seq LIMIT $4
),
wrong AS MATERIALIZED (
    SELECT id FROM @live
    WHERE ctid = ANY (ARRAY(SELECT spot FROM looked_at WHERE handler = ANY ($2::integer[]) AND version IS NULL))
        AND (state = 2) IS TRUE AND (mode = $1) IS TRUE
    FOR UPDATE SKIP LOCKED
),
moved AS (UPDATE @live SET mode = $3 WHERE id = ANY (ARRAY(SELECT id FROM wrong)) RETURNING 1)
SELECT held, priority, ready_at, seq, (SELECT count(*) FROM moved), (SELECT count(*) FROM looked_at) FROM looked_at
ORDER BY held DESC, priority DESC, ready_at DESC, seq DESC LIMIT 1";

/// Moves jobs to the line of the mode in which their handlers run now; gives whether there are more to look at. A job that
/// somebody holds at this moment is left to the server that takes it, which finds that it has no slot of the kind and puts it
/// into the right line.
pub(super) async fn move_slice(tx: &mut Tx<'_>, moving: &mut Moving) -> Result<bool, Fault> {
    let begun = |tx: &Tx<'_>, statement| {
        let query = tx.query(statement).bind(moving.from.number()).bind(moving.handlers.clone());
        query.bind(moving.to.number()).bind(LOOKED_AT)
    };
    let looked_at = match moving.after {
        Place::Waiting(queue, priority, ready_at, seq) => {
            let query = begun(tx, WAITING).bind(queue).bind(priority).bind(ready_at).bind(seq);
            let Some(row) = tx.first(query).await? else { return Ok(false) };
            moving.after = Place::Waiting(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            tx.told.work |= row.try_get::<i64, _>(4)? > 0;
            row.try_get::<i64, _>(5)?
        }
        Place::Scheduled(at, seq) => {
            let query = begun(tx, SCHEDULED).bind(at).bind(seq);
            let Some(row) = tx.first(query).await? else { return Ok(false) };
            moving.after = Place::Scheduled(row.try_get(0)?, row.try_get(1)?);
            row.try_get::<i64, _>(3)?
        }
        Place::Held(held, priority, ready_at, seq) => {
            let query = begun(tx, HELD).bind(held).bind(priority).bind(ready_at).bind(seq);
            let Some(row) = tx.first(query).await? else { return Ok(false) };
            moving.after = Place::Held(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            row.try_get::<i64, _>(5)?
        }
    };
    Ok(looked_at == LOOKED_AT)
}

macro_rules! versions {
    ($condition:literal) => {
        concat!(
            "SELECT v.digest, v.size, v.version, v.sdk, v.handlers, v.deployed_at, coalesce(v.n = m.active, false),
             v.module, v.canary_percent, v.retired_at FROM @versions v
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
        canary_percent: row.try_get::<Option<i16>, _>(8)?.map(|percent| u8::try_from(percent).unwrap_or(u8::MAX)),
        retired_at: row.try_get::<Option<i64>, _>(9)?.map(Timestamp),
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

pub(super) async fn live_versions(tx: &mut Tx<'_>, module: &ModuleName) -> Result<Vec<VersionView>, Fault> {
    let query = tx.query(versions!(
        "WHERE v.module = $1 AND (v.n = m.active OR v.canary_percent IS NOT NULL) ORDER BY coalesce(v.n = m.active, false) DESC"
    ));
    let query = query.bind(module.as_str());
    tx.all(query).await?.iter().map(view).collect()
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
