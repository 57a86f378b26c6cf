//! What an operation works with: the connection, its statements, the numbers of names, and what is to be told when it is
//! committed.

use std::{collections::HashMap, time::Duration};

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;
use windlass_api::{HandlerPath, JobId, QueueName, ServerId, Timestamp};

use super::{
    fault::Fault,
    lanes::{LONG_SETTINGS, SETTINGS},
    texts::Texts,
};
use crate::storage::{Retention, Signal};

/// How a step is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One statement, which is a transaction by itself; behind a pooler one of its own.
    Single,
    /// As `Single`, for what a server must not wait with: its heartbeats and the ends of its runs.
    UrgentSingle,
    /// Several statements that write, as one.
    Several,
    /// As `Several`, for what a server must not wait with.
    UrgentSeveral,
    /// Several statements that read the same state.
    Look,
    /// As `Several`, and it may take long.
    Long,
    /// As `Look`, and it may take long.
    LongLook,
}

impl Kind {
    /// How long a step may take before it is given up. A black hole in the network shows after that.
    pub(super) const fn limit(self) -> Duration {
        if self.is_long() { Duration::from_secs(120) } else { Duration::from_secs(10) }
    }

    pub(super) const fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::LongLook)
    }

    /// Whether connections are kept for it.
    pub(super) const fn is_urgent(self) -> bool {
        matches!(self, Self::UrgentSingle | Self::UrgentSeveral)
    }

    /// Whether it can wait until others are done.
    pub(super) const fn is_patient(self) -> bool {
        matches!(self, Self::Look | Self::Long | Self::LongLook)
    }

    const fn is_single(self) -> bool {
        matches!(self, Self::Single | Self::UrgentSingle)
    }

    /// Whatever the database's own default is: the statements are written for these levels.
    const fn begin(self) -> &'static str {
        match self {
            Self::Look | Self::LongLook => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;",
            _ => "BEGIN ISOLATION LEVEL READ COMMITTED;",
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
    pub(super) retention: Retention,
    pub(super) told: &'a mut Told,
    /// The instant, where a clock was given.
    pub(super) clock: Option<Timestamp>,
    /// The instant of the transaction.
    pub(super) began_at: Option<Timestamp>,
    /// Whether statements may be kept prepared.
    pub(super) persistent: bool,
    /// Numbers of names that this step has found out. They are forgotten with it: see `schema/1.sql`.
    pub(super) own_queues: HashMap<QueueName, i32>,
    pub(super) own_handlers: HashMap<HandlerPath, i32>,
    /// How many children of jobs that ended this step may still move, and how many jobs that limits held.
    pub(super) children_left: usize,
    pub(super) held_left: usize,
}

impl Tx<'_> {
    /// Begins the transaction, where one is needed.
    pub(super) async fn begin(&mut self, kind: Kind) -> Result<(), Fault> {
        if kind.is_single() && self.persistent {
            return Ok(());
        }
        let mut sql = kind.begin().to_owned();
        let pooled = if self.persistent { &[][..] } else { &SETTINGS };
        let long = if kind.is_long() { &LONG_SETTINGS[..] } else { &[] };
        for (name, value) in pooled.iter().chain(long) {
            sql += &format!("SET LOCAL {name} = {value};");
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
        if let Some(n) = self.own_queues.get(name) {
            return Ok(*n);
        }
        let find = self.query("SELECT n FROM @queues WHERE name = $1").bind(name.as_str());
        let make =
            "INSERT INTO @queues (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING n";
        let row = match self.first(find).await? {
            Some(row) => Some(row),
            None => self.first(self.query(make).bind(name.as_str())).await?,
        };
        let n = row.ok_or(Fault::Again)?.try_get(0)?;
        self.own_queues.insert(name.clone(), n);
        Ok(n)
    }

    /// The number of a handler, which is made known where it is not.
    pub(super) async fn handler(&mut self, path: &HandlerPath) -> Result<i32, Fault> {
        if let Some(n) = self.own_handlers.get(path) {
            return Ok(*n);
        }
        let find = self.query("SELECT n FROM @handlers WHERE module = $1 AND name = $2");
        let find = find.bind(path.module.as_str()).bind(path.handler.as_str());
        let make = "INSERT INTO @handlers (module, name) VALUES ($1, $2)
            ON CONFLICT (module, name) DO UPDATE SET name = excluded.name RETURNING n";
        let row = match self.first(find).await? {
            Some(row) => Some(row),
            None => {
                let make = self.query(make).bind(path.module.as_str()).bind(path.handler.as_str());
                self.first(make).await?
            }
        };
        let n = row.ok_or(Fault::Again)?.try_get(0)?;
        self.own_handlers.insert(path.clone(), n);
        Ok(n)
    }

    pub(super) async fn handler_path(&mut self, n: i32) -> Result<HandlerPath, Fault> {
        let find = self.query("SELECT module || '/' || name FROM @handlers WHERE n = $1").bind(n);
        let row =
            self.first(find).await?.ok_or_else(|| Fault::damaged("a handler", format!("there is no number {n}")))?;
        row.try_get::<&str, _>(0)?.parse().map_err(|error| Fault::damaged("a handler", error))
    }

    /// The id of a server by its number.
    pub(super) async fn server_id(&mut self, n: i32) -> Result<ServerId, Fault> {
        let find = self.query("SELECT id FROM @servers WHERE n = $1").bind(n);
        let row =
            self.first(find).await?.ok_or_else(|| Fault::damaged("a server", format!("there is no number {n}")))?;
        Ok(ServerId(row.try_get::<Uuid, _>(0)?))
    }
}
