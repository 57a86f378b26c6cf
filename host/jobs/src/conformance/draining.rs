//! Whatever is asked of jobs, none is left behind that nothing will ever touch.

mod making;

use std::collections::BTreeMap;

use windlass_api::{
    Digest, JobFilter, JobId, LimitRule, LimitTarget, Mode, QueueName, Rate, RequeueRequest, ServerId, State, Usage,
};

use super::{
    random::Random,
    world::{World, failure, job, released, retry, success, version},
};
use crate::{Claimed, NewJob, Next, Settlement, storage::ClaimRequest};

const SEEDS: u64 = 24;
const COMMANDS: usize = 120;
const QUEUES: [&str; 2] = ["a", "b"];
const KEYS: [&str; 3] = ["x", "y:1", "y:2"];
const TARGETS: [&str; 6] = ["queue:a", "queue:b", "handler:shop/bill", "key:x", "key:y:*", "key:y:1"];

/// The versions of the module by the byte that names them, and in which mode each runs the handler of all jobs: one lacks it.
const VERSIONS: [(u8, Option<Mode>); 3] = [(1, Some(Mode::Sync)), (2, Some(Mode::Async)), (3, None)];

/// How often the clock may go on to the next instant that something waits for before all must have ended.
const PATIENCE: usize = 5_000;

pub async fn whatever_is_done_no_job_is_left_behind_and_no_limit_exceeded(world: World) {
    for seed in 0..SEEDS {
        let of_its_own = if seed == 0 { None } else { Some(world.another().await) };
        let mut trial = Trial::new(seed, of_its_own.as_ref().unwrap_or(&world)).await;
        for _ in 0..COMMANDS {
            trial.step().await;
        }
        trial.drain().await;
    }
}

struct Trial<'a> {
    seed: u64,
    world: &'a World,
    random: Random,
    servers: Vec<ServerId>,
    running: Vec<(Claimed, NewJob)>,
    made: Vec<JobId>,
    /// What each job was made as, to know what it counts under.
    as_made: BTreeMap<JobId, NewJob>,
    limits: BTreeMap<&'static str, LimitRule>,
}

impl<'a> Trial<'a> {
    async fn new(seed: u64, world: &'a World) -> Self {
        let servers = vec![world.server().await, world.server().await];
        Self {
            seed,
            world,
            random: Random::new(seed),
            servers,
            running: Vec::new(),
            made: Vec::new(),
            as_made: BTreeMap::new(),
            limits: BTreeMap::new(),
        }
    }

    fn pick<const N: usize>(&mut self, of: [&'static str; N]) -> &'static str {
        of[usize::try_from(self.random.below(N as u64)).unwrap()]
    }

    async fn step(&mut self) {
        match self.random.below(21) {
            0..6 => self.enqueue().await,
            6..10 => self.claim().await,
            10..13 => self.settle().await,
            13 => self.command().await,
            14 => self.limit().await,
            15 => self.pause().await,
            16 => self.lose().await,
            17 => {
                let at = usize::try_from(self.random.below(3)).unwrap();
                self.activate(VERSIONS[at]).await;
            }
            18 | 19 => {
                let ms = 1 + self.random.below(400);
                self.world.clock.advance_ms(i64::try_from(ms).unwrap());
                self.world.storage.promote(5).await.unwrap();
            }
            _ => drop(self.world.storage.prune(10).await.unwrap()),
        }
    }

    async fn claim(&mut self) {
        let free = 1 + u32::try_from(self.random.below(4)).unwrap();
        let server = self.servers[usize::try_from(self.random.below(self.servers.len() as u64)).unwrap()];
        self.claim_as(server, free).await;
    }

    async fn claim_as(&mut self, server: ServerId, free: u32) -> usize {
        let before = self.counted();
        let queues =
            if self.random.below(2) == 0 { vec!["b".parse().unwrap(), "a".parse().unwrap()] } else { Vec::new() };
        let request = ClaimRequest { server, queues, sync_free: free, async_free: free };
        let claimed = self.world.storage.claim(&request).await.unwrap();
        let count = claimed.len();
        for run in claimed {
            let new = self.as_made[&run.fence.job].clone();
            self.running.push((run, new));
        }
        for (on, now) in self.counted() {
            let most = self.limits.get(on).and_then(|rule| rule.concurrency).map_or(usize::MAX, |most| most as usize);
            let before = before.get(on).copied().unwrap_or(0);
            assert!(now <= most.max(before), "seed {}: {now} run under {on}, {most} are allowed", self.seed);
        }
        count
    }

    /// How many run under each limit. A start of keys is left out: each key counts for itself.
    fn counted(&self) -> BTreeMap<&'static str, usize> {
        let mut counted = BTreeMap::new();
        for (_, new) in &self.running {
            let key = new.conditions.limit_key.as_ref().map(ToString::to_string);
            for on in TARGETS.into_iter().filter(|on| self.limits.contains_key(on) && !on.ends_with('*')) {
                let counts = match on.parse::<LimitTarget>().unwrap() {
                    LimitTarget::Queue(queue) => queue == new.queue,
                    LimitTarget::Handler(_) => true,
                    LimitTarget::Key(limited) => key.as_deref() == Some(limited.as_str()),
                    LimitTarget::Keys(_) => false,
                };
                if counts {
                    *counted.entry(on).or_insert(0) += 1;
                }
            }
        }
        counted
    }

    async fn settle(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let at = usize::try_from(self.random.below(self.running.len() as u64)).unwrap();
        let (run, _) = self.running.swap_remove(at);
        let lacks_handler = run.version == Some(Digest([3; 32]));
        let next = match self.random.below(8) {
            0 => retry(1 + self.random.below(100)),
            1 => Next::Failed { failure: failure("no") },
            2 => Next::Snooze { delay_ms: 1 + self.random.below(50) },
            3 => released(),
            4 => Next::Cancelled,
            5 if lacks_handler => Next::HandlerMissing,
            _ => success(),
        };
        let next = if run.attempt >= run.max_attempts && matches!(next, Next::Retry { .. }) { success() } else { next };
        let wanted = if matches!(next, Next::Succeeded { .. }) { self.random.below(3) } else { 0 };
        let follow_ups = (0..wanted).map(|_| self.new_job(&[])).collect::<Vec<_>>();
        let end = Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: follow_ups.clone() };
        let _ = self.world.storage.settle(vec![end]).await.unwrap();
        for new in follow_ups {
            // Another one may have been there that it must not stand beside.
            if self.world.storage.job(new.id).await.unwrap().is_some() {
                self.made.push(new.id);
                self.as_made.insert(new.id, new);
            }
        }
    }

