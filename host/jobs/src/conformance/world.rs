//! What the behaviours are told in: a storage, a clock, and short words for what is done with them.

use std::{collections::BTreeMap, fmt, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::broadcast::Receiver, time::timeout};
use uuid::Uuid;
use windlass_api::{
    Cause, Digest, Failure, HandlerSpec, JobDetail, JobId, Json, Mode, QueueName, RetryPolicy, ServerId, SlotUse,
    State, Timestamp, Usage,
};

use super::{
    faulty::{Faulty, each_fails_first},
    persistent::Persistent,
};
use crate::{
    Claimed, Clock, Conditions, NewJob, Next, Settlement, Start, TestClock,
    storage::{ClaimRequest, Heartbeat, NewServer, NewVersion, Promoted, Pulse, Signal, Storage, Superseded, Vitals},
};

/// A fresh storage, and where it is.
pub struct Opened {
    pub storage: Arc<dyn Storage>,
    /// Lives as long as the storage.
    pub ground: Rc<dyn Ground>,
}

/// Where a storage is: what behaviours need of a backend that is no verb of its storage. A database in memory, which one
/// process alone can have, has nothing of it: then there is nothing to be shown either, and `()` will do.
#[async_trait(?Send)]
pub trait Ground {
    /// Opens the storage once more, as another process that enqueues and looks would while this one has it open.
    async fn beside(&self, _clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        None
    }

    /// Opens the storage as a host again, after all that had it open are gone.
    async fn again(&self, _clock: Arc<TestClock>) -> Option<Arc<dyn Storage>> {
        None
    }

    /// Has the storage refuse every step that would store this job, as a full disk or damage might. The job has a tag that
    /// no other one has. Gives whether that can be done.
    async fn refuse(&self, _job: &NewJob) -> bool {
        false
    }
}

impl Ground for () {}

/// What must live as long as a storage, and nothing else.
#[derive(Debug)]
pub struct Kept<T>(pub T);

impl<T> Ground for Kept<T> {}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// When every behaviour begins.
const START: Timestamp = Timestamp(1_800_000_000_000);

/// How long something that is to be told may take: far longer than it does, and no more than a test may hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens an empty storage on a clock.
type Open = dyn Fn(Arc<TestClock>) -> Pin<Box<dyn Future<Output = Opened>>>;

/// A storage and its clock.
pub struct World {
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<TestClock>,
    open: Rc<Open>,
    wrap: fn(Arc<dyn Storage>) -> Arc<dyn Storage>,
    // Goes last, after the storage that it belongs to.
    ground: Rc<dyn Ground>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// Runs one behaviour on a fresh storage.
pub fn run<O, F>(open: fn(Arc<TestClock>) -> O, behaviour: fn(World) -> F)
where
    O: Future<Output = Opened> + 'static,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { behaviour(World::fresh(open).await).await });
}

/// Runs one behaviour on a fresh storage each of whose calls fails before it is answered, for a caller that repeats it.
pub fn run_faulty<O, F>(open: fn(Arc<TestClock>) -> O, behaviour: fn(World) -> F)
where
    O: Future<Output = Opened> + 'static,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let faulty = |storage: Arc<dyn Storage>| Persistent::around(Faulty::new(storage, each_fails_first()));
        let clock = Arc::new(TestClock::at(START));
        behaviour(World::open_on(Rc::new(move |clock| Box::pin(open(clock))), faulty, clock).await).await;
    });
}

/// A plain job: sync, in the queue `default`, to be started at once.
pub(super) fn job() -> NewJob {
    NewJob {
        id: JobId(Uuid::now_v7()),
        module: "shop".parse().unwrap(),
        handler: "bill".parse().unwrap(),
        mode: Mode::Sync,
        queue: QueueName::default(),
        priority: 5,
        start: Start::Now,
        payload: r#"{"n":1}"#.parse().unwrap(),
        headers: BTreeMap::new(),
        tags: Vec::new(),
        max_attempts: 3,
        retry: RetryPolicy::default(),
        timeout_ms: None,
        conditions: Conditions::default(),
    }
}

