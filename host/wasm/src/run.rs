//! One run of a handler, from a fresh store to its report.
//!
//! Both modes are driven as futures, through the one linker whose host functions wait asynchronously. For sync handlers
//! the plain call would be cheaper, but could not be stopped within a host call. The price, measured on a Rust handler
//! that does nothing: 19.2 µs for all of this, where the plain call in a bare loop takes 14.8 (1.3 times).

use std::{pin::pin, sync::Arc, time::Instant};

use async_trait::async_trait;
use wasmtime::Store;

use crate::{
    Component, Grants, Limits, Outcome, RunCause, RunFailure, RunReport, Stop, Usage,
    contract::{CheckpointError, EnqueueError, Job, JobError, Level, Parent, ParentError, Request},
    failure::{self, Halt},
    host_calls::check_json,
    store::{self, RunState},
};

/// How a handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// From start to end on a thread.
    Sync,
    /// As a task that takes no thread while it waits.
    Async,
}

/// One run to be done.
pub struct RunRequest {
    /// Which of the two interfaces is called.
    pub mode: Mode,
    /// The job, as the guest sees it.
    pub job: Job,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Arc<Grants>,
    /// Who hears from it meanwhile.
    pub host: Arc<dyn RunHost>,
    /// What stops it.
    pub stop: Stop,
}

/// What a run may tell and ask the host while it goes on. What arrives here is bounded already: messages, fields and
/// notes are short, keys, values and payloads are within the run's limits and are JSON where the contract says so.
///
/// `log` and `progress` are called on the guest's thread and must not block.
#[async_trait]
pub trait RunHost: Send + Sync {
    /// A line of the log, of standard output (`info`) or of standard error (`error`). `fields` is JSON: an object, or a
    /// string where the guest's fields were none.
    fn log(&self, level: Level, message: String, fields: Option<String>);

    /// How far the run is, 0 to 100.
    fn progress(&self, percent: f32, note: Option<String>);

    /// What is kept under a key.
    async fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError>;

    /// Keeps a value under a key; when this returns, it survives the host.
    async fn put_checkpoint(&self, key: &str, value: String) -> Result<(), CheckpointError>;

    /// How a job ended that this one continues.
    async fn parent(&self, id: &str) -> Result<Parent, ParentError>;

    /// Takes a job that is to be enqueued when the run has succeeded, and gives its id.
    async fn enqueue(&self, request: Request) -> Result<String, EnqueueError>;
}

impl std::fmt::Debug for RunRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunRequest").field("mode", &self.mode).field("job", &self.job.id).finish_non_exhaustive()
    }
}

impl Component {
    /// Does one run, in a sandbox of its own that is thrown away afterwards.
    ///
    /// It needs a tokio runtime with time and input/output around it. A run in [`Mode::Sync`] keeps the thread that
    /// polls it while the guest computes: call it under [`tokio::runtime::Handle::block_on`] on a thread that is no
    /// worker of the runtime. A run in [`Mode::Async`] lets others have the thread several times a millisecond; spawn it
    /// on a runtime kept for guests, one that looks at what comes from outside often
    /// ([`tokio::runtime::Builder::global_queue_interval`] of some 4 rather than 61), since each turn may be a guest's.
    /// Dropping the future ends the run.
    pub async fn run(&self, request: RunRequest) -> RunReport {
        let started_at = Instant::now();
        let deadline = request.limits.timeout.and_then(|timeout| started_at.checked_add(timeout));
        let mut store = match store::open(self.engine(), &request, deadline) {
            Ok(store) => store,
            Err(failure) => return RunReport { outcome: Outcome::Failed(failure), usage: Usage::default() },
        };
        let RunRequest { mode, job, limits, stop, .. } = request;
        let ended = bounded(&stop, deadline, &limits, self.call(&mut store, mode, job)).await;
        let outcome = match ended {
            Ok(Ok(result)) => check_result(result, limits.result_bytes),
            Ok(Err(error)) => Outcome::Error(error),
            Err(error) => match failure::classify(&error, limits.fuel) {
                Outcome::Failed(failure) => Outcome::Failed(store::explained(failure, &store)),
                Outcome::NoRoom => no_room(&error, &store),
                outcome => outcome,
            },
        };
        RunReport { outcome, usage: usage(&store, limits.fuel, started_at) }
    }

    async fn call(
        &self,
        store: &mut Store<RunState>,
        mode: Mode,
        job: Job,
    ) -> wasmtime::Result<Result<Option<String>, JobError>> {
        let instance = self.instantiate(store).await?;
        let fuel = store.get_fuel()?;
        store.data_mut().fuel_at_call = Some(fuel);
        match mode {
            Mode::Sync => self.sync_guest(&mut *store, &instance)?.call_run(store, &job).await,
            // Runs the store's event loop until the guest has returned. Unlike `run_concurrent` it traps where the guest
            // has not, and nothing is left that could happen.
            Mode::Async => Ok(self.async_guest(&mut *store, &instance)?.func_run().call_async(store, (job,)).await?.0),
        }
    }
}

/// Cuts a guest off while it waits in a host call; while it computes, the ticks of the epoch do. The whole call is
/// raced, not what goes on inside of it: only then the store is left at once.
pub(crate) async fn bounded<T>(
    stop: &Stop,
    deadline: Option<Instant>,
    limits: &Limits,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    if let Some(reason) = stop.reason() {
        return Err(Halt::Stopped(reason).into());
    }
    let timeout = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    // The call goes first: where it never waits, neither a timer nor a listener is ever registered.
    tokio::select! {
        biased;
        result = pin!(call) => result,
        reason = stop.stopped() => Err(Halt::Stopped(reason).into()),
        () = timeout => Err(Halt::Timeout(limits.timeout.unwrap_or_default()).into()),
    }
}

/// A guest that takes places while it goes on (a stack for each call that it has open) must not be tried for ever.
fn no_room(error: &wasmtime::Error, store: &Store<RunState>) -> Outcome {
    let reason = error.root_cause();
    let began = store.data().fuel_at_call.is_some_and(|fuel| store.get_fuel().unwrap_or(0) < fuel);
    if began {
        let message = format!("the handler needs more of the engine than there is: {reason}");
        return Outcome::Failed(RunFailure::new(RunCause::Host, message));
    }
    tracing::warn!("failed to find a place for one more run: {reason}");
    Outcome::NoRoom
}

fn check_result(result: Option<String>, limit: u64) -> Outcome {
    let Some(text) = result else { return Outcome::Ok(None) };
    if text.len() as u64 > limit {
        let message = format!("the result has {} bytes and may have {limit}", text.len());
        return Outcome::Failed(RunFailure::new(RunCause::ResultTooLarge, message));
    }
    match check_json(&text) {
        Ok(()) => Outcome::Ok(Some(text)),
        Err(error) => {
            let message = format!("the result is not JSON: {error}");
            Outcome::Failed(RunFailure::new(RunCause::ResultNotJson, message))
        }
    }
}

fn usage(store: &Store<RunState>, limit_of_fuel: u64, started_at: Instant) -> Usage {
    let state = store.data();
    state.finish_output();
    let (sent_bytes, received_bytes) = state.http_bytes();
    Usage {
        fuel: limit_of_fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
        peak_memory_bytes: state.peak_memory_bytes(),
        wall_us: u64::try_from(started_at.elapsed().as_micros()).unwrap_or(u64::MAX),
        log_bytes: state.logs.written_bytes(),
        sent_bytes,
        received_bytes,
    }
}
