//! What the storage and its tasks share: the connections, how a step is carried out on one, and how others are told.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::Row;
use uuid::Uuid;

use super::{
    claims::Claims,
    fault::Fault,
    hub::Hub,
    lanes::{Lane, Lanes},
    news::{ENDS_AT_ONCE, News},
    prune, ripples, rooms,
    texts::Texts,
    tx::{Kind, Told, Tx},
};
use crate::{
    Clock, Fence,
    storage::{Retention, Signal, StorageError},
};

/// How often a step is tried into which others came.
pub(super) const TRIES: u32 = 6;

/// After how many steps what they appended is folded in: enough that it costs next to nothing, and few enough that
/// counting stays quick.
const STEPS_TO_FOLD: u32 = 2_000;
const JOBS_PER_STEP: usize = 32;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) lanes: Lanes,
    pub(super) texts: Texts,
    pub(super) claims: Claims,
    pub(super) hub: Hub,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) retention: Retention,
    /// Names this process among those that listen.
    pub(super) listener: Uuid,
    /// The channel of the namespace's notifications.
    pub(super) channel: String,
    /// Whether to listen at all.
    pub(super) may_listen: bool,
    /// The server and the database as messages name them.
    pub(super) name: String,
    /// Runs of damaged jobs that could not be set aside yet. Held to add to it or to take it only.
    pub(super) to_set_aside: Mutex<Vec<(Fence, String)>>,
    /// How many steps of this process have appended to what is still to be folded in.
    pub(super) appended: AtomicU32,
    /// Whether the last claim met limits: only a guess at what the next one will meet, which looks for itself.
    pub(super) has_limits: AtomicBool,
}

/// Carries out a step on a connection. `$tx` is what `$work` works with; it is worked again from its beginning where other
/// steps came in between. Gives the answer, and what is to be told.
macro_rules! attempt {
    ($core:expr, $kind:expr, |$tx:ident| $work:expr) => {{
        let core: &$crate::storage::postgres::core::Core = $core;
        let kind: $crate::storage::postgres::tx::Kind = $kind;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut lane = match core.lanes.take(kind).await {
                Ok(lane) => lane,
                Err(error) => break (Err(error), $crate::storage::postgres::tx::Told::default()),
            };
            let mut told = $crate::storage::postgres::tx::Told::default();
            let working = async {
                let mut tx = core.tx(&mut lane, &mut told);
                tx.begin(kind).await?;
                let $tx = &mut tx;
                let done = $work.await?;
                tx.commit().await?;
                Ok::<_, $crate::storage::postgres::fault::Fault>(done)
            };
            let outcome = match tokio::time::timeout(kind.limit(), Box::pin(working)).await {
                Ok(outcome) => outcome,
                Err(_) => Err($crate::storage::postgres::fault::Fault::Late(kind.limit())),
            };
            let may_repeat = tries < $crate::storage::postgres::core::TRIES;
            if let Some(answer) = core.lanes.give_back(lane, outcome, may_repeat).await {
                break (answer, told);
            }
            $crate::storage::postgres::core::step_aside(tries).await;
        }
    }};
}
pub(super) use attempt;

/// The same, and tells of it when it is committed.
macro_rules! step {
    ($core:expr, $kind:expr, |$tx:ident| $work:expr) => {{
        let (answer, told) = $crate::storage::postgres::core::attempt!($core, $kind, |$tx| $work);
        match answer {
            Ok(done) => {
                $core.tell(told).await;
                Ok(done)
            }
            Err(fault) => Err($crate::storage::StorageError::from(fault)),
        }
    }};
}
pub(super) use step;

/// Waits a moment before the next try, each time longer.
pub(super) async fn step_aside(tries: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(tries * tries) * 2)).await;
}

/// Takes back the wishes of others to be told of work, and tells them: each is told once. Our own is left alone, since
/// this process has told itself.
const TELL_WORK: &str = "
WITH gone AS (
    DELETE FROM @wishes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM @wishes WHERE what = 1 AND listener <> $2 FOR UPDATE SKIP LOCKED))
    RETURNING 1)
SELECT pg_notify($1, 'w') FROM (SELECT 1 FROM gone LIMIT 1) AS anybody";

impl Core {
    pub(super) fn tx<'a>(&'a self, lane: &'a mut Lane<'_>, told: &'a mut Told) -> Tx<'a> {
        Tx {
            db: &mut lane.connection,
            is_open: &mut lane.is_open,
            texts: &self.texts,
            retention: self.retention,
            told,
            clock: self.clock.as_ref().map(|clock| clock.now()),
            began_at: None,
            persistent: !self.lanes.pooled,
            own_queues: HashMap::new(),
            own_handlers: HashMap::new(),
            children_left: ripples::AT_ONCE,
            held_left: rooms::AT_ONCE,
        }
    }