pub(super) fn failure(message: &str) -> Failure {
    Failure { cause: Cause::Handler, code: Some("no".into()), message: message.into(), details: None, backtrace: None }
}

pub(super) fn retry(delay_ms: u64) -> Next {
    Next::Retry { delay_ms, failure: failure("again") }
}

pub(super) fn success() -> Next {
    Next::Succeeded { result: None }
}

pub(super) fn released() -> Next {
    Next::Released { reason: "shutdown".into(), mode: Mode::Sync }
}

impl World {
    /// An empty storage on a clock of its own.
    pub(super) async fn fresh<O: Future<Output = Opened> + 'static>(open: fn(Arc<TestClock>) -> O) -> Self {
        let clock = Arc::new(TestClock::at(START));
        Self::open_on(Rc::new(move |clock| Box::pin(open(clock))), |storage| storage, clock).await
    }

    async fn open_on(open: Rc<Open>, wrap: fn(Arc<dyn Storage>) -> Arc<dyn Storage>, clock: Arc<TestClock>) -> Self {
        let Opened { storage, ground } = open(Arc::clone(&clock)).await;
        Self { storage: wrap(storage), clock, open, wrap, ground }
    }

    /// Another storage, empty, on the same clock.
    pub(super) async fn another(&self) -> Self {
        Self::open_on(Rc::clone(&self.open), self.wrap, Arc::clone(&self.clock)).await
    }

    /// The same storage as another process has it, where one can.
    pub(super) async fn beside(&self) -> Option<Self> {
        let storage = self.ground.beside(Arc::clone(&self.clock)).await?;
        Some(self.with(storage))
    }

    /// The same storage, closed and opened again, where that leaves anything.
    pub(super) async fn again(self) -> Option<Self> {
        let Self { storage, clock, open, wrap, ground } = self;
        storage.close().await;
        drop(storage);
        let storage = wrap(ground.again(Arc::clone(&clock)).await?);
        Some(Self { storage, clock, open, wrap, ground })
    }

    fn with(&self, storage: Arc<dyn Storage>) -> Self {
        let (clock, open, ground) = (Arc::clone(&self.clock), Rc::clone(&self.open), Rc::clone(&self.ground));
        Self { storage: (self.wrap)(storage), clock, open, wrap: self.wrap, ground }
    }

    /// A job that the storage refuses to store, where it can be brought to that.
    pub(super) async fn refused(&self) -> Option<NewJob> {
        let new = NewJob { tags: vec!["refused".into()], ..job() };
        self.ground.refuse(&new).await.then_some(new)
    }

    /// What time it is.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn add(&self, job: NewJob) -> JobId {
        let id = job.id;
        let enqueued = self.storage.enqueue(vec![job], "ann").await.unwrap();
        assert_eq!((enqueued[0].id, enqueued[0].existing), (id, false));
        id
    }

    /// A server with a new id.
    pub(super) async fn server(&self) -> ServerId {
        let id = ServerId(Uuid::new_v4());
        let server = NewServer {
            id,
            host: "here".into(),
            pid: 7,
            version: "0".into(),
            queues: Vec::new(),
            sync_slots: 4,
            async_slots: 100,
        };
        self.storage.register(server).await.unwrap();
        id
    }

    pub(super) async fn claim(&self, server: ServerId, sync_free: u32, async_free: u32) -> Vec<Claimed> {
        let request = ClaimRequest { server, queues: Vec::new(), sync_free, async_free };
        self.storage.claim(&request).await.unwrap()
    }

    pub(super) async fn claim_from(&self, server: ServerId, queues: &[&str], sync_free: u32) -> Vec<JobId> {
        let queues = queues.iter().map(|name| name.parse().unwrap()).collect();
        let request = ClaimRequest { server, queues, sync_free, async_free: 0 };
        self.storage.claim(&request).await.unwrap().iter().map(|claimed| claimed.fence.job).collect()
    }

    /// The only job that there is to claim.
    pub(super) async fn claim_one(&self, server: ServerId) -> Claimed {
        let mut claimed = self.claim(server, 9, 9).await;
        assert_eq!(claimed.len(), 1, "one job should be there to claim");
        claimed.pop().unwrap()
    }

    pub(super) async fn settle(&self, run: &Claimed, next: Next) -> Result<State, Superseded> {
        let settlement = Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() };
        self.storage.settle(vec![settlement]).await.unwrap()[0]
    }

    pub(super) async fn detail(&self, job: JobId) -> JobDetail {
        self.storage.job(job).await.unwrap().expect("the job should be there")
    }

    pub(super) async fn state(&self, job: JobId) -> State {
        self.detail(job).await.job.state
    }

    pub(super) async fn promote(&self) -> Promoted {
        self.storage.promote(100).await.unwrap()
    }

    pub(super) async fn beat(&self, server: ServerId) -> Heartbeat {
        let vitals = Vitals {
            sync_slots: SlotUse { total: 4, busy: 1 },
            async_slots: SlotUse { total: 100, busy: 0 },
            memory_bytes: Some(64 << 20),
        };
        self.storage.heartbeat(server, vitals).await.unwrap()
    }

    pub(super) async fn pulse(&self, server: ServerId) -> Pulse {
        let pulses = self.storage.pulses().await.unwrap();
        pulses.into_iter().find(|pulse| pulse.server == server).expect("the server should be known")
    }

    /// Gives a server up as lost.
    pub(super) async fn lose(&self, server: ServerId) -> usize {
        let pulse = self.pulse(server).await;
        self.storage.sweep(pulse).await.unwrap().expect("its counter stood still")
    }

    /// Deploys and activates a version of the module `shop`, named by a byte.
    pub(super) async fn deploy(&self, byte: u8, handlers: &[(&str, Mode)]) -> Digest {
        let digest = Digest([byte; 32]);
        let known = self.storage.add_version(version(byte, handlers)).await.unwrap();
        assert!(!known);
        assert!(self.storage.activate(&"shop".parse().unwrap(), digest).await.unwrap());
        digest
    }
}

