//! What an operation works with: the connection, its statements, the numbers of names, and what is to be told when it is
//! committed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;
use windlass_api::{Digest, HandlerPath, JobId, QueueName, ServerId, Timestamp};

use super::{
    enqueue::{self, Incoming},
    fault::Fault,
    lanes::{PLANNING, STATEMENT_TIMEOUT_MS},
    texts::Texts,
    words,
};
use crate::storage::{Retention, Signal};

/// Names are anybody's to make up, so the cache starts anew rather than grow without end.
const MAX_CACHED: usize = 10_000;

/// Numbers of names that are known to be committed. They never change.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    queues: HashMap<QueueName, i32>,
    queue_names: HashMap<i32, QueueName>,
    handlers: HashMap<HandlerPath, i32>,
    handler_paths: HashMap<i32, HandlerPath>,
    servers: HashMap<ServerId, i32>,
    digests: HashMap<i32, Digest>,
}

impl Names {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Only ever held to look something up or to add it.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = known.queues.len() + known.queue_names.len() + known.handlers.len() + known.handler_paths.len();
        if size + known.servers.len() + known.digests.len() > MAX_CACHED {
            *known = Known::default();
        }
        known
    }
}

impl Names {
    /// Whether nothing needs to be asked for to store these jobs.
    pub(super) fn are_known(&self, incoming: &[Incoming<'_>]) -> bool {
        let known = self.known();
        incoming.iter().all(|incoming| {
            known.queues.contains_key(&incoming.job.queue)
                && known.handlers.contains_key(&enqueue::path_of(incoming.job))
        })
    }
}

/// How a step is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One statement, which is a transaction by itself; behind a pooler one of its own.
    Single,
    /// Several statements that write, as one.
    Several,
    /// Several statements that read the same state.
    Look,
    /// As `Several`, and it may take long.
    Long,
}

impl Kind {
    /// How long a step may take before it is given up. A black hole in the network shows after that.
    pub(super) const fn limit(self) -> Duration {
        match self {
            Self::Single | Self::Several | Self::Look => Duration::from_secs(10),
            Self::Long => Duration::from_secs(120),
        }
    }
}

/// What others are to be told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) work: bool,
    pub(super) signals: Vec<Signal>,
    pub(super) ends: Vec<JobId>,
}

pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

pub(super) struct Tx<'a> {
    pub(super) db: &'a mut PgConnection,
    /// Whether a transaction is open, which is not this one's to know where it is the application's.
    pub(super) is_open: &'a mut bool,
    pub(super) texts: &'a Texts,
    pub(super) names: &'a Names,
    pub(super) retention: Retention,
    pub(super) told: &'a mut Told,
    /// The instant, where a clock was given.
    pub(super) clock: Option<Timestamp>,
    /// The instant of the transaction.
    pub(super) began_at: Option<Timestamp>,
    /// Whether statements may be kept prepared.
    pub(super) persistent: bool,
    /// Names that this transaction has made known itself.
    pub(super) own_queues: HashMap<QueueName, i32>,
    pub(super) own_handlers: HashMap<HandlerPath, i32>,
}

