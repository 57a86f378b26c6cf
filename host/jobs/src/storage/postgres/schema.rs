//! The schema and its versions.
//!
//! A version may be read by programs that are older than it, so that hosts can be upgraded one by one: each migration
//! says what the oldest version is that gets along with it.

use sqlx::{AssertSqlSafe, Row};

use super::{
    fault::Fault,
    tx::{Kind, Tx},
};
use crate::storage::{Migration as Migrated, StorageError};

struct Migration {
    sql: &'static str,
    /// The oldest version that a program may know to use the schema after this.
    readable_by: i32,
}

/// Each brings a schema from the version before to its own; the first one starts with nothing.
const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("schema/1.sql"), readable_by: 1 },
    // Whoever knows nothing of limits and children would leave jobs behind.
    Migration { sql: include_str!("schema/2.sql"), readable_by: 2 },
    Migration { sql: include_str!("schema/3.sql"), readable_by: 2 },
];

/// The oldest PostgreSQL that is supported, as `server_version_num` has it.
const OLDEST: i32 = 140_000;

fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Sees that the server and the schema are ones that this program knows, and brings the schema up to date where it may.
pub(super) async fn prepare(
    tx: &mut Tx<'_>,
    name: &str,
    namespace: &str,
    may_migrate: bool,
) -> Result<Migrated, StorageError> {
    prepare_or_fail(tx, name, namespace, may_migrate).await?.map_err(StorageError::Unusable)
}

async fn prepare_or_fail(
    tx: &mut Tx<'_>,
    name: &str,
    namespace: &str,
    may_migrate: bool,
) -> Result<Result<Migrated, String>, StorageError> {
    let on_open = |fault: Fault| fault.on_open(name);
    tx.begin(Kind::Long).await.map_err(on_open)?;
    let server = server_version(tx).await.map_err(on_open)?;
    if server < OLDEST {
        return Ok(Err(format!(
            "{name} is PostgreSQL {}.{}: windlass needs version 14 or newer",
            server / 10_000,
            server % 10_000
        )));
    }
    let encoding = encoding(tx).await.map_err(on_open)?;
    if encoding != "UTF8" {
        return Ok(Err(format!(
            "{name} keeps its texts in {encoding}, which lacks most of what jobs may hold: make a database with \
             `ENCODING 'UTF8'`"
        )));
    }
    let mut version = stored_version(tx, namespace).await.map_err(on_open)?;
    if let Some((unknown @ ..1, _)) = version {
        return Ok(Err(format!(
            "{name} has a table `schema_versions` in the namespace `{namespace}` that names no version of windlass ({}): \
             restore it from a backup, or give windlass another namespace",
            if unknown == 0 { "it is empty, or says 0".to_owned() } else { format!("it says {unknown}") }
        )));
    }
    let mut from = version;
    if version.is_none_or(|version| version.0 < known()) && may_migrate {
        // Held until the commit, so that of several hosts that start at once one does it and the others find it done.
        let lock = tx.query("SELECT pg_advisory_xact_lock(hashtextextended('@schema_versions', 0))");
        tx.first(lock).await.map_err(on_open)?;
        from = stored_version(tx, namespace).await.map_err(on_open)?;
        migrate(tx, namespace, from.map_or(0, |version| version.0)).await.map_err(on_open)?;
        version = stored_version(tx, namespace).await.map_err(on_open)?;
    }
    let may_be_made = if version.is_none() { may_be_made(tx, namespace).await.map_err(on_open)? } else { true };
    tx.commit().await.map_err(on_open)?;
    let known = known();
    Ok(match version {
        None if may_be_made => {
            let what = format!(
                "{name} has no windlass schema in the namespace `{namespace}` yet: start a host on it, or run `windlass \
                 storage migrate`"
            );
            return Err(StorageError::Absent { what, findings: Vec::new() });
        }
        None => Err(format!(
            "{name} has no windlass schema in the namespace `{namespace}` yet, and this user may not make it: grant it \
             `CREATE` on the database, or run `windlass storage migrate` as a user who may"
        )),
        Some((version, _)) if version < known => Err(format!(
            "{name} has schema version {version} in the namespace `{namespace}`, and this windlass needs {known}: start \
             a host of this version on it, or run `windlass storage migrate`"
        )),
        Some((version, readable_by)) if readable_by > known => Err(format!(
            "{name} has schema version {version} in the namespace `{namespace}`, and this windlass knows versions up to \
             {known}: use a newer windlass"
        )),
        Some((version, _)) => {
            let unsigned = |version: i32| u32::try_from(version).unwrap_or(0);
            Ok(Migrated { from: from.map(|from| unsigned(from.0)), to: unsigned(version) })
        }
    })
}

pub(super) async fn server_version(tx: &mut Tx<'_>) -> Result<i32, Fault> {
    let query = tx.query("SELECT current_setting('server_version_num')::integer");
    Ok(tx.first(query).await?.ok_or(Fault::Again)?.try_get(0)?)
}

async fn encoding(tx: &mut Tx<'_>) -> Result<String, Fault> {
    let query = tx.query("SELECT current_setting('server_encoding')");
    Ok(tx.first(query).await?.ok_or(Fault::Again)?.try_get(0)?)
}

/// The newest version that was applied, and the oldest that a program must know to use it.
async fn stored_version(tx: &mut Tx<'_>, namespace: &str) -> Result<Option<(i32, i32)>, Fault> {
    // Not by `to_regclass`, which answers from what the connection has in mind: another host may have made it just now.
    let query = tx.query(
        "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relname = 'schema_versions'",
    );
    if tx.first(query.bind(namespace.to_owned())).await?.is_none() {
        return Ok(None);
    }
    let query = tx.query("SELECT version, readable_by FROM @schema_versions ORDER BY version DESC LIMIT 1");
    // No version is 0: the table is made with its first row.
    let Some(row) = tx.first(query).await? else { return Ok(Some((0, 0))) };
    Ok(Some((row.try_get(0)?, row.try_get(1)?)))
}

/// Whether the user may make the schema, or fill one that is there.
async fn may_be_made(tx: &mut Tx<'_>, namespace: &str) -> Result<bool, Fault> {
    let query = tx
        .query(
            "SELECT CASE WHEN to_regnamespace($1) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
             ELSE has_schema_privilege(to_regnamespace($1)::oid, 'CREATE') END",
        )
        .bind(format!("\"{namespace}\""));
    Ok(tx.first(query).await?.ok_or(Fault::Again)?.try_get(0)?)
}

async fn migrate(tx: &mut Tx<'_>, namespace: &str, from: i32) -> Result<(), Fault> {
    if from == 0 {
        // Where it is there already, its owner may have given it to us without the right to make others.
        let query = tx.query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1").bind(namespace.to_owned());
        if tx.first(query).await?.is_none() {
            run(tx, &format!("CREATE SCHEMA \"{namespace}\"")).await?;
        }
        run(
            tx,
            "CREATE TABLE @schema_versions (version integer PRIMARY KEY, readable_by integer NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    }
    for (migration, to) in MIGRATIONS.iter().zip(1_i32..).filter(|(_, to)| *to > from) {
        run(tx, migration.sql).await?;
        let query = tx.query("INSERT INTO @schema_versions (version, readable_by) VALUES ($1, $2)");
        let query = query.bind(to).bind(migration.readable_by);
        tx.run(query).await?;
    }
    Ok(())
}

async fn run(tx: &mut Tx<'_>, sql: &str) -> Result<(), Fault> {
    sqlx::raw_sql(AssertSqlSafe(tx.texts.write(sql))).execute(&mut *tx.db).await?;
    Ok(())
}
