//! A namespace of its own for each test, gone with it, and short words for what is done in it.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use windlass_jobs::{
    Claimed, Conditions, NewJob, Next, Settlement, Start,
    api::{JobId, Json, Mode, QueueName, RetryPolicy, ServerId, State, Usage},
    storage::{ClaimRequest, NewServer, Storage, StorageError, Superseded},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace that nobody else uses. Its keys are deleted when it is dropped.
pub(crate) struct Namespace {
    server: String,
    name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        Self::on(&windlass_test_services::shared::redis_url().unwrap())
    }

    /// A namespace of this server.
    pub(crate) fn on(server: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { server: server.to_owned(), name: format!("test-{}-{number}", std::process::id()) }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?namespace={}", self.server, self.name)
    }

    /// A connection to the server itself.
    pub(crate) fn redis(&self) -> redis::Connection {
        redis::Client::open(self.server.as_str()).unwrap().get_connection().unwrap()
    }

    pub(crate) fn prefix(&self) -> String {
        format!("{{{}}}:", self.name)
    }

    /// All keys of the namespace.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let pattern = format!("{}*", self.prefix());
        let mut connection = self.redis();
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(10_000);
            let (next, some): (u64, Vec<Vec<u8>>) = scan.query(&mut connection).unwrap();
            keys.extend(some);
            if next == 0 {
                return keys;
            }
            cursor = next;
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The server may be gone by now, and its data with it.
        let Ok(mut connection) = redis::Client::open(self.server.as_str()).and_then(|it| it.get_connection()) else {
            return;
        };
        for keys in self.keys().chunks(1000) {
            let _ = redis::cmd("UNLINK").arg(keys).exec(&mut connection);
        }
    }
}

impl Namespace {
    /// Sets a key behind the prefix.
    pub(crate) fn set(&self, suffix: &[u8], value: &[u8]) {
        self.put(&[self.prefix().as_bytes(), suffix].concat(), value);
    }

    /// Deletes a key behind the prefix.
    pub(crate) fn delete(&self, suffix: &[u8]) {
        let key = [self.prefix().as_bytes(), suffix].concat();
        redis::cmd("DEL").arg(key).exec(&mut self.redis()).unwrap();
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        redis::cmd("SET").arg(key).arg(value).exec(&mut self.redis()).unwrap();
    }

    pub(crate) fn get(&self, key: &[u8]) -> Vec<u8> {
        redis::cmd("GET").arg(key).query(&mut self.redis()).unwrap()
    }

    /// The keys that were not there before, without their prefix, sorted.
    pub(crate) fn new_keys(&self, before: &[Vec<u8>]) -> Vec<String> {
        let prefix = self.prefix().len();
        let new = self.keys().into_iter().filter(|key| !before.contains(key));
        let mut new = new.map(|key| String::from_utf8_lossy(&key[prefix..]).into_owned()).collect::<Vec<_>>();
        new.sort();
        new
    }
}

/// A plain job: sync, in the queue `default`, to be started at once.
pub(crate) fn job() -> NewJob {
    NewJob {
        id: JobId(uuid::Uuid::now_v7()),
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

/// A server with a new id.
pub(crate) async fn server(storage: &dyn Storage) -> ServerId {
    let id = ServerId(uuid::Uuid::new_v4());
    let server = NewServer {
        id,
        host: "here".into(),
        pid: 7,
        version: "0".into(),
        queues: Vec::new(),
        sync_slots: 4,
        async_slots: 100,
    };
    storage.register(server).await.unwrap();
    id
}

pub(crate) fn request(server: ServerId, sync_free: u32) -> ClaimRequest {
    ClaimRequest { server, queues: Vec::new(), sync_free, async_free: 0 }
}

pub(crate) async fn claim(storage: &dyn Storage, server: ServerId, free: u32) -> Vec<Claimed> {
    storage.claim(&request(server, free)).await.unwrap()
}

pub(crate) async fn claim_all(storage: &dyn Storage, server: ServerId) -> Vec<Claimed> {
    claim(storage, server, 1000).await
}

pub(crate) async fn settle(
    storage: &dyn Storage,
    run: &Claimed,
) -> Result<Vec<Result<State, Superseded>>, StorageError> {
    let next = Next::Succeeded { result: Some(Json::null()) };
    let settlement = Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() };
    storage.settle(vec![settlement]).await
}

/// Ends a run well; a run that was ended by a call whose answer was lost counts too.
pub(crate) async fn success(storage: &dyn Storage, run: &Claimed) -> Result<State, StorageError> {
    Ok(settle(storage, run).await?[0].unwrap_or(State::Succeeded))
}