pub(super) fn version(byte: u8, handlers: &[(&str, Mode)]) -> NewVersion {
    let spec = |(name, mode): &(&str, Mode)| HandlerSpec {
        name: name.parse().unwrap(),
        mode: *mode,
        summary: None,
        queue: None,
        priority: None,
        max_attempts: None,
        retry: None,
        timeout_ms: None,
        cancel_grace_ms: None,
        fuel: None,
        memory_bytes: None,
        payload_schema: None,
        result_schema: None,
        redact: Vec::new(),
        schedules: Vec::new(),
    };
    NewVersion {
        module: "shop".parse().unwrap(),
        digest: Digest([byte; 32]),
        bytes: vec![byte; 10],
        version: "1.0".into(),
        sdk: "test".into(),
        handlers: handlers.iter().map(spec).collect(),
    }
}

/// Waits until this is told. Others may come before it: a storage may say at any time that there may be work.
pub(super) async fn told(signals: &mut Receiver<Signal>, wanted: Signal) {
    let waiting = async { while signals.recv().await.unwrap() != wanted {} };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{wanted:?} was never told");
}

/// Waits until the end of a job is told.
pub(super) async fn told_of_end(ends: &mut Receiver<JobId>, job: JobId) {
    let told = timeout(PATIENCE, ends.recv()).await.expect("the end of the job was never told");
    assert_eq!(told.unwrap(), job);
}

pub(super) fn json(text: &str) -> Json {
    text.parse().unwrap()
}
