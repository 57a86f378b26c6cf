//! Jobs that are made.

use std::collections::BTreeMap;

use windlass_api::{JobId, Mode, State};

use super::{
    super::{super::world::job, expected::Expected},
    QUEUES, Trial,
};
use crate::{NewJob, Start};

impl Trial {
    pub(super) fn new_job(&mut self, start: Start, by: &str) -> NewJob {
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

    pub(super) async fn enqueue(&mut self) {
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
}
