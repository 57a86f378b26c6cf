//! Handing jobs over to a server.

use std::{
    collections::{BinaryHeap, HashMap},
    rc::Rc,
};

use rusqlite::OptionalExtension;
use windlass_api::{JobId, Mode, QueueName, State, falls_to_canary};

use super::{
    conditions,
    damage::{Suspect, set_aside, unless_damaged},
    expiry,
    fault::Fault,
    lines, modules,
    payload::Wide,
    record::Job,
    rules::Rules,
    tx::Tx,
    words::Word,
};
use crate::{
    Claimed,
    storage::{ClaimRequest, PARKED_PER_CLAIM, Signal},
};

/// What stands in a line: priority, since when, number. Ordered as it is taken.
type Standing = (i64, i64, i64);

/// How a claim goes about jobs whose records may be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Nothing is expected to be damaged, and the first that is fails the claim.
    None,
    /// Each job is dealt with by itself, which costs a savepoint each.
    EachJob,
}

pub(super) fn claim(
    tx: &mut Tx<'_>,
    request: &ClaimRequest,
    care: Care,
    suspect: &Suspect,
) -> Result<Vec<Claimed>, Fault> {
    // A server that was given up must not get jobs that nobody would ever sweep.
    let Some(server) = tx.server(request.server)? else { return Ok(Vec::new()) };
    if !super::servers::is_alive(tx.db, server)? {
        return Ok(Vec::new());
    }
    let rules = tx.rules()?;
    let mut claim = Claim { server, request, rules, versions: HashMap::new(), claimed: Vec::new(), passed_over: 0 };
    for (mode, free) in [(Mode::Sync, request.sync_free), (Mode::Async, request.async_free)] {
        claim.fill(tx, mode, usize::try_from(free).unwrap_or(usize::MAX), care, suspect)?;
    }
    Ok(claim.claimed)
}

/// A claim on its way.
struct Claim<'a> {
    server: i64,
    request: &'a ClaimRequest,
    rules: Rc<Rules>,
    /// The versions for each handler.
    versions: HashMap<i64, Live>,
    claimed: Vec<Claimed>,
    /// How many jobs left their line without being handed over.
    passed_over: usize,
}

impl Claim<'_> {
    /// Hands over jobs of a mode for so many slots. What has expired, or waits at a limit from now on, leaves its slot to the ones
    /// behind it.
    fn fill(&mut self, tx: &mut Tx<'_>, mode: Mode, free: usize, care: Care, suspect: &Suspect) -> Result<(), Fault> {
        let mut free = free;
        loop {
            let chosen = choose(tx, mode, &self.request.queues, free)?;
            let (all, passed_before) = (chosen.len() < free, self.passed_over);
            for seq in chosen {
                if self.passed_over >= PARKED_PER_CLAIM {
                    tx.signal(Signal::Work);
                    return Ok(());
                }
                let mut step = |tx: &mut Tx<'_>| self.look_at(tx, seq, suspect);
                let looked_at = match care {
                    Care::None => Some(step(tx)?),
                    Care::EachJob => suspect.watch_beside(seq, tx, |tx| unless_damaged(tx, seq, &mut step))?,
                };
                match looked_at {
                    Some(Some(job)) => {
                        self.claimed.push(job);
                        free -= 1;
                    }
                    Some(None) => self.passed_over += 1,
                    None => {
                        set_aside(tx, seq, State::Enqueued)?;
                        // The slot stays free for the one behind it.
                        tx.signal(Signal::Work);
                    }
                }
            }
            if all || free == 0 || self.passed_over == passed_before {
                return Ok(());
            }
        }
    }

    /// Hands a job over, unless it has expired or a limit is full.
    fn look_at(&mut self, tx: &mut Tx<'_>, seq: i64, suspect: &Suspect) -> Result<Option<Claimed>, Fault> {
        let job = suspect.watch(seq, || Job::by_seq(tx.db, seq))?;
        job.expect(State::Enqueued)?;
        if expiry::has_expired(tx, &job) {
            expiry::expire(tx, job)?;
            return Ok(None);
        }
        if !self.rules.is_empty() {
            let rules = Rc::clone(&self.rules);
            if let Some(line) = lines::full(tx, &rules, &job)? {
                lines::park(tx, job, line)?;
                return Ok(None);
            }
            lines::count_start(tx, &rules, &job)?;
        }
        self.hand_over(tx, job, suspect).map(Some)
    }

    fn hand_over(&mut self, tx: &mut Tx<'_>, mut job: Job, suspect: &Suspect) -> Result<Claimed, Fault> {
        let wide = suspect.watch(job.seq, || Wide::read(tx.db, &job))?;
        let parents = suspect.watch(job.seq, || conditions::parents(tx.db, &job))?;
        let before = job.place();
        job.become_now(tx, State::Processing, None);
        job.run = job.run.saturating_add(1);
        job.attempt = job.attempt.saturating_add(1);
        job.server = Some(self.server);
        job.started_at = Some(tx.now);
        if job.version.is_none() {
            let live = match self.versions.get(&job.handler) {
                Some(live) => *live,
                None => *self.versions.entry(job.handler).or_insert(Live::of(tx, job.handler)?),
            };
            job.version = live.version_for(job.id);
        }
        job.save(tx, &before)?;
        let path = tx.handler_path(job.handler)?;
        Ok(Claimed {
            fence: job.fence(self.request.server),
            module: path.module,
            handler: path.handler,
            mode: job.mode,
            queue: tx.queue_name(job.queue)?,
            version: job.version.map(|n| tx.digest(n)).transpose()?,
            payload: wide.payload,
            headers: wide.headers,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            retry: wide.retry,
            timeout_ms: wide.timeout_ms,
            created_at: job.created_at,
            parents,
        })
    }
}

