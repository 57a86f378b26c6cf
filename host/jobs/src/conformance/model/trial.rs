//! One trial: commands drawn at random, carried out on the storage and on the model.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use windlass_api::{
    CounterRow, Digest, Grain, JobId, Json, LogLevel, LogLine, Mode, Progress, RequeueRequest, ServerId, State,
    Timestamp, Usage,
};

use super::{
    super::{
        random::Random,
        world::{World, failure, job, version},
    },
    expected::{Active, Asked, Expected},
};
use crate::{
    Claimed, NewJob, Next, Settlement, Start,
    storage::{ClaimRequest, Commanded, Heartbeat, NewServer, Note, Retention, Superseded},
};

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
            days: 0,
            moves: seed.is_multiple_of(2),
        };
        trial.register().await;
        trial.register().await;
        trial
    }

    pub(super) async fn run(&mut self, commands: usize) {
        for _ in 0..commands {
            match self.random.below(38) {
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

    fn new_job(&mut self, start: Start, by: &str) -> NewJob {
        let now = self.world.now();
        let id = JobId(self.random.uuid());
        let queue = QUEUES[usize::try_from(self.random.below(3)).unwrap()];
        let priority = u8::try_from([0, 5, 5, 9][usize::try_from(self.random.below(4)).unwrap()]).unwrap_or(5);
        let mode = if self.random.below(4) == 0 { Mode::Async } else { Mode::Sync };
        let max_attempts = 1 + u32::try_from(self.random.below(4)).unwrap();
        let (state, due_at) = match start {
            Start::Now => (State::Enqueued, now),
            Start::After(delay_ms) => (State::Scheduled, now.plus_ms(delay_ms)),
            Start::At(at) => (State::Scheduled, at),
            Start::WithHandler => (State::Awaiting, now),
        };
        let mut expected = Expected {
            id,
            queue,
            priority,
            mode,
            state,
            attempt: 0,
            max_attempts,
            run: 0,
            losses: 0,
            server: None,
            asked: None,
            due_at,
            ready_at: now,
            came_at: now,
            history: Vec::new(),
            version: None,
            progress: None,
            logs: Vec::new(),
            checkpoints: BTreeMap::new(),
        };
        if let (Start::WithHandler, Some(mode)) = (start, self.active.and_then(|active| active.mode)) {
            (expected.state, expected.mode) = (State::Enqueued, mode);
        }
        expected.born(expected.state, now, by);
        self.jobs.insert(id, expected);
        self.made.push(id);
        self.counted.made += 1;
        NewJob { id, queue: queue.parse().unwrap(), priority, mode, max_attempts, start, ..job() }
    }

    async fn enqueue(&mut self) {
        self.tick();
        let start = match self.random.below(6) {
            0 => Start::After(self.delay()),
            1 => Start::At(self.world.now().plus_ms(self.delay())),
            2 => Start::WithHandler,
            _ => Start::Now,
        };
        let mut jobs = Vec::new();
        if let Some(known) = self.pick().filter(|_| self.random.below(8) == 0) {
            jobs.push(NewJob { id: known, ..job() });
        }
        jobs.push(self.new_job(start, "ann"));
        let known = jobs.len() - 1;
        let enqueued = self.world.storage.enqueue(jobs, "ann").await.unwrap();
        let expected = (0..=known).map(|at| at < known).collect::<Vec<_>>();
        assert_eq!(enqueued.iter().map(|enqueued| enqueued.existing).collect::<Vec<_>>(), expected);
    }

    /// Who should be claimed of a mode, in order.
    fn first(&self, mode: Mode, queues: &[&str], free: usize) -> Vec<JobId> {
        let open =
            |job: &&Expected| job.state == State::Enqueued && job.mode == mode && !self.paused.contains(job.queue);
        let sorted = |queue: Option<&str>| {
            let mut line = self.jobs.values().filter(open).collect::<Vec<_>>();
            line.retain(|job| queue.is_none_or(|queue| job.queue == queue));
            // Jobs that an activation has woken wait since the same instant, in the order of their making.
            line.sort_by_key(|job| (job.priority, job.ready_at, self.made.iter().position(|id| *id == job.id)));
            line.into_iter().map(|job| job.id).collect::<Vec<_>>()
        };
        let mut all = if queues.is_empty() {
            sorted(None)
        } else {
            queues.iter().flat_map(|queue| sorted(Some(queue))).collect()
        };
        all.truncate(free);
        all
    }

    async fn claim(&mut self) {
        let now = self.tick();
        let lists: [&[&str]; 4] = [&[], &[], &["b", "a"], &["c", "nowhere"]];
        let queues = lists[usize::try_from(self.random.below(4)).unwrap()];
        let (sync_free, async_free) = (self.random.below(5), self.random.below(3));
        let server = self.random.one_of(&self.servers).unwrap();
        let request = ClaimRequest {
            server,
            queues: queues.iter().map(|name| name.parse().unwrap()).collect(),
            sync_free: u32::try_from(sync_free).unwrap(),
            async_free: u32::try_from(async_free).unwrap(),
        };
        let claimed = self.world.storage.claim(&request).await.unwrap();
        for (mode, free) in [(Mode::Sync, sync_free), (Mode::Async, async_free)] {
            let runs = claimed.iter().filter(|run| run.mode == mode).map(|run| run.fence.job).collect::<Vec<_>>();
            assert_eq!(runs, self.first(mode, queues, usize::try_from(free).unwrap()), "{mode} from {queues:?}");
        }
        for run in &claimed {
            let expected = self.jobs.get_mut(&run.fence.job).unwrap();
            expected.claimed(server, self.active, now);
            assert_eq!((run.fence.run, run.attempt), (expected.run, expected.attempt));
            assert_eq!(run.version, expected.version);
            assert_eq!((run.fence.server, run.queue.as_str()), (server, expected.queue));
        }
        self.runs.extend(claimed);
    }

    fn next(&mut self) -> Next {
        match self.random.below(9) {
            0 | 1 => Next::Retry { delay_ms: self.delay(), failure: failure("again") },
            2 => Next::Snooze { delay_ms: self.delay() },
            3 => Next::Failed { failure: failure("no") },
            4 => Next::Released { reason: "shutdown".into(), mode: Mode::Sync },
            5 => Next::Released { reason: "other-mode".into(), mode: Mode::Async },
            6 => Next::HandlerMissing,
            7 => Next::Cancelled,
            _ => Next::Succeeded { result: None },
        }
    }

    async fn settle(&mut self) {
        let now = self.tick();
        let (mut batch, mut expected) = (Vec::new(), Vec::new());
        for at in 0..=self.random.below(3) {
            let Some(run) = self.pick_run() else { return };
            let next = match self.next() {
                // A version that has the handler does not lack it.
                Next::HandlerMissing if self.has_handler(&run) => Next::Cancelled,
                next => next,
            };
            // One follow-up at most, so that each instant is one job's.
            let wants = at == 0 && self.random.below(3) == 0;
            let holds = self.holds(&run);
            let mut follow_ups = Vec::new();
            if wants && holds && matches!(next, Next::Succeeded { .. }) {
                follow_ups.push(self.new_job(Start::Now, &format!("job {}", run.fence.job)));
            }
            if holds {
                let job = self.jobs.get_mut(&run.fence.job).unwrap();
                job.settled(&next, self.active, now);
                self.counted.runs += 1;
                self.counted.retried += u64::from(matches!(next, Next::Retry { .. }) && job.state == State::Scheduled);
                expected.push(Ok(job.state));
                let state = job.state;
                self.count_end(state);
            } else {
                expected.push(Err(Superseded));
            }
            batch.push(Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups });
        }
        assert_eq!(self.world.storage.settle(batch).await.unwrap(), expected);
    }

    /// Mostly what runs; now and then a run that may be over.
    fn pick_run(&mut self) -> Option<Claimed> {
        let open = self.runs.iter().filter(|run| self.holds(run)).cloned().collect::<Vec<_>>();
        let from = if self.random.below(5) == 0 || open.is_empty() { &self.runs } else { &open };
        self.random.one_of(from)
    }

    fn has_handler(&self, run: &Claimed) -> bool {
        run.version
            .is_some_and(|version| VERSIONS.iter().any(|(byte, mode)| version.0 == [*byte; 32] && mode.is_some()))
    }

    fn holds(&self, run: &Claimed) -> bool {
        self.jobs.get(&run.fence.job).is_some_and(|job| {
            job.state == State::Processing && job.run == run.fence.run && job.server == Some(run.fence.server)
        })
    }

    fn count_end(&mut self, state: State) {
        match state {
            State::Succeeded => self.counted.succeeded += 1,
            State::Failed => self.counted.failed += 1,
            State::Deleted => self.counted.deleted += 1,
            _ => {}
        }
    }

    async fn remove(&mut self) {
        let now = self.tick();
        let Some(id) = self.pick() else { return };
        let deletes = self.random.below(2) == 0;
        let asked = Asked { reason: if deletes { "deleted" } else { "cancelled" }, by: "bob".to_owned() };
        let commanded = if deletes {
            self.world.storage.delete(id, "bob").await.unwrap()
        } else {
            self.world.storage.cancel(id, "bob").await.unwrap()
        };
        let job = self.jobs.get_mut(&id).unwrap();
        match job.state {
            State::Processing => {
                assert!(matches!(commanded, Commanded::Requested(fence) if (fence.job, fence.run) == (id, job.run)));
                job.asked = Some(asked);
            }
            State::Deleted => assert_eq!(commanded, Commanded::Refused(State::Deleted)),
            state if state.is_final() && !deletes => assert_eq!(commanded, Commanded::Refused(state)),
            _ => {
                job.deleted(&asked, now);
                assert_eq!(commanded, Commanded::Done(State::Deleted));
                self.count_end(State::Deleted);
            }
        }
    }

    async fn requeue(&mut self) {
        let now = self.tick();
        let Some(id) = self.pick() else { return };
        let job = self.jobs.get_mut(&id).unwrap();
        let expected_state = match self.random.below(4) {
            0 => Some(State::Failed),
            1 => Some(job.state),
            _ => None,
        };
        let how =
            RequeueRequest { expected_state, fresh: self.random.below(2) == 0, newest: self.random.below(2) == 0 };
        let refused = matches!(job.state, State::Enqueued | State::Processing)
            || expected_state.is_some_and(|expected| expected != job.state);
        let commanded = self.world.storage.requeue(id, how, "bob").await.unwrap();
        if refused {
            assert_eq!(commanded, Commanded::Refused(job.state));
        } else {
            assert_eq!(commanded, Commanded::Done(State::Enqueued));
            job.requeued(how, self.active, now, "bob");
        }
    }

    async fn advance(&mut self) {
        self.world.clock.advance_ms(i64::try_from(self.random.below(30)).unwrap());
        loop {
            let now = self.tick();
            let mut due = self.jobs.values_mut().filter(|job| job.state == State::Scheduled && job.due_at <= now);
            let limit = if self.moves { 1 } else { 1_000 };
            let mut due = due.by_ref().collect::<Vec<_>>();
            due.sort_by_key(|job| job.due_at);
            due.truncate(limit);
            let moved = due.len();
            for job in due {
                job.promoted(now);
            }
            assert_eq!(self.world.storage.promote(limit).await.unwrap().moved, moved);
            if moved < limit {
                return;
            }
        }
    }

    /// Takes a server away, and what it ran.
    async fn lose(&mut self) {
        let now = self.tick();
        let server = self.servers.remove(0);
        let pulse = self.world.pulse(server).await;
        let runs = self.jobs.values().filter(|job| job.server == Some(server)).map(|job| job.id).collect::<Vec<_>>();
        for id in &runs {
            let job = self.jobs.get_mut(id).unwrap();
            job.lost(now);
            let state = job.state;
            self.count_end(state);
        }
        assert_eq!(self.world.storage.sweep(pulse).await.unwrap(), Some(runs.len()));
        assert_eq!(self.world.beat(server).await, Heartbeat::Refused);
        self.register().await;
    }

    async fn leave(&mut self) {
        let now = self.tick();
        let server = self.servers.remove(0);
        for id in self.made.clone() {
            let job = self.jobs.get_mut(&id).unwrap();
            if job.server == Some(server) {
                job.left(now);
                let state = job.state;
                self.count_end(state);
            }
        }
        self.world.storage.leave(server).await.unwrap();
        self.register().await;
    }

    async fn pause(&mut self) {
        let queue = QUEUES[usize::try_from(self.random.below(3)).unwrap()];
        let paused = !self.paused.remove(queue);
        if paused {
            self.paused.insert(queue);
        }
        self.world.storage.set_paused(&queue.parse().unwrap(), paused).await.unwrap();
    }

    async fn beat(&mut self) {
        for server in self.servers.clone() {
            let asked = self.jobs.values().filter(|job| job.server == Some(server) && job.asked.is_some());
            let mut expected = asked.map(|job| (job.id, job.run)).collect::<Vec<_>>();
            let Heartbeat::Alive { cancelled } = self.world.beat(server).await else {
                panic!("a server that was not lost should be alive")
            };
            let mut cancelled = cancelled.into_iter().map(|fence| (fence.job, fence.run)).collect::<Vec<_>>();
            cancelled.sort();
            expected.sort();
            assert_eq!(cancelled, expected);
        }
    }

    /// Deploys one of some versions, or goes back to it. One of them lacks the handler.
    async fn activate(&mut self) {
        let now = self.tick();
        let (byte, mode) = self.random.one_of(&VERSIONS).unwrap();
        let active = Active { digest: Digest([byte; 32]), mode };
        // Whether a job that stands in the wrong line is moved where its handler's mode stays the same is left open.
        let stays = self.active.is_some_and(|before| before.mode == mode);
        if stays && mode.is_some_and(|mode| self.jobs.values().any(|job| job.is_in_the_wrong_line(mode))) {
            return;
        }
        let module = job().module;
        if self.known.insert(active.digest) {
            assert!(!self.world.storage.activate(&module, active.digest).await.unwrap(), "it is not known yet");
            let handlers = mode.map(|mode| ("bill", mode)).unwrap_or(("other", Mode::Sync));
            self.world.storage.add_version(version(byte, &[handlers])).await.unwrap();
        }
        assert!(self.world.storage.activate(&module, active.digest).await.unwrap());
        self.active = Some(active);
        if let Some(mode) = mode {
            for job in self.jobs.values_mut() {
                job.handler_came(mode, "activation", now);
            }
        }
    }

    /// Writes what runs do while they go on: some of them may be over.
    async fn write(&mut self) {
        let now = self.tick();
        let (mut notes, mut expected) = (Vec::new(), Vec::new());
        for at in 0..=self.random.below(4) {
            let Some(run) = self.pick_run() else { return };
            let percent = [0.0, 12.5, 100.0][usize::try_from(self.random.below(3)).unwrap()];
            let told = Progress { percent, note: Some(format!("at {at}")), at: now };
            let progress = (self.random.below(2) == 0).then_some(told);
            let line = |n| LogLine {
                run: run.fence.run,
                at: now,
                level: LogLevel::Info,
                message: format!("line {n} of note {at}"),
                fields: None,
            };
            let lines = (0..self.random.below(3)).map(line).collect::<Vec<_>>();
            let holds = self.holds(&run);
            if holds {
                let job = self.jobs.get_mut(&run.fence.job).unwrap();
                job.logs.extend(lines.iter().cloned());
                job.progress = progress.clone().map(|progress| (run.fence.run, progress)).or(job.progress.take());
            }
            expected.push(if holds { Ok(()) } else { Err(Superseded) });
            notes.push(Note { fence: run.fence, progress, lines });
        }
        assert_eq!(self.world.storage.note(notes).await.unwrap(), expected);
        let Some(run) = self.pick_run() else { return };
        let (key, value) = (KEYS[usize::try_from(self.random.below(2)).unwrap()], self.random.below(100));
        let kept = self.world.storage.put_checkpoint(run.fence, key, &Json::write(&value).unwrap()).await.unwrap();
        let holds = self.holds(&run);
        assert_eq!(kept, if holds { Ok(()) } else { Err(Superseded) });
        if holds {
            self.jobs.get_mut(&run.fence.job).unwrap().checkpoints.insert(key, value);
        }
    }

    /// Lets some time go by, and removes what is kept no longer.
    async fn prune(&mut self) {
        let days = [0, 1, 1, 7, 30][usize::try_from(self.random.below(5)).unwrap()];
        // Counters are kept no longer than some months.
        if self.days + days <= 60 {
            self.days += days;
            self.world.clock.advance_ms(days * 24 * 3_600_000);
        }
        let now = self.tick();
        let retention = Retention::default();
        let limit = 1 + usize::try_from(self.random.below(5)).unwrap();
        for _ in 0..self.jobs.len() + 2 {
            if self.world.storage.prune(limit).await.unwrap() < limit {
                break;
            }
        }
        let kept_ms = u64::try_from(retention.logs.as_millis()).unwrap();
        self.jobs.retain(|_, job| !job.is_over(&retention, now));
        self.made.retain(|id| self.jobs.contains_key(id));
        for job in self.jobs.values_mut() {
            job.logs.retain(|line| now.ms_since(line.at) < kept_ms);
        }
    }

    /// Moves everything into another storage and goes on there.
    async fn move_all(&mut self) {
        if !self.moves {
            return;
        }
        let now = self.tick();
        let other = self.world.another().await;
        let mut cursor = None::<String>;
        loop {
            let page = self.world.storage.export(cursor.as_deref(), 7).await.unwrap();
            let records = page.items.len();
            assert_eq!(other.storage.import(page.items).await.unwrap(), records);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.world = other;
        for job in self.jobs.values_mut() {
            job.imported(self.active, now);
        }
        self.servers.clear();
        self.register().await;
        self.register().await;
    }

    pub(super) fn counts(&self) -> BTreeMap<State, u64> {
        let mut counts = BTreeMap::new();
        for job in self.jobs.values() {
            *counts.entry(job.state).or_default() += 1;
        }
        counts
    }
}
