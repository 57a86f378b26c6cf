//! Random commands against a model that is simple enough to be right.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use windlass_jobs::{
    Claimed, NewJob, Next, Settlement, Start, TestClock,
    api::{
        Cause, Failure, JobId, Json, Mode, QueueName, RequeueRequest, RetryPolicy, ServerId, State, Timestamp, Usage,
    },
    storage::{ClaimRequest, Commanded, JobStore, NewServer, ServerStore, sqlite::SqliteStorage},
};

#[derive(Clone, Debug)]
enum Command {
    Enqueue { delay_ms: u64, max_attempts: u32 },
    Claim { free: u32 },
    Settle { which: usize, next: usize },
    Cancel { which: usize },
    Delete { which: usize },
    Requeue { which: usize },
    Advance { span_ms: u64 },
    LoseServer,
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => (0_u64..20, 1_u32..4).prop_map(|(delay_ms, max_attempts)| Command::Enqueue { delay_ms, max_attempts }),
        3 => (0_u32..4).prop_map(|free| Command::Claim { free }),
        4 => (any::<usize>(), 0_usize..7).prop_map(|(which, next)| Command::Settle { which, next }),
        1 => any::<usize>().prop_map(|which| Command::Cancel { which }),
        1 => any::<usize>().prop_map(|which| Command::Delete { which }),
        1 => any::<usize>().prop_map(|which| Command::Requeue { which }),
        2 => (0_u64..15).prop_map(|span_ms| Command::Advance { span_ms }),
        1 => Just(Command::LoseServer),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Job {
    state: State,
    attempt: u32,
    run: u32,
    max_attempts: u32,
    losses: u32,
    asked: bool,
    due_ms: u64,
}

#[derive(Default)]
struct Model {
    jobs: BTreeMap<JobId, Job>,
    now_ms: u64,
}

fn failure() -> Failure {
    Failure { cause: Cause::Trap, code: None, message: "no".into(), details: None, backtrace: None }
}

fn next(kind: usize) -> Next {
    match kind {
        0 => Next::Succeeded { result: Some(Json::null()) },
        1 => Next::Retry { delay_ms: 5, failure: failure() },
        2 => Next::Snooze { delay_ms: 3 },
        3 => Next::Failed { failure: failure() },
        4 => Next::Released { reason: "shutdown".into(), mode: Mode::Sync },
        5 => Next::HandlerMissing,
        _ => Next::Cancelled,
    }
}

impl Job {
    fn settle(&mut self, next: &Next, now_ms: u64) {
        if matches!(next, Next::Snooze { .. } | Next::Released { .. } | Next::HandlerMissing) {
            self.attempt -= 1;
        }
        self.state = match next {
            Next::Succeeded { .. } => State::Succeeded,
            _ if self.asked => State::Deleted,
            Next::Failed { .. } => State::Failed,
            Next::Cancelled => State::Deleted,
            Next::Retry { delay_ms, .. } | Next::Snooze { delay_ms } => {
                self.due_ms = now_ms + delay_ms;
                State::Scheduled
            }
            Next::Released { .. } => State::Enqueued,
            Next::HandlerMissing => State::Awaiting,
        };
    }

    fn lose(&mut self) {
        self.losses += 1;
        self.state = if self.asked {
            State::Deleted
        } else if self.losses >= 3 || self.attempt >= self.max_attempts {
            State::Failed
        } else {
            State::Enqueued
        };
    }
}

struct Trial {
    storage: Arc<SqliteStorage>,
    clock: Arc<TestClock>,
    model: Model,
    server: ServerId,
    /// Every run that was ever handed over: settling one that is over must change nothing.
    runs: Vec<Claimed>,
}

impl Trial {
    async fn new() -> Self {
        let clock = Arc::new(TestClock::at(Timestamp(1_000_000)));
        let storage = SqliteStorage::in_memory(Arc::clone(&clock) as _).unwrap();
        let server = register(&storage).await;
        Self { storage, clock, model: Model::default(), server, runs: Vec::new() }
    }

    fn pick(&self, which: usize) -> Option<JobId> {
        self.model.jobs.keys().nth(which % self.model.jobs.len().max(1)).copied()
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Enqueue { delay_ms, max_attempts } => self.enqueue(delay_ms, max_attempts).await,
            Command::Claim { free } => self.claim(free).await,
            Command::Settle { which, next: kind } => self.settle(which, next(kind)).await,
            Command::Cancel { which } => self.remove(which, false).await,
            Command::Delete { which } => self.remove(which, true).await,
            Command::Requeue { which } => self.requeue(which).await,
            Command::Advance { span_ms } => {
                self.clock.advance_ms(span_ms as i64);
                self.model.now_ms += span_ms;
                let now_ms = self.model.now_ms;
                let mut moved = 0;
                for job in self.model.jobs.values_mut() {
                    if job.state == State::Scheduled && job.due_ms <= now_ms {
                        job.state = State::Enqueued;
                        moved += 1;
                    }
                }
                assert_eq!(self.storage.promote(1_000).await.unwrap().moved, moved);
            }
            Command::LoseServer => {
                let pulse = self.storage.pulses().await.unwrap()[0];
                let mut lost = 0;
                for job in self.model.jobs.values_mut().filter(|job| job.state == State::Processing) {
                    job.lose();
                    lost += 1;
                }
                assert_eq!(self.storage.sweep(pulse).await.unwrap(), Some(lost));
                self.server = register(&self.storage).await;
            }
        }
    }