    /// Tells this process of what was committed, and then the others. They look for themselves now and then, so nothing
    /// depends on it.
    pub(super) async fn tell(&self, told: Told) {
        let mut news = Vec::new();
        for signal in told.signals {
            match &signal {
                Signal::Modules => news.push(News::Modules.write()),
                Signal::Cancel(fence) => news.push(News::Cancel(*fence).write()),
                Signal::Work => {}
            }
            self.hub.signal(signal);
        }
        if told.work {
            self.hub.signal(Signal::Work);
        }
        for job in &told.ends {
            self.hub.end(*job);
        }
        if !told.ends.is_empty() && self.hub.ends_wanted.load(Ordering::Relaxed) {
            news.extend(told.ends.chunks(ENDS_AT_ONCE).map(|ends| News::Ends(ends.to_vec()).write()));
        }
        let told_all = async {
            if !news.is_empty() {
                self.notify(&news).await?;
            }
            // After the commit: a process that asks to be told looks once more when it has asked, and sees what was
            // committed before; one that had asked by then is found here.
            if told.work && self.others_wish().await? {
                let work = async |tx: &mut Tx<'_>| {
                    let query = tx.query(TELL_WORK).bind(self.channel.clone()).bind(self.listener);
                    tx.all(query).await.map(drop)
                };
                attempt!(self, Kind::Single, |tx| work(tx)).0?;
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = told_all.await {
            tracing::debug!(%error, "failed to tell other processes, which will see for themselves");
        }
    }

    /// Folds in what has changed, after every so many steps that each appended something to it: hosts do it with their
    /// heartbeats, but there may be none. A step that stored very many jobs counts for more, since they may be of as many
    /// queues.
    pub(super) fn fold_at_times(self: &Arc<Self>, jobs: usize) {
        let steps = 1 + u32::try_from(jobs / JOBS_PER_STEP).unwrap_or(STEPS_TO_FOLD);
        if self.appended.fetch_add(steps, Ordering::Relaxed).saturating_add(steps) >= STEPS_TO_FOLD {
            self.appended.store(0, Ordering::Relaxed);
            self.fold();
        }
    }

    /// Folds in what has changed, without anybody waiting for it. Whoever does it next will do it where it fails.
    pub(super) fn fold(self: &Arc<Self>) {
        let core = Arc::clone(self);
        self.lanes.home.spawn(async move {
            let _ = attempt!(&*core, Kind::Several, |tx| prune::fold(tx)).0;
        });
    }

    async fn others_wish(&self) -> Result<bool, StorageError> {
        let look = async |tx: &mut Tx<'_>| {
            let query = tx.query("SELECT 1 FROM @wishes WHERE what = 1 AND listener <> $1 LIMIT 1").bind(self.listener);
            Ok::<_, Fault>(tx.first(query).await?.is_some())
        };
        Ok(attempt!(self, Kind::Single, |tx| look(tx)).0?)
    }

    /// Sends notifications.
    pub(super) async fn notify(&self, news: &[String]) -> Result<(), StorageError> {
        let send = async |tx: &mut Tx<'_>| {
            let query = tx.query("SELECT pg_notify($1, n) FROM unnest($2::text[]) AS n");
            let query = query.bind(self.channel.clone()).bind(news.to_vec());
            tx.all(query).await.map(drop)
        };
        Ok(attempt!(self, Kind::Single, |tx| send(tx)).0?)
    }

    /// Asks to be told of work or of ends, until so many seconds from now.
    pub(super) async fn wish(&self, what: i16, seconds: i32) -> Result<(), StorageError> {
        let ask = async |tx: &mut Tx<'_>| {
            let query = tx
                .query(
                    "INSERT INTO @wishes (listener, what, until_at)
                     VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
                     ON CONFLICT (listener, what) DO UPDATE SET until_at = excluded.until_at",
                )
                .bind(self.listener)
                .bind(what)
                .bind(f64::from(seconds));
            tx.run(query).await.map(drop)
        };
        Ok(attempt!(self, Kind::Single, |tx| ask(tx)).0?)
    }

    /// Whether anybody waits for the ends of jobs, and what tells whether a version was activated.
    pub(super) async fn look_around(&self) -> Result<(bool, i64), StorageError> {
        let look = async |tx: &mut Tx<'_>| {
            let query = tx
                .query(
                    "SELECT EXISTS (SELECT 1 FROM @wishes WHERE what = 2 AND listener <> $1
                         AND until_at > clock_timestamp()),
                     (SELECT coalesce(sum(changes), 0)::bigint FROM @modules)",
                )
                .bind(self.listener);
            let row = tx.first(query).await?.ok_or(Fault::Again)?;
            Ok::<_, Fault>((row.try_get(0)?, row.try_get(1)?))
        };
        Ok(attempt!(self, Kind::Single, |tx| look(tx)).0?)
    }
}
