//! Runs: handed over, writing, and coming to their ends.

use windlass_api::{JobId, Json, LogLevel, LogLine, Mode, Progress, State, Usage, falls_to_canary};

use super::{
    super::{
        super::world::failure,
        expected::{Active, Expected},
    },
    KEYS, Trial, VERSIONS,
};
use crate::{
    Claimed, Next, Settlement, Start,
    storage::{ClaimRequest, Note, Superseded},
};

impl Trial {
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

    pub(super) async fn claim(&mut self) {
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
            let live = self.live_for(run.fence.job);
            let expected = self.jobs.get_mut(&run.fence.job).unwrap();
            expected.claimed(server, live, now);
            assert_eq!((run.fence.run, run.attempt), (expected.run, expected.attempt));
            assert_eq!(run.version, expected.version);
            assert_eq!((run.fence.server, run.queue.as_str()), (server, expected.queue));
        }
        self.runs.extend(claimed);
    }

    /// The version that a job runs on which is pinned to none.
    fn live_for(&self, job: JobId) -> Option<Active> {
        let takes = |(canary, percent): &(Active, u8)| canary.mode.is_some() && falls_to_canary(job, *percent);
        self.canary.filter(takes).map(|(canary, _)| canary).or(self.active)
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

    pub(super) async fn settle(&mut self) {
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
    pub(super) fn pick_run(&mut self) -> Option<Claimed> {
        let open = self.runs.iter().filter(|run| self.holds(run)).cloned().collect::<Vec<_>>();
        let from = if self.random.below(5) == 0 || open.is_empty() { &self.runs } else { &open };
        self.random.one_of(from)
    }

    fn has_handler(&self, run: &Claimed) -> bool {
        run.version
            .is_some_and(|version| VERSIONS.iter().any(|(byte, mode)| version.0 == [*byte; 32] && mode.is_some()))
    }

    pub(super) fn holds(&self, run: &Claimed) -> bool {
        self.jobs.get(&run.fence.job).is_some_and(|job| {
            job.state == State::Processing && job.run == run.fence.run && job.server == Some(run.fence.server)
        })
    }

    /// Writes what runs do while they go on: some of them may be over.
    pub(super) async fn write(&mut self) {
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
}
