//! How a run ended, and why it failed where the sandbox ended it.

use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::{Mode, StopReason, contract::JobError};

/// What came out of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The handler succeeded; the result is JSON and within its limit.
    Ok(Option<String>),
    /// The handler said why it did not. The text is the guest's: unchecked and of any length up to its memory.
    Error(JobError),
    /// The sandbox ended it.
    Failed(RunFailure),
    /// The host stopped it.
    Stopped(StopReason),
    /// The engine's pool had no place for it, so the handler never began: the job is not to blame, and another try
    /// later will do.
    NoRoom,
}

/// Why the sandbox ended a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RunFailure {
    /// The kind.
    pub cause: RunCause,
    /// What happened, in words that name the limit.
    pub message: String,
    /// The guest's own call stack, innermost first, where there is one.
    pub backtrace: Option<String>,
}

/// The kinds of run failures. They are the run's part of `windlass_api::Cause`, by the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunCause {
    /// The guest panicked, or trapped in another way of its own.
    Trap,
    /// It used up its fuel.
    OutOfFuel,
    /// It used up its time.
    Timeout,
    /// It asked for more memory than it may have.
    OutOfMemory,
    /// It called itself too deep.
    StackOverflow,
    /// It ended its process instead of returning, with whatever code.
    Exited,
    /// Its result is over the limit.
    ResultTooLarge,
    /// Its result is not JSON.
    ResultNotJson,
    /// It waits for something that will never come.
    Deadlock,
    /// The component could not be made ready to run.
    Unloadable,
    /// The host failed.
    Host,
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Fuel: about one per instruction.
    pub fuel: u64,
    /// The most memory that it had at once, over all of its memories.
    pub peak_memory_bytes: u64,
    /// From the start of the run to its end, in microseconds.
    pub wall_us: u64,
    /// What it wrote to logs, standard output and standard error, whether kept or not.
    pub log_bytes: u64,
    /// Bodies of its outbound requests.
    pub sent_bytes: u64,
    /// Bodies of the responses.
    pub received_bytes: u64,
}

/// Why the host cut a guest off: travels as the error of an epoch tick, a refused growth or a select.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Halt {
    #[error("the run was stopped")]
    Stopped(StopReason),
    #[error("the run took longer than its {}", Seconds(*.0))]
    Timeout(Duration),
    #[error("the run asked for {wanted} bytes of memory in all and may have {limit}")]
    OutOfMemory { wanted: u64, limit: u64 },
    #[error("the run asked for a table of {wanted} elements and may have {limit}")]
    TableTooLarge { wanted: u64, limit: u64 },
    #[error("the component has no handlers of mode {0:?} in the contract's shape")]
    NoSuchHandlers(Mode),
}

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// No message of a failure is longer, in bytes: it is stored with the job.
const MAX_MESSAGE_BYTES: usize = 2_000;

/// No backtrace is longer, in bytes.
const MAX_BACKTRACE_BYTES: usize = 8_000;

impl RunFailure {
    pub(crate) fn new(cause: RunCause, message: impl Into<String>) -> Self {
        Self { cause, message: clip(message.into(), MAX_MESSAGE_BYTES), backtrace: None }
    }
}

/// Tells what ended a run from the error that it ended with. Whether the guest had begun when there was no room is for
/// the caller to know.
pub(crate) fn classify(error: &wasmtime::Error, limit_of_fuel: u64) -> Outcome {
    let failure = match (error.downcast_ref::<Halt>(), error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
        (Some(Halt::Stopped(reason)), ..) => return Outcome::Stopped(*reason),
        (Some(halt @ Halt::Timeout(_)), ..) => RunFailure::new(RunCause::Timeout, halt.to_string()),
        (Some(halt @ Halt::NoSuchHandlers(_)), ..) => RunFailure::new(RunCause::Unloadable, halt.to_string()),
        (Some(halt), ..) => RunFailure::new(RunCause::OutOfMemory, halt.to_string()),
        (_, Some(exit), _) => {
            let message = format!("the handler exited with code {} instead of returning", exit.0);
            RunFailure::new(RunCause::Exited, message)
        }
        (.., Some(trap)) => of_trap(*trap, limit_of_fuel),
        _ if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() => return Outcome::NoRoom,
        _ => of_other(error),
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(|trace| clip(trace.to_string(), MAX_BACKTRACE_BYTES));
    Outcome::Failed(RunFailure { backtrace: backtrace.filter(|text| !text.is_empty()), ..failure })
}

fn of_trap(trap: Trap, limit_of_fuel: u64) -> RunFailure {
    let cause = match trap {
        Trap::OutOfFuel => {
            return RunFailure::new(RunCause::OutOfFuel, format!("the run used up its fuel of {limit_of_fuel}"));
        }
        Trap::StackOverflow => {
            return RunFailure::new(RunCause::StackOverflow, "the handler called itself too deep: its stack is full");
        }
        Trap::AsyncDeadlock | Trap::NoAsyncResult => {
            let message = "the handler waits for something that will never come, or returned without a result";
            return RunFailure::new(RunCause::Deadlock, message);
        }
        _ => RunCause::Trap,
    };
    RunFailure::new(cause, trap.to_string())
}

fn of_other(error: &wasmtime::Error) -> RunFailure {
    // What wraps the innermost error only says in which function the guest was, which the backtrace says better.
    let message = error.root_cause().to_string();
    // wasmtime has no type for this one. With a backtrace it was a call of the guest's that carried too much.
    if message.starts_with("too much data is being copied") && error.downcast_ref::<WasmBacktrace>().is_none() {
        return RunFailure::new(RunCause::ResultTooLarge, "the result is longer than the host copies out of a guest");
    }
    RunFailure::new(RunCause::Trap, message)
}

/// Shortens text to at most so many bytes, at a character's boundary.
pub(crate) fn clip(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        let end = (0..=max_bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
