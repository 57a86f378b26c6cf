//! Each backend's own place for a storage, and what it holds as text: SQLite's and PostgreSQL's as SQL, Redis' as the
//! serialized values of its keys.

use std::{fmt::Write as _, path::PathBuf, process::Command, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use windlass_jobs::storage::{OpenOptions, Storage, StorageUrl, migrate, open};

/// What stands in a dump for the name of the namespace.
const NAMESPACE: &str = "windlass_frozen";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
    Redis,
}

/// A place of its own for one storage.
pub(crate) enum Room {
    Sqlite { folder: TempDir },
    Postgres { server: String, namespace: String },
    Redis { server: String, namespace: String },
}

impl Backend {
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite.sql",
            Self::Postgres => "postgres.sql",
            Self::Redis => "redis.txt",
        }
    }

    pub(crate) fn room(self) -> Room {
        let namespace = format!("frozen{}", uuid::Uuid::new_v4().simple());
        match self {
            Self::Sqlite => Room::Sqlite { folder: tempfile::tempdir().unwrap() },
            Self::Postgres => {
                Room::Postgres { server: windlass_test_services::shared::postgres_url().unwrap(), namespace }
            }
            Self::Redis => Room::Redis { server: windlass_test_services::shared::redis_url().unwrap(), namespace },
        }
    }
}

impl Room {
    pub(crate) async fn open(&self, options: OpenOptions) -> Arc<dyn Storage> {
        open(&self.url(), options).await.unwrap()
    }

    /// Brings it to the version of this program.
    pub(crate) async fn migrate(&self) {
        migrate(&self.url()).await.unwrap();
    }

    fn url(&self) -> StorageUrl {
        match self {
            Self::Sqlite { folder } => StorageUrl::sqlite(database(folder)),
            Self::Postgres { server, namespace } | Self::Redis { server, namespace } => {
                let separator = if server.contains('?') { '&' } else { '?' };
                format!("{server}{separator}namespace={namespace}").parse().unwrap()
            }
        }
    }

    /// What it holds.
    pub(crate) async fn dump(&self) -> String {
        match self {
            Self::Sqlite { folder } => dump_sqlite(&rusqlite::Connection::open(database(folder)).unwrap()),
            Self::Postgres { server, namespace } => {
                let mut command = Command::new("pg_dump");
                command.args(["--inserts", "--no-owner", "--schema", namespace, server]);
                let output = command.output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let text = String::from_utf8(output.stdout).unwrap().replace(namespace, NAMESPACE);
                // What begins so is for psql, and what is a comment for people.
                let lines = text.lines().filter(|line| !line.starts_with(['\\', '-']) && !line.is_empty());
                lines.fold(String::new(), |text, line| text + line + "\n")
            }
            Self::Redis { server, namespace } => {
                let mut redis = redis::Client::open(server.as_str()).unwrap().get_connection().unwrap();
                let mut keys: Vec<Vec<u8>> =
                    redis::cmd("KEYS").arg(format!("{{{namespace}}}*")).query(&mut redis).unwrap();
                keys.sort();
                let mut text = String::new();
                for key in keys {
                    let value: Vec<u8> = redis::cmd("DUMP").arg(&key).query(&mut redis).unwrap();
                    let name = key.strip_prefix(format!("{{{namespace}}}").as_bytes()).unwrap();
                    let (name, value) = (BASE64_STANDARD.encode(name), BASE64_STANDARD.encode(value));
                    writeln!(text, "{name} {value}").unwrap();
                }
                text
            }
        }
    }

    /// Brings back what a dump holds.
    pub(crate) async fn restore(&self, dump: &str) {
        match self {
            Self::Sqlite { folder } => {
                rusqlite::Connection::open(database(folder)).unwrap().execute_batch(dump).unwrap();
            }
            Self::Postgres { server, namespace } => {
                let mut connection = PgConnection::connect(server).await.unwrap();
                let sql = dump.replace(NAMESPACE, namespace);
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            }
            Self::Redis { server, namespace } => {
                let mut redis = redis::Client::open(server.as_str()).unwrap().get_connection().unwrap();
                for line in dump.lines() {
                    let (name, value) = line.split_once(' ').unwrap();
                    let [name, value] = [name, value].map(|text| BASE64_STANDARD.decode(text).unwrap());
                    let key = [format!("{{{namespace}}}").into_bytes(), name].concat();
                    redis::cmd("RESTORE").arg(key).arg(0).arg(value).exec(&mut redis).unwrap();
                }
            }
        }
    }
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("windlass.db")
}

fn dump_sqlite(connection: &rusqlite::Connection) -> String {
    let texts = |sql: &str| -> Vec<String> {
        let mut query = connection.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let number =
        |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).unwrap();
    let mut dump = String::new();
    for pragma in ["application_id", "user_version"] {
        writeln!(dump, "PRAGMA {pragma} = {};", number(pragma)).unwrap();
    }
    dump += "BEGIN;\n";
    // Tables first, in the order in which they were made.
    for sql in texts(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type <> 'table', rowid",
    ) {
        dump += &sql;
        dump += ";\n";
    }
    for table in
        texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
    {
        let columns = texts(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let rows = format!("SELECT concat_ws(', ', {}) FROM {table}", quoted.join(", "));
        for row in texts(&rows) {
            writeln!(dump, "INSERT INTO {table} ({}) VALUES ({row});", columns.join(", ")).unwrap();
        }
    }
    dump + "COMMIT;\n"
}

impl Drop for Room {
    fn drop(&mut self) {
        let (server, namespace) = match self {
            Self::Sqlite { .. } => return,
            Self::Redis { server, namespace } => {
                let Ok(mut redis) = redis::Client::open(server.as_str()).and_then(|client| client.get_connection())
                else {
                    return;
                };
                let pattern = format!("{{{namespace}}}*");
                let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(pattern).query(&mut redis).unwrap_or_default();
                if !keys.is_empty() {
                    drop(redis::cmd("DEL").arg(keys).exec(&mut redis));
                }
                return;
            }
            Self::Postgres { server, namespace } => (server.clone(), namespace.clone()),
        };
        // The test's runtime must not be blocked in.
        drop(
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let Ok(mut connection) = PgConnection::connect(&server).await else { return };
                    let sql = format!("SET client_min_messages = error; DROP SCHEMA IF EXISTS {namespace} CASCADE");
                    drop(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await);
                });
            })
            .join(),
        );
    }
}
