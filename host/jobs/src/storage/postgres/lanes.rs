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
    sync::{AcquireError, Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{fault::Fault, tx::Kind};

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

/// What holds for each session, or behind a pooler for each transaction.
///
/// How statements are planned: each of ours has an index for what it looks for; a plan that was made while a table was
/// empty must not stay when it has grown, so the ways that do not use one are closed. With them closed the planner takes
/// its costs for huge, so that compiling statements must be off. And each is planned once, not for each use of it: planning
/// some takes longer than carrying them out.
///
/// How long PostgreSQL itself works and waits, in milliseconds: a little less than whoever waits for it here, so that a
/// step that was given up neither goes on nor takes effect long after. What others hold by a transaction that they leave
/// open must not hold up everything, so that the wait for a lock is shorter still.
///
/// And that transactions see what others have committed, whatever the database's own default: all is written for that.
pub(super) const SETTINGS: [(&str, &str); 10] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("plan_cache_mode", "force_generic_plan"),
    ("statement_timeout", "9000"),
    ("lock_timeout", "2000"),
    ("idle_in_transaction_session_timeout", "30000"),
];

/// What differs for a step that may take long.
pub(super) const LONG_SETTINGS: [(&str, &str); 3] =
    [("statement_timeout", "115000"), ("lock_timeout", "60000"), ("idle_in_transaction_session_timeout", "115000")];

/// For statements that are transactions by themselves. Behind a pooler there are none.
const ISOLATION: [(&str, &str); 1] = [("default_transaction_isolation", "read committed")];

/// How many connections are kept for what is urgent, where there are so many that some can be.
const KEPT: u32 = 2;

/// How many connections what can wait leaves to others.
const LEFT_BY_PATIENT: u32 = 3;

/// What a connection that is not handed on says when it is asked for the setting `windlass.direct`.
const DIRECT: &str = "windlass.direct";

/// A connection at work.
pub(super) struct Lane<'a> {
    pub(super) connection: PgConnection,
    /// Whether a transaction is open.
    pub(super) is_open: bool,
    generation: u64,
    _permit: Permit<'a>,
}

struct Resting {
    connection: PgConnection,
    since: Instant,
    generation: u64,
}

/// How many connections may be in use for what.
struct Permits {
    /// For any step.
    any: Semaphore,
    /// For urgent ones alone, beside those.
    urgent: Semaphore,
    /// How many of those for any are used by what can wait.
    patient: Semaphore,
}

struct Permit<'a> {
    _use: SemaphorePermit<'a>,
    _patient: Option<SemaphorePermit<'a>>,
}

impl Permits {
    fn new(most: u32) -> Self {
        let semaphore = |permits: u32| Semaphore::new(usize::try_from(permits).unwrap_or(1));
        let kept = if most > 2 * KEPT { KEPT } else { 0 };
        Self {
            any: semaphore(most.max(1) - kept),
            urgent: semaphore(kept),
            patient: semaphore(most.saturating_sub(LEFT_BY_PATIENT).max(1)),
        }
    }

    async fn take(&self, kind: Kind) -> Result<Permit<'_>, AcquireError> {
        if kind.is_urgent() {
            let permit = match self.any.try_acquire() {
                Ok(permit) => permit,
                Err(_) => tokio::select! {
                    permit = self.any.acquire() => permit?,
                    permit = self.urgent.acquire() => permit?,
                },
            };
            return Ok(Permit { _use: permit, _patient: None });
        }
        let patient = if kind.is_patient() { Some(self.patient.acquire().await?) } else { None };
        Ok(Permit { _use: self.any.acquire().await?, _patient: patient })
    }
}

pub(super) struct Lanes {
    options: PgConnectOptions,
    /// The runtime that the storage was opened in. It drives all connections, and what nobody waits for runs in it: whoever
    /// makes a call may do so in another one, which stands still or ends.
    pub(super) home: Handle,
    /// Whether a pooler hands each transaction to another connection.
    pub(super) pooled: bool,
    permits: Permits,
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
    let direct = options.clone().options(SETTINGS).options(ISOLATION).options([(DIRECT, "on")]);
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
        let permits = Permits::new(most);
        let home = Handle::current();
        Self { options, home, pooled, permits, resting: Mutex::new([resting].into()), generation: AtomicU64::new(0) }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A connection for one step.
    pub(super) async fn take(&self, kind: Kind) -> Result<Lane<'_>, Fault> {
        let busy = |_| Fault::Away(format!("all connections are busy for {} s", WAIT.as_secs()));
        let permit = timeout(WAIT, self.permits.take(kind)).await.map_err(busy)?;
        let permit = permit.map_err(|_| Fault::Away("the storage is closed".to_owned()))?;
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
        let ended = |_| Fault::Away("the runtime that the storage was opened in has ended".to_owned());
        let connection = connecting.map_err(ended)??;
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
    ) -> Option<Result<T, Fault>> {
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
        Some(Err(fault))
    }

    fn rest(&self, lane: Lane<'_>) {
        let resting = Resting { connection: lane.connection, since: Instant::now(), generation: lane.generation };
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).push_back(resting);
    }
}