impl Tx<'_> {
    /// Begins the transaction, where one is needed.
    pub(super) async fn begin(&mut self, kind: Kind) -> Result<(), Fault> {
        if kind == Kind::Single && self.persistent {
            return Ok(());
        }
        let begin = if kind == Kind::Look { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;" } else { "BEGIN;" };
        let mut sql = begin.to_owned();
        if !self.persistent {
            for (name, value) in PLANNING.into_iter().chain([("statement_timeout", STATEMENT_TIMEOUT_MS)]) {
                sql += &format!("SET LOCAL {name} = {value};");
            }
        }
        sql += "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::text";
        *self.is_open = true;
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *self.db).await?;
        let now = row.try_get::<String, _>(0)?.parse().map_err(|error| Fault::damaged("the clock", error))?;
        self.began_at = Some(self.clock.unwrap_or(Timestamp(now)));
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        if *self.is_open {
            sqlx::raw_sql("COMMIT").execute(&mut *self.db).await?;
            *self.is_open = false;
        }
        Ok(())
    }

    /// The instant of the transaction.
    pub(super) fn now(&self) -> Timestamp {
        self.began_at.or(self.clock).unwrap_or_default()
    }

    /// The instant as the statements with `@now` take it.
    pub(super) fn instant(&self) -> Option<i64> {
        self.began_at.or(self.clock).map(|at| at.0)
    }

    pub(super) fn query(&self, source: &'static str) -> Statement<'static> {
        sqlx::query(AssertSqlSafe(self.texts.of(source))).persistent(self.persistent)
    }

    /// A statement that is put together while the program runs: of few shapes, so that it may be kept too.
    pub(super) fn query_of(&self, source: &str) -> Statement<'static> {
        sqlx::query(AssertSqlSafe(self.texts.write(source))).persistent(self.persistent)
    }

    pub(super) async fn all(&mut self, query: Statement<'_>) -> Result<Vec<PgRow>, Fault> {
        Ok(query.fetch_all(&mut *self.db).await?)
    }

    pub(super) async fn first(&mut self, query: Statement<'_>) -> Result<Option<PgRow>, Fault> {
        Ok(query.fetch_optional(&mut *self.db).await?)
    }

    /// Gives how many rows it changed.
    pub(super) async fn run(&mut self, query: Statement<'_>) -> Result<u64, Fault> {
        Ok(query.execute(&mut *self.db).await?.rows_affected())
    }

    /// The number of a queue, which is made known where it is not.
    pub(super) async fn queue(&mut self, name: &QueueName) -> Result<i32, Fault> {
        let known = self.names.known().queues.get(name).copied();
        if let Some(n) = known.or_else(|| self.own_queues.get(name).copied()) {
            return Ok(n);
        }
        let find = self.query("SELECT n FROM @queues WHERE name = $1").bind(name.as_str());
        if let Some(row) = self.first(find).await? {
            let n = row.try_get(0)?;
            self.names.known().queues.insert(name.clone(), n);
            return Ok(n);
        }
        let make =
            "INSERT INTO @queues (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING n";
        let make = self.query(make).bind(name.as_str());
        let n = self.first(make).await?.ok_or(Fault::Again)?.try_get(0)?;
        self.own_queues.insert(name.clone(), n);
        Ok(n)
    }

    /// The number of a handler, which is made known where it is not.
    pub(super) async fn handler(&mut self, path: &HandlerPath) -> Result<i32, Fault> {
        let known = self.names.known().handlers.get(path).copied();
        if let Some(n) = known.or_else(|| self.own_handlers.get(path).copied()) {
            return Ok(n);
        }
        let find = self.query("SELECT n FROM @handlers WHERE module = $1 AND name = $2");
        if let Some(row) = self.first(find.bind(path.module.as_str()).bind(path.handler.as_str())).await? {
            let n = row.try_get(0)?;
            self.names.known().handlers.insert(path.clone(), n);
            return Ok(n);
        }
        let make = "INSERT INTO @handlers (module, name) VALUES ($1, $2)
            ON CONFLICT (module, name) DO UPDATE SET name = excluded.name RETURNING n";
        let make = self.query(make).bind(path.module.as_str()).bind(path.handler.as_str());
        let n = self.first(make).await?.ok_or(Fault::Again)?.try_get(0)?;
        self.own_handlers.insert(path.clone(), n);
        Ok(n)
    }

    /// The number of a server that is or was known.
    pub(super) async fn server(&mut self, id: ServerId) -> Result<Option<i32>, Fault> {
        let known = self.names.known().servers.get(&id).copied();
        if known.is_some() {
            return Ok(known);
        }
        let find = self.query("SELECT n FROM @servers WHERE id = $1").bind(id.0);
        let n = self.first(find).await?.map(|row| row.try_get(0)).transpose()?;
        if let Some(n) = n {
            self.names.known().servers.insert(id, n);
        }
        Ok(n)
    }

    pub(super) async fn queue_name(&mut self, n: i32) -> Result<QueueName, Fault> {
        if let Some(name) = self.names.known().queue_names.get(&n) {
            return Ok(name.clone());
        }
        let find = self.query("SELECT name FROM @queues WHERE n = $1").bind(n);
        let row =
            self.first(find).await?.ok_or_else(|| Fault::damaged("a queue", format!("there is no number {n}")))?;
        let name = row.try_get::<&str, _>(0)?.parse::<QueueName>().map_err(|error| Fault::damaged("a queue", error))?;
        self.names.known().queue_names.insert(n, name.clone());
        Ok(name)
    }

    pub(super) async fn handler_path(&mut self, n: i32) -> Result<HandlerPath, Fault> {
        if let Some(path) = self.names.known().handler_paths.get(&n) {
            return Ok(path.clone());
        }
        let find = self.query("SELECT module || '/' || name FROM @handlers WHERE n = $1").bind(n);
        let row =
            self.first(find).await?.ok_or_else(|| Fault::damaged("a handler", format!("there is no number {n}")))?;
        let path = row.try_get::<&str, _>(0)?.parse::<HandlerPath>();
        let path = path.map_err(|error| Fault::damaged("a handler", error))?;
        self.names.known().handler_paths.insert(n, path.clone());
        Ok(path)
    }

    /// The digest of a version by its number.
    pub(super) async fn digest(&mut self, n: i32) -> Result<Digest, Fault> {
        if let Some(digest) = self.names.known().digests.get(&n) {
            return Ok(*digest);
        }
        let find = self.query("SELECT digest FROM @versions WHERE n = $1").bind(n);
        let row =
            self.first(find).await?.ok_or_else(|| Fault::damaged("a version", format!("there is no number {n}")))?;
        let digest = words::digest(row.try_get(0)?)?;
        self.names.known().digests.insert(n, digest);
        Ok(digest)
    }

    /// The id of a server by its number.
    pub(super) async fn server_id(&mut self, n: i32) -> Result<ServerId, Fault> {
        let find = self.query("SELECT id FROM @servers WHERE n = $1").bind(n);
        let row =
            self.first(find).await?.ok_or_else(|| Fault::damaged("a server", format!("there is no number {n}")))?;
        Ok(ServerId(row.try_get::<Uuid, _>(0)?))
    }
}
