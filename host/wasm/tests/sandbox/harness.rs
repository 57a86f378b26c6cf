//! One engine and one compiler for all tests, a host that remembers, and a way to run a guest.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
};

use async_trait::async_trait;
use tempfile::TempDir;
use windlass_wasm::{
    Compiler, CompilerOptions, Component, Engine, EngineOptions, Grants, Limits, Mode, Outcome, Refusal, RunCause,
    RunHost, RunReport, RunRequest, Stop,
    contract::{CheckpointError, EnqueueError, Job, Level, Parent, ParentError, Request},
};

pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let options = EngineOptions { concurrent_runs: 20, ..EngineOptions::default() };
    Engine::new(&options).unwrap()
});

/// The compiler's child, as cargo built it beside this test.
pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_windlass-compile").into()
}

/// A compiler with a cache of its own.
pub(crate) fn compiler() -> (Compiler, TempDir) {
    compiler_with(|_| ())
}

pub(crate) fn compiler_with(change: impl FnOnce(&mut CompilerOptions)) -> (Compiler, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = CompilerOptions::new(program(), folder.path().join("cache"));
    change(&mut options);
    (Compiler::new(ENGINE.clone(), options).unwrap(), folder)
}

pub(crate) async fn load(compiler: &Compiler, bytes: &[u8]) -> Result<Component, Refusal> {
    compiler.load(windlass_wasm::digest(bytes), async { Ok(bytes.to_vec()) }).await
}

/// A host that remembers what it was told.
#[derive(Default)]
pub(crate) struct Remembering {
    pub(crate) lines: Mutex<Vec<(Level, String)>>,
    pub(crate) progress: Mutex<Vec<f32>>,
}

impl Remembering {
    pub(crate) fn lines(&self) -> Vec<(Level, String)> {
        self.lines.lock().unwrap().clone()
    }
}

#[async_trait]
impl RunHost for Remembering {
    fn log(&self, level: Level, message: String, _: Option<String>) {
        self.lines.lock().unwrap().push((level, message));
    }

    fn progress(&self, percent: f32, _: Option<String>) {
        self.progress.lock().unwrap().push(percent);
    }

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
        Ok("an id".to_owned())
    }
}

/// A run to be done; tests change what they are about.
pub(crate) struct Run {
    pub(crate) component: Component,
    pub(crate) mode: Mode,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    pub(crate) host: Arc<Remembering>,
    pub(crate) stop: Stop,
    _cache: TempDir,
}

impl Run {
    pub(crate) fn new(mode: Mode, bytes: &[u8]) -> Self {
        let (compiler, cache) = compiler();
        let component = runtime().block_on(load(&compiler, bytes)).unwrap();
        let (limits, grants) = (Limits::default(), Grants::default());
        Self { component, mode, limits, grants, host: Arc::default(), stop: Stop::new(), _cache: cache }
    }

    /// Does the run as the host does: a sync handler on this thread, an async one on the runtime.
    pub(crate) fn go(self) -> RunReport {
        let request = RunRequest {
            mode: self.mode,
            job: job(),
            limits: self.limits,
            grants: Arc::new(self.grants),
            host: self.host,
            stop: self.stop,
        };
        let component = self.component;
        match self.mode {
            Mode::Sync => runtime().block_on(component.run(request)),
            Mode::Async => {
                runtime().block_on(async { tokio::spawn(async move { component.run(request).await }).await.unwrap() })
            }
        }
    }
}

/// The runtime that waits on behalf of guests: one worker, so that a guest which keeps it shows.
pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).global_queue_interval(4).enable_all().build().unwrap()
    });
    &RUNTIME
}

pub(crate) fn failure(report: &RunReport) -> (RunCause, &str) {
    match &report.outcome {
        Outcome::Failed(failure) => (failure.cause, &failure.message),
        other => panic!("expected a failure, not {other:?}"),
    }
}

pub(crate) fn job() -> Job {
    Job {
        id: "0193d4c8-0000-7000-8000-000000000000".into(),
        handler: "test".into(),
        queue: "default".into(),
        run: 1,
        attempt: 1,
        max_attempts: 1,
        payload: "null".into(),
        enqueued_at: 0,
        deadline: None,
        headers: vec![("traceparent".into(), "00".into())],
        parents: vec![],
    }
}
