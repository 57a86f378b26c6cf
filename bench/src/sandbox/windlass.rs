//! Runs as a host makes them: a fresh store, WASI, limits, grants, the report.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use tokio::runtime::{Builder, Runtime};
use windlass_wasm::{
    Compiler, CompilerOptions, Component, Engine, EngineOptions, Grants, Limits, Mode, Outcome, RunHost, RunReport,
    RunRequest, Stop,
    contract::{CheckpointError, EnqueueError, Job, Level, Parent, ParentError, Request},
};

pub(super) struct Sandboxes {
    /// Has `noop`, and is what the bare loop runs too.
    sync: Component,
    /// Has `noop_async` and `sleepy`.
    waits: Component,
    grants: Arc<Grants>,
    host: Arc<dyn RunHost>,
    pub(super) runtime: Runtime,
    /// The cache of compiled code.
    _folder: tempfile::TempDir,
}

/// A host that wants nothing to do with the run.
struct Nobody;

#[async_trait]
impl RunHost for Nobody {
    fn log(&self, _: Level, _: String, _: Option<String>) {}

    fn progress(&self, _: f32, _: Option<String>) {}

    async fn checkpoint(&self, _: &str) -> Result<Option<String>, CheckpointError> {
        Ok(None)
    }

    async fn put_checkpoint(&self, _: &str, _: String) -> Result<(), CheckpointError> {
        Ok(())
    }

    async fn parent(&self, id: &str) -> Result<Parent, ParentError> {
        Err(ParentError::Unknown(id.to_owned()))
    }

    async fn enqueue(&self, _: Request) -> Result<String, EnqueueError> {
        Err(EnqueueError::LimitReached("nothing is enqueued here".to_owned()))
    }
}

impl Sandboxes {
    pub(super) fn new(sync: Vec<u8>, waits: Vec<u8>, compiler: &Path, at_once: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder for compiled code")?;
        let engine = Engine::new(&EngineOptions { concurrent_runs: at_once + 1, ..EngineOptions::default() })?;
        let options = CompilerOptions::new(compiler.into(), folder.path().join("cache"));
        let compiler = Compiler::new(engine, options)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let load = |bytes: Vec<u8>| runtime.block_on(compiler.load(windlass_wasm::digest(&bytes), async { Ok(bytes) }));
        let (sync, waits) = (load(sync)?, load(waits)?);
        Ok(Self { sync, waits, grants: Arc::default(), host: Arc::new(Nobody), runtime, _folder: folder })
    }

    pub(super) fn run_sync(&self) -> anyhow::Result<()> {
        check(self.runtime.block_on(self.sync.run(self.request(Mode::Sync, "noop", "null", Stop::new()))))
    }

    pub(super) fn run_async(&self) -> anyhow::Result<()> {
        check(self.runtime.block_on(self.waits.run(self.request(Mode::Async, "noop_async", "null", Stop::new()))))
    }

    /// A run that waits until it is stopped.
    pub(super) fn wait(&self, stop: Stop) -> impl Future<Output = RunReport> + Send + 'static {
        let request = self.request(Mode::Async, "sleepy", r#"{"ms":3600000}"#, stop);
        let component = self.waits.clone();
        async move { component.run(request).await }
    }

    fn request(&self, mode: Mode, handler: &str, payload: &str, stop: Stop) -> RunRequest {
        let job = Job {
            id: "00000000-0000-7000-8000-000000000000".to_owned(),
            handler: handler.to_owned(),
            queue: "default".to_owned(),
            run: 1,
            attempt: 1,
            max_attempts: 1,
            payload: payload.to_owned(),
            enqueued_at: 0,
            deadline: None,
            headers: Vec::new(),
            parents: Vec::new(),
        };
        let (grants, host) = (self.grants.clone(), self.host.clone());
        RunRequest { mode, job, limits: Limits::default(), grants, host, stop }
    }
}

fn check(report: RunReport) -> anyhow::Result<()> {
    match report.outcome {
        Outcome::Ok(_) => Ok(()),
        outcome => bail!("the handler did not succeed: {outcome:?}"),
    }
}