    async fn enqueue(&mut self, delay_ms: u64, max_attempts: u32) {
        let id = JobId(uuid::Uuid::now_v7());
        let new = NewJob {
            id,
            module: "m".parse().unwrap(),
            handler: "h".parse().unwrap(),
            mode: Mode::Sync,
            queue: QueueName::default(),
            priority: 5,
            start: Start::After(delay_ms),
            payload: Json::null(),
            headers: BTreeMap::new(),
            tags: Vec::new(),
            max_attempts,
            retry: RetryPolicy::default(),
            timeout_ms: None,
        };
        self.storage.enqueue(vec![new], "ann").await.unwrap();
        let state = if delay_ms == 0 { State::Enqueued } else { State::Scheduled };
        let due_ms = self.model.now_ms + delay_ms;
        let job = Job { state, attempt: 0, run: 0, max_attempts, losses: 0, asked: false, due_ms };
        self.model.jobs.insert(id, job);
    }

    async fn claim(&mut self, free: u32) {
        let request = ClaimRequest { server: self.server, queues: Vec::new(), sync_free: free, async_free: 3 };
        let claimed = self.storage.claim(&request).await.unwrap();
        let ready = self.model.jobs.values().filter(|job| job.state == State::Enqueued).count();
        assert_eq!(claimed.len(), ready.min(free as usize));
        for run in &claimed {
            let job = self.model.jobs.get_mut(&run.fence.job).unwrap();
            assert_eq!(job.state, State::Enqueued);
            job.state = State::Processing;
            (job.run, job.attempt) = (job.run + 1, job.attempt + 1);
            assert_eq!((run.fence.run, run.attempt), (job.run, job.attempt));
        }
        self.runs.extend(claimed);
    }

    async fn settle(&mut self, which: usize, next: Next) {
        let Some(run) = self.runs.get(which % self.runs.len().max(1)) else { return };
        let job = self.model.jobs.get_mut(&run.fence.job).unwrap();
        let holds = job.state == State::Processing && job.run == run.fence.run && run.fence.server == self.server;
        let settlement =
            Settlement { fence: run.fence, next: next.clone(), usage: Usage::default(), follow_ups: Vec::new() };
        let settled = self.storage.settle(vec![settlement]).await.unwrap().remove(0);
        assert_eq!(settled.is_ok(), holds);
        if holds {
            job.settle(&next, self.model.now_ms);
            assert_eq!(settled, Ok(job.state));
        }
    }

    async fn remove(&mut self, which: usize, delete: bool) {
        let Some(id) = self.pick(which) else { return };
        let commanded = match delete {
            true => self.storage.delete(id, "me").await.unwrap(),
            false => self.storage.cancel(id, "me").await.unwrap(),
        };
        let job = self.model.jobs.get_mut(&id).unwrap();
        match job.state {
            State::Processing => {
                job.asked = true;
                assert!(matches!(commanded, Commanded::Requested(fence) if fence.run == job.run));
            }
            State::Deleted => assert_eq!(commanded, Commanded::Refused(State::Deleted)),
            state if state.is_final() && !delete => assert_eq!(commanded, Commanded::Refused(state)),
            _ => {
                job.state = State::Deleted;
                assert_eq!(commanded, Commanded::Done(State::Deleted));
            }
        }
    }

    async fn requeue(&mut self, which: usize) {
        let Some(id) = self.pick(which) else { return };
        let commanded = self.storage.requeue(id, RequeueRequest::default(), "me").await.unwrap();
        let job = self.model.jobs.get_mut(&id).unwrap();
        if matches!(job.state, State::Enqueued | State::Processing) {
            assert_eq!(commanded, Commanded::Refused(job.state));
        } else {
            assert_eq!(commanded, Commanded::Done(State::Enqueued));
            (job.state, job.attempt, job.losses, job.asked) = (State::Enqueued, 0, 0, false);
        }
    }

    async fn compare_counts(&self) {
        let mut counts = BTreeMap::<State, u64>::new();
        for job in self.model.jobs.values() {
            *counts.entry(job.state).or_default() += 1;
        }
        assert_eq!(self.storage.counts().await.unwrap().0, counts);
    }

    async fn compare_jobs(&self) {
        for (id, job) in &self.model.jobs {
            let detail = self.storage.job(*id).await.unwrap().unwrap();
            let shown = &detail.job;
            assert_eq!((shown.state, shown.attempt, shown.run), (job.state, job.attempt, job.run));
            assert_eq!(detail.history.last().unwrap().to, job.state);
            assert!(!shown.cancel_requested || shown.state != State::Succeeded);
            let unbroken = detail.history.windows(2).all(|pair| pair[1].from == Some(pair[0].to));
            assert!(unbroken, "each line should begin where the one before ended: {:?}", detail.history);
        }
    }
}

async fn register(storage: &SqliteStorage) -> ServerId {
    let id = ServerId(uuid::Uuid::new_v4());
    let server = NewServer {
        id,
        host: String::new(),
        pid: 1,
        version: String::new(),
        queues: Vec::new(),
        sync_slots: 1,
        async_slots: 1,
    };
    storage.register(server).await.unwrap();
    id
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_the_storage_agrees_with_the_model(commands in prop::collection::vec(command(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut trial = Trial::new().await;
            for command in commands {
                trial.carry_out(command).await;
                trial.compare_counts().await;
            }
            trial.compare_jobs().await;
        });
    }
}
