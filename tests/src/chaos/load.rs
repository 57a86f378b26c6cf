//! A client that enqueues jobs while hosts and storages fail, and remembers which were acknowledged.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use uuid::{Builder, Uuid};
use windlass_api::{Counts, Enqueued, JobId, ProblemCode, State};

use super::{Addresses, hosts::MODULE, http::request, look, now_ms, scale::span};

/// How many jobs a request carries.
pub const BATCH: usize = 50;

/// How long a batch is tried.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long no job at all may end once the faults are over. A lost server costs no more than half of it.
const STANDSTILL: Duration = Duration::from_secs(60);

/// One of so many jobs is a long one, where there are such.
const LONG_ONES: u32 = 16;

/// How often a client that was refused tries again.
const AGAIN: Duration = Duration::from_millis(100);

/// How often something is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Jobs to be enqueued.
#[derive(Debug)]
pub struct Load {
    /// How many in all.
    pub jobs: usize,
    /// How long each works, in milliseconds.
    pub work_ms: Range<u64>,
    /// How long the client pauses after each batch of 50, in milliseconds.
    pub pause_ms: Range<u64>,
    /// How long one of 16 jobs works instead.
    pub long_ms: Option<Range<u64>>,
    /// One of four jobs is delayed by up to 3 s, and one of four fails once or twice and is retried after half a second.
    pub delays: bool,
    /// What the jobs count under where keys are limited.
    pub limit_key: Option<&'static str>,
    /// The client sends no batch once so many jobs are acknowledged.
    held_at: AtomicUsize,
    acknowledged: Mutex<BTreeSet<JobId>>,
    refusals: AtomicUsize,
}

impl Load {
    /// A load of which nothing is enqueued yet.
    #[must_use]
    pub fn new(jobs: usize, work_ms: Range<u64>, pause_ms: Range<u64>) -> Self {
        Self {
            jobs,
            work_ms,
            pause_ms,
            long_ms: None,
            delays: false,
            limit_key: None,
            held_at: AtomicUsize::new(usize::MAX),
            acknowledged: Mutex::default(),
            refusals: AtomicUsize::new(0),
        }
    }

    /// Holds the client back once so many jobs are acknowledged, until this is called again. A batch that is under way is
    /// sent to its end.
    pub fn hold_at(&self, acknowledged: usize) {
        self.held_at.store(acknowledged, Ordering::Relaxed);
    }

    /// Enqueues all of it. A batch that was refused or not answered is sent again, with the same ids and perhaps to
    /// another host, as a careful client does.
    ///
    /// # Errors
    /// Where a batch is refused for three minutes.
    pub fn run(&self, hosts: &Addresses, mut dice: Rng) -> Result<()> {
        let mut left = self.jobs;
        while left > 0 {
            while self.jobs - left >= self.held_at.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
            let batch: Vec<(JobId, Value)> = (0..left.min(BATCH)).map(|_| self.job(&mut dice)).collect();
            left -= batch.len();
            self.insist(hosts, &mut dice, &batch)?;
            thread::sleep(span(&mut dice, self.pause_ms.clone()));
        }
        Ok(())
    }

