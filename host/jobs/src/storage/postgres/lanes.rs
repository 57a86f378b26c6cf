//! The connections: a few, each used by one step at a time.
//!
//! sqlx's own pool asks a connection whether it lives each time that it comes back, which would be a round trip for every
//! step. Here only one that has rested is asked; one whose step was given up is closed, never waited for; and where one is
//! found broken, those that rested meanwhile are closed too, since the server has probably gone away.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::fault::Fault;
use crate::storage::StorageError;

/// How long a step waits for a connection that others use.
const WAIT: Duration = Duration::from_secs(8);

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection that has rested may take to say that it lives.
const PING: Duration = Duration::from_secs(2);

/// How long a connection may rest before it is asked.
const RESTED: Duration = Duration::from_secs(5);

/// How long a roll-back may take before the connection is closed instead.
const ROLL_BACK: Duration = Duration::from_secs(2);

/// How statements are planned. Each of ours has an index for what it looks for; a plan that was made while a table was
/// empty must not stay when it has grown, so the ways that do not use one are closed. With them closed the planner takes
/// its costs for huge, so that compiling statements must be off. And each is planned once, not for each use of it: planning
/// some takes longer than carrying them out.
pub(super) const PLANNING: [(&str, &str); 7] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// How long PostgreSQL works on one statement: longer than anybody here waits, so that what was given up ends.
pub(super) const STATEMENT_TIMEOUT_MS: &str = "120000";

/// What a connection that is not handed on says when it is asked for the setting `windlass.direct`.
const DIRECT: &str = "windlass.direct";

/// A connection at work.
pub(super) struct Lane<'a> {
    pub(super) connection: PgConnection,
    /// Whether a transaction is open.
    pub(super) is_open: bool,
    generation: u64,
    _permit: SemaphorePermit<'a>,
}

struct Resting {
    connection: PgConnection,
    since: Instant,
    generation: u64,
}

pub(super) struct Lanes {
    options: PgConnectOptions,
    /// The runtime that the storage was opened in. It drives all connections, and what nobody waits for runs in it: whoever
    /// makes a call may do so in another one, which stands still or ends.
    pub(super) home: Handle,
    /// Whether a pooler hands each transaction to another connection.
    pub(super) pooled: bool,
    permits: Semaphore,
    resting: Mutex<VecDeque<Resting>>,
    /// Counts up when a connection is found broken.
    generation: AtomicU64,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("pooled", &self.pooled).finish_non_exhaustive()
    }
}

/// Connects, and finds out whether to PostgreSQL itself; `pooled` says so beforehand.
pub(super) async fn first(
    options: &PgConnectOptions,
    pooled: Option<bool>,
) -> Result<(PgConnection, PgConnectOptions, bool), Fault> {
    let direct =
        options.clone().options(PLANNING).options([("statement_timeout", STATEMENT_TIMEOUT_MS), (DIRECT, "on")]);
    // What a pooler does not pass on it refuses, or drops.
    let handed_on = options.clone().extra_float_digits(None).statement_cache_capacity(0);
    if pooled != Some(true) {
        match connect(&direct).await {
            Ok(mut connection) => {
                let sql = format!("SELECT current_setting('{DIRECT}', true)");
                let row = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection);
                let kept = timeout(CONNECT, row).await.map_err(|_| Fault::Late(CONNECT))??;
                if kept.try_get::<Option<String>, _>(0)?.as_deref() == Some("on") {
                    return Ok((connection, direct, false));
                }
            }
            Err(Fault::Sql(sqlx::Error::Database(error))) if error.message().contains("startup parameter") => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok((connect(&handed_on).await?, handed_on, true))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Fault> {
    let connecting = PgConnection::connect_with(options);
    Ok(timeout(CONNECT, connecting).await.map_err(|_| Fault::Late(CONNECT))??)
}

impl Lanes {
    pub(super) fn new(first: PgConnection, options: PgConnectOptions, pooled: bool, most: u32) -> Self {
        let resting = Resting { connection: first, since: Instant::now(), generation: 0 };
        let permits = Semaphore::new(usize::try_from(most.max(1)).unwrap_or(1));
        let home = Handle::current();
        Self { options, home, pooled, permits, resting: Mutex::new([resting].into()), generation: AtomicU64::new(0) }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A connection for one step.
    pub(super) async fn take(&self) -> Result<Lane<'_>, StorageError> {
        let busy = || StorageError::Unavailable(format!("all connections are busy for {} s", WAIT.as_secs()));
        let permit = timeout(WAIT, self.permits.acquire()).await.map_err(|_| busy())?;
        let permit = permit.map_err(|_| StorageError::Unavailable("the storage is closed".to_owned()))?;
        let generation = self.generation.load(Ordering::Acquire);
        while let Some(mut resting) = self.rested() {
            if resting.generation < generation {
                continue;
            }
            if resting.since.elapsed() > RESTED && !matches!(timeout(PING, resting.connection.ping()).await, Ok(Ok(())))
            {
                self.mark_broken(generation);
                break;
            }
            return Ok(Lane { connection: resting.connection, is_open: false, generation, _permit: permit });
        }
        let options = self.options.clone();
        let connecting = self.home.spawn(async move { connect(&options).await }).await;
        let ended = |_| StorageError::Unavailable("the runtime that the storage was opened in has ended".to_owned());
        let connection = connecting.map_err(ended)?.map_err(StorageError::from)?;
        Ok(Lane { connection, is_open: false, generation, _permit: permit })
    }

    fn rested(&self) -> Option<Resting> {
        // The one that rested least: the others may go to sleep for good.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop_back()
    }

    fn mark_broken(&self, generation: u64) {
        let next = generation.wrapping_add(1);
        let _ = self.generation.compare_exchange(generation, next, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Takes a connection back after its step. Nothing where the step is to be repeated.
    pub(super) async fn give_back<T>(
        &self,
        mut lane: Lane<'_>,
        outcome: Result<T, Fault>,
        may_repeat: bool,
    ) -> Option<Result<T, StorageError>> {
        let fault = match outcome {
            Ok(done) => {
                self.rest(lane);
                return Some(Ok(done));
            }
            Err(fault) => fault,
        };
        if !fault.leaves_connection_whole() {
            // Dropped without a word: a good-bye could hang where the step did.
            self.mark_broken(lane.generation);
        } else if !lane.is_open {
            self.rest(lane);
        } else if let Ok(Ok(_)) = timeout(ROLL_BACK, sqlx::raw_sql("ROLLBACK").execute(&mut lane.connection)).await {
            self.rest(lane);
        }
        if may_repeat && fault.is_worth_repeating() {
            return None;
        }
        Some(Err(fault.into()))
    }

    fn rest(&self, lane: Lane<'_>) {
        let resting = Resting { connection: lane.connection, since: Instant::now(), generation: lane.generation };
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).push_back(resting);
    }
}