/// The numbers of the jobs to be handed over, in order.
fn choose(tx: &mut Tx<'_>, mode: Mode, queues: &[QueueName], free: usize) -> Result<Vec<i64>, Fault> {
    if free == 0 {
        return Ok(Vec::new());
    }
    if queues.is_empty() {
        return first_of_all(tx, mode, free);
    }
    let mut chosen = Vec::new();
    for name in queues {
        let known = tx
            .db
            .prepare_cached("SELECT n FROM queues WHERE name = ?1 AND NOT paused")?
            .query_row([name.as_str()], |row| row.get::<_, i64>(0))
            .optional()?;
        if let Some(queue) = known {
            let mut query = tx.db.prepare_cached(
                "SELECT seq FROM waiting WHERE line = ?1 AND queue = ?2 ORDER BY priority, since, seq LIMIT ?3",
            )?;
            let mut rows =
                query.query((mode.number(), queue, i64::try_from(free - chosen.len()).unwrap_or(i64::MAX)))?;
            while let Some(row) = rows.next()? {
                chosen.push(row.get(0)?);
            }
        }
        if chosen.len() == free {
            break;
        }
    }
    Ok(chosen)
}

/// The first over all queues that are not paused. Each queue is read only as far as it can still better what was found.
fn first_of_all(tx: &Tx<'_>, mode: Mode, free: usize) -> Result<Vec<i64>, Fault> {
    let mut best = BinaryHeap::<Standing>::new();
    let mut queue = i64::MIN;
    while let Some(next) = next_queue(tx, mode, queue)? {
        queue = next;
        let mut open = tx.db.prepare_cached("SELECT 1 FROM queues WHERE n = ?1 AND NOT paused")?;
        if !open.exists([queue])? {
            continue;
        }
        let mut query = tx.db.prepare_cached(
            "SELECT priority, since, seq FROM waiting WHERE line = ?1 AND queue = ?2 ORDER BY priority, since, seq",
        )?;
        let mut rows = query.query((mode.number(), queue))?;
        while let Some(row) = rows.next()? {
            let standing = (row.get(0)?, row.get(1)?, row.get(2)?);
            if best.len() == free {
                if best.peek().is_some_and(|worst| *worst < standing) {
                    break;
                }
                best.pop();
            }
            best.push(standing);
        }
    }
    Ok(best.into_sorted_vec().into_iter().map(|(_, _, seq)| seq).collect())
}

/// The next queue in which something waits: a step each, however many jobs wait and however many queues are empty.
fn next_queue(tx: &Tx<'_>, mode: Mode, after: i64) -> Result<Option<i64>, Fault> {
    let mut query =
        tx.db.prepare_cached("SELECT queue FROM waiting WHERE line = ?1 AND queue > ?2 ORDER BY queue LIMIT 1")?;
    Ok(query.query_row((mode.number(), after), |row| row.get(0)).optional()?)
}

/// The versions that new jobs of a handler go to.
#[derive(Clone, Copy)]
struct Live {
    active: Option<i64>,
    /// The canary, where it has the handler, and its share.
    canary: Option<(i64, u8)>,
}

impl Live {
    fn of(tx: &mut Tx<'_>, handler: i64) -> Result<Self, Fault> {
        let path = tx.handler_path(handler)?;
        Ok(Self { active: modules::active(tx, &path.module)?, canary: modules::canary_with(tx, &path)? })
    }

    fn version_for(self, job: JobId) -> Option<i64> {
        let canary = self.canary.filter(|(_, percent)| falls_to_canary(job, *percent));
        canary.map(|(version, _)| version).or(self.active)
    }
}