    /// The jobs that a host has acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<JobId> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often the client had to try again.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    fn job(&self, dice: &mut Rng) -> (JobId, Value) {
        let id = Builder::from_unix_timestamp_millis(u64::try_from(now_ms()).unwrap_or_default(), &random(dice));
        let id: Uuid = id.into_uuid();
        // One of eight is sync: those have few slots.
        let handler = if dice.u8(0..8) == 0 { "compute" } else { "wait" };
        let long = self.long_ms.clone().filter(|_| dice.u32(0..LONG_ONES) == 0);
        let ms = dice.u64(long.unwrap_or_else(|| self.work_ms.clone()));
        let kind = if self.delays { dice.u8(0..4) } else { u8::MAX };
        let (delay_ms, fail) = match kind {
            0 => (dice.u64(1..3_000), 0),
            1 => (0, dice.u32(1..3)),
            _ => (0, 0),
        };
        let mut request =
            json!({ "id": id, "handler": format!("{MODULE}/{handler}"), "payload": { "ms": ms, "fail": fail } });
        if delay_ms > 0 {
            request["delay_ms"] = delay_ms.into();
        }
        if fail > 0 {
            request["retry"] = json!({ "kind": "fixed", "delay_ms": 500 });
        }
        if let Some(key) = self.limit_key {
            request["limit_key"] = key.into();
        }
        (JobId(id), request)
    }

    fn insist(&self, hosts: &Addresses, dice: &mut Rng, batch: &[(JobId, Value)]) -> Result<()> {
        let body = Value::from_iter(batch.iter().map(|(_, request)| request.clone())).to_string();
        let started = Instant::now();
        loop {
            let alive: Vec<String> =
                hosts.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect();
            let host = dice.choice(&alive);
            let answer = host.map(|host| request(host, "POST", "/api/v1/jobs/bulk", &body));
            match answer {
                Some(Ok(answer)) if answer.status == 201 => {
                    let answered: Vec<Enqueued> = answer.json()?;
                    let asked = batch.iter().map(|(id, _)| *id);
                    ensure!(answered.iter().map(|one| one.id).eq(asked), "other jobs were acknowledged than asked for");
                    let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                    acknowledged.extend(batch.iter().map(|(id, _)| *id));
                    return Ok(());
                }
                // Nothing else may make a host refuse these.
                Some(Ok(answer)) if !is_away(answer.problem()?.code) => {
                    bail!("a host refused jobs with {}: {}", answer.status, answer.body)
                }
                Some(Err(error)) if started.elapsed() > PATIENCE => return Err(error.context("no host takes jobs")),
                _ if started.elapsed() > PATIENCE => bail!("no host takes jobs: {answer:?}"),
                _ => {
                    self.refusals.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(AGAIN);
                }
            }
        }
    }
}

/// Whether a host or its storage is away for a while.
fn is_away(code: ProblemCode) -> bool {
    matches!(code, ProblemCode::StorageUnavailable | ProblemCode::Busy)
}

fn random(dice: &mut Rng) -> [u8; 10] {
    let mut bytes = [0; 10];
    dice.fill(&mut bytes);
    bytes
}

/// Looks again and again until it sees something. A look that fails is one that sees nothing: hosts and storages come and
/// go meanwhile.
///
/// # Errors
/// Where it does not for a minute; the error says what was looked for, and why the last look failed.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        let seen = look();
        if let Ok(Some(seen)) = seen {
            return Ok(seen);
        }
        ensure!(started.elapsed() < STANDSTILL, "never seen: {what}; the last look gave {:?}", seen.err());
        thread::sleep(LOOK);
    }
}

/// Waits until none of the storage's jobs waits or runs, and gives how many have ended.
///
/// # Errors
/// Where none ends for a minute; the error says what is left.
pub fn until_all_ended(host: &str) -> Result<u64> {
    let mut moved = Instant::now();
    let mut before = None;
    loop {
        let counts = request(host, "GET", "/api/v1/counts", "").and_then(|answer| answer.json::<Counts>());
        if let Ok(counts) = &counts {
            let ended: u64 = counts.0.iter().filter(|(state, _)| state.is_final()).map(|(_, count)| count).sum();
            if ended == counts.0.values().sum::<u64>() {
                return Ok(ended);
            }
            if before.replace(ended) != Some(ended) {
                moved = Instant::now();
            }
        }
        if moved.elapsed() > STANDSTILL {
            let stuck = look::jobs(host, Some(State::Processing)).unwrap_or_default();
            let stuck: Vec<_> = stuck.iter().map(|job| (job.id, job.run, job.server)).collect();
            let servers = request(host, "GET", "/api/v1/servers", "").map(|answer| answer.body);
            bail!("jobs do not end: {counts:?}; processing: {stuck:?}; servers: {servers:?}");
        }
        thread::sleep(AGAIN);
    }
}