    /// Deploys a version, or goes back to it.
    async fn activate(&mut self, (byte, mode): (u8, Option<Mode>)) {
        let handlers = mode.map_or(("other", Mode::Sync), |mode| ("bill", mode));
        self.world.storage.add_version(version(byte, &[handlers])).await.unwrap();
        assert!(self.world.storage.activate(&job().module, Digest([byte; 32])).await.unwrap());
    }

    async fn command(&mut self) {
        let Some(id) = self.random.one_of(&self.made) else { return };
        let storage = &self.world.storage;
        match self.random.below(3) {
            0 => drop(storage.cancel(id, "ann").await.unwrap()),
            1 => drop(storage.delete(id, "ann").await.unwrap()),
            _ => drop(storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap()),
        }
    }

    async fn limit(&mut self) {
        let on = self.pick(TARGETS);
        let target = on.parse().unwrap();
        if self.random.below(4) == 0 {
            self.limits.remove(on);
            self.world.storage.remove_limit(&target).await.unwrap();
            return;
        }
        let concurrency = Some(1 + u32::try_from(self.random.below(2)).unwrap());
        let rate = (self.random.below(3) == 0).then_some(Rate { count: 2, period_ms: 1_000 });
        let rule = LimitRule { concurrency, rate };
        self.limits.insert(on, rule);
        self.world.storage.put_limit(&target, rule).await.unwrap();
    }

    async fn pause(&mut self) {
        let queue: QueueName = self.pick(QUEUES).parse().unwrap();
        let paused = self.random.below(2) == 0;
        self.world.storage.set_paused(&queue, paused).await.unwrap();
    }

    async fn lose(&mut self) {
        let at = usize::try_from(self.random.below(2)).unwrap();
        let server = self.servers[at];
        if self.random.below(2) == 0 {
            self.world.lose(server).await;
        } else {
            self.world.storage.leave(server).await.unwrap();
        }
        self.running.retain(|(run, _)| run.fence.server != server);
        self.servers[at] = self.world.server().await;
    }

    /// Lets everything go on until all has ended: the queues are open, the handler is there, runs succeed, and what failed is requeued, since others may
    /// wait for its success.
    async fn drain(&mut self) {
        for queue in QUEUES {
            self.world.storage.set_paused(&queue.parse().unwrap(), false).await.unwrap();
        }
        self.activate(VERSIONS[0]).await;
        let mut idle = 0;
        for _ in 0..PATIENCE {
            for (run, _) in std::mem::take(&mut self.running) {
                self.world.settle(&run, success()).await.unwrap();
            }
            let next_in_ms = self.world.storage.promote(50).await.unwrap().next_in_ms;
            if self.claim_as(self.servers[0], 4).await > 0 {
                idle = 0;
                continue;
            }
            match next_in_ms {
                Some(ms) => self.world.clock.advance_ms(i64::try_from(ms.max(1)).unwrap()),
                None if self.unfinished().await == 0 => return,
                None if self.requeue_failed().await > 0 => {}
                // The claim may have moved jobs to the line of a limit whose instant the next promotion knows.
                None if idle < 3 => idle += 1,
                None => break,
            }
        }
        let left = self.world.storage.jobs(&JobFilter::default(), None, 1_000).await.unwrap().items;
        let left = left.into_iter().filter(|job| !job.state.is_final()).collect::<Vec<_>>();
        panic!("seed {}: nothing touches {left:#?}", self.seed);
    }

    async fn unfinished(&self) -> u64 {
        let counts = self.world.storage.counts().await.unwrap();
        counts.0.iter().filter(|(state, _)| !state.is_final()).map(|(_, count)| count).sum()
    }

    async fn requeue_failed(&self) -> usize {
        let failed = JobFilter { state: Some(State::Failed), ..JobFilter::default() };
        let mut requeued = 0;
        for job in self.world.storage.jobs(&failed, None, 1_000).await.unwrap().items {
            let how = RequeueRequest { expected_state: Some(State::Failed), ..RequeueRequest::default() };
            let done = self.world.storage.requeue(job.id, how, "ann").await.unwrap();
            requeued += usize::from(matches!(done, crate::storage::Commanded::Done(_)));
        }
        requeued
    }
}
