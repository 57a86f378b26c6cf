//! One trial: commands drawn at random, carried out on the storage and on the model.

mod commanding;
mod hosting;
mod making;
mod running;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use windlass_api::{CounterRow, Digest, Grain, JobId, Mode, ServerId, State, Timestamp};

use super::{
    super::{
        random::Random,
        world::{World, job},
    },
    expected::{Active, Expected},
};
use crate::{Claimed, storage::NewServer};

pub(super) const QUEUES: [&str; 3] = ["a", "b", "c"];

/// The versions of the module by the byte that names them, and in which mode each runs the handler of all jobs: one lacks it.
const VERSIONS: [(u8, Option<Mode>); 4] =
    [(1, Some(Mode::Sync)), (2, Some(Mode::Async)), (3, None), (4, Some(Mode::Sync))];

/// The keys under which runs keep something.
pub(super) const KEYS: [&str; 2] = ["step", "page"];

pub(super) struct Trial {
    pub(super) world: World,
    pub(super) random: Random,
    /// By id; `made` has them in the order of their making.
    pub(super) jobs: BTreeMap<JobId, Expected>,
    pub(super) made: Vec<JobId>,
    pub(super) servers: Vec<ServerId>,
    /// Every run that was ever handed over: settling one that is over must change nothing.
    pub(super) runs: Vec<Claimed>,
    pub(super) paused: BTreeSet<&'static str>,
    /// Instants since which a job waits, or will: each is used once.
    pub(super) used: HashSet<Timestamp>,
    pub(super) counted: CounterRow,
    /// The versions that are known, and the one that is active.
    pub(super) known: BTreeSet<Digest>,
    pub(super) active: Option<Active>,
    /// The canary, with how many of a hundred new jobs go to it.
    pub(super) canary: Option<(Active, u8)>,
    /// How many days have gone by.
    pub(super) days: i64,
    /// Whether the trial moves everything into other storages, and then promotes jobs one by one.
    pub(super) moves: bool,
}

impl Trial {
    pub(super) async fn new(seed: u64, world: World) -> Self {
        let counted = CounterRow {
            at: Grain::Hour.start_of(world.now()),
            module: job().module,
            handler: job().handler,
            made: 0,
            succeeded: 0,
            failed: 0,
            retried: 0,
            deleted: 0,
            runs: 0,
            run_us: 0,
            fuel: 0,
        };
        let mut trial = Self {
            world,
            random: Random::new(seed),
            jobs: BTreeMap::new(),
            made: Vec::new(),
            servers: Vec::new(),
            runs: Vec::new(),
            paused: BTreeSet::new(),
            used: HashSet::new(),
            counted,
            known: BTreeSet::new(),
            active: None,
            canary: None,
            days: 0,
            moves: seed.is_multiple_of(2),
        };
        trial.register().await;
        trial.register().await;
        trial
    }

    pub(super) async fn run(&mut self, commands: usize) {
        for _ in 0..commands {
            match self.random.below(40) {
                0..8 => self.enqueue().await,
                8..14 => self.claim().await,
                14..20 => self.settle().await,
                20 | 21 => self.remove().await,
                22 | 23 => self.requeue().await,
                24..27 => self.advance().await,
                27 => self.lose().await,
                28 => self.leave().await,
                29 => self.pause().await,
                30 => self.beat().await,
                31 => self.move_all().await,
                32 | 33 => self.activate().await,
                34..37 => self.write().await,
                37 | 38 => self.change_canary().await,
                _ => self.prune().await,
            }
            assert_eq!(self.world.storage.counts().await.unwrap().0, self.counts());
        }
    }

    async fn register(&mut self) {
        let id = ServerId(self.random.uuid());
        let server = NewServer {
            id,
            host: String::new(),
            pid: 1,
            version: String::new(),
            queues: Vec::new(),
            sync_slots: 1,
            async_slots: 1,
        };
        self.world.storage.register(server).await.unwrap();
        self.servers.push(id);
    }

    /// Lets the clock go on to an instant that nothing waits since.
    fn tick(&mut self) -> Timestamp {
        self.world.clock.advance_ms(1);
        while self.used.contains(&self.world.now()) {
            self.world.clock.advance_ms(1);
        }
        self.used.insert(self.world.now());
        self.world.now()
    }

    /// A delay that ends at an instant that nothing waits since.
    fn delay(&mut self) -> u64 {
        let mut delay_ms = 1 + self.random.below(40);
        while !self.used.insert(self.world.now().plus_ms(delay_ms)) {
            delay_ms += 1;
        }
        delay_ms
    }

    fn pick(&mut self) -> Option<JobId> {
        self.random.one_of(&self.made)
    }

    fn count_end(&mut self, state: State) {
        match state {
            State::Succeeded => self.counted.succeeded += 1,
            State::Failed => self.counted.failed += 1,
            State::Deleted => self.counted.deleted += 1,
            _ => {}
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<State, u64> {
        let mut counts = BTreeMap::new();
        for job in self.jobs.values() {
            *counts.entry(job.state).or_default() += 1;
        }
        counts
    }
}
