//! Jobs: how they are asked for, and how they are shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    After, Digest, HandlerName, HandlerPath, JobId, Json, LimitKey, LimitTarget, ModuleName, QueueName, RetryPolicy,
    ServerId, Timestamp, Unique, UniqueRule, words::words,
};

words! {
    /// Where a job is in its life.
    State {
        /// Waits for an instant: delayed, snoozed or about to be retried.
        Scheduled = "scheduled",
        /// Waits for other jobs to finish, or for its handler to be deployed.
        Awaiting = "awaiting",
        /// Waits for a slot.
        Enqueued = "enqueued",
        /// Is run by a server.
        Processing = "processing",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended badly, with no attempt left or worth making.
        Failed = "failed",
        /// Was deleted or cancelled, or what it waited for will not come.
        Deleted = "deleted",
    }
}

impl State {
    /// Whether the job has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Deleted)
    }
}

words! {
    /// How a handler runs.
    Mode {
        /// From start to end on a thread.
        Sync = "sync",
        /// As a task that takes no thread while it waits.
        Async = "async",
    }
}

words! {
    /// What made a run fail.
    Cause {
        /// The handler said so.
        Handler = "handler",
        /// The handler panicked, or trapped in another way of its own.
        Trap = "trap",
        /// It used up its fuel.
        OutOfFuel = "out-of-fuel",
        /// It used up its time.
        Timeout = "timeout",
        /// It asked for more memory than it may have.
        OutOfMemory = "out-of-memory",
        /// It called itself too deep.
        StackOverflow = "stack-overflow",
        /// It ended its process instead of returning.
        Exited = "exited",
        /// Its result is over the limit.
        ResultTooLarge = "result-too-large",
        /// Its result is not JSON.
        ResultNotJson = "result-not-json",
        /// It waits for something that will never come.
        Deadlock = "deadlock",
        /// The component could not be made ready to run on this host.
        Unloadable = "unloadable",
        /// Its server was lost with the last attempt.
        ServerLost = "server-lost",
        /// Its server was lost again and again.
        Poison = "poison",
        /// The host failed.
        Host = "host",
    }
}

words! {
    /// Why a job was deleted.
    DeleteReason {
        /// Somebody deleted it.
        Deleted = "deleted",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// A job that it waited for will never finish as asked.
        ParentGone = "parent-gone",
        /// It was not started in time.
        Expired = "expired",
    }
}

words! {
    /// How much a log line matters.
    LogLevel {
        /// Every step.
        Trace = "trace",
        /// What helps to understand a failure.
        Debug = "debug",
        /// What normally happens, and standard output.
        Info = "info",
        /// What should not happen and was dealt with.
        Warn = "warn",
        /// What failed, and standard error.
        Error = "error",
    }
}

/// A job to be made. Only the handler must be given: the rest comes from the handler's own settings and then from the
/// operator's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "a job: an object such as { \"handler\": \"images/thumbnail\", \"payload\": {} }"
)]
pub struct JobRequest {
    /// Where it goes: `module/handler`.
    pub handler: HandlerPath,
    /// What it is to work on; `null` where absent. At most 256 KiB.
    #[serde(default = "Json::null")]
    pub payload: Json,
    /// Its id, a UUIDv7 made by the client: asking twice with the same id makes one job.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<JobId>,
    /// The queue, instead of the handler's; `default` where neither says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue: Option<QueueName>,
    /// 0, the first to be taken, to 9; 5 where neither request nor handler says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 9))]
    pub priority: Option<u8>,
    /// How many attempts it has in all, 1 to 1000; 10 where neither says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub max_attempts: Option<u32>,
    /// The delay before an attempt that follows a failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry: Option<RetryPolicy>,
    /// How long a run may take: at most 7 days.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 604_800_000))]
    pub timeout_ms: Option<u64>,
    /// Not before this instant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_at: Option<Timestamp>,
    /// Not before this much later, at most 10 years; at most one of this and `run_at`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(maximum = 315_360_000_000_u64))]
    pub delay_ms: Option<u64>,
    /// What to find it by: at most 20, each of at most 100 bytes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 20))]
    pub tags: Vec<String>,
    /// What to attach to it, handed to the handler: at most 50, 8 KiB in all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// Whether to wait for a handler that no module has yet, rather than refuse the job.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub wait_for_handler: bool,
    /// The jobs that it continues: it waits for them, and `run_at` or `delay_ms` count from when they are done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<After>,
    /// What it must be the only one of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique: Option<Unique>,
    /// If it has not been started by then, it is deleted, reason `expired`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
    /// What it counts under where an operator limits keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit_key: Option<LimitKey>,
}

impl JobRequest {
    /// A job for this handler, everything else left to its settings.
    #[must_use]
    pub fn new(handler: HandlerPath, payload: Json) -> Self {
        Self {
            handler,
            payload,
            id: None,
            queue: None,
            priority: None,
            max_attempts: None,
            retry: None,
            timeout_ms: None,
            run_at: None,
            delay_ms: None,
            tags: Vec::new(),
            headers: BTreeMap::new(),
            wait_for_handler: false,
            after: None,
            unique: None,
            expires_at: None,
            limit_key: None,
        }
    }
}

/// The answer to a job request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enqueued {
    /// The job's id.
    pub id: JobId,
    /// Whether this job was there before, by its id or as the one that a unique job must not stand beside, and none was made.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub existing: bool,
    /// Whether it was there before and got the payload and the time of the request.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub replaced: bool,
}

/// How to requeue a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RequeueRequest {
    /// Refuse unless the job is in this state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_state: Option<State>,
    /// Forget checkpoints and recorded steps.
    #[serde(default)]
    pub fresh: bool,
    /// Run on the version that is active now instead of the one it started with.
    #[serde(default)]
    pub newest: bool,
}

/// The answer to a command on one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandReply {
    /// The job.
    pub id: JobId,
    /// The state that it is in now.
    pub state: State,
    /// Whether the job is still being run: the command takes effect when its sandbox has stopped.
    pub pending: bool,
}

/// Why a run did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// What made it fail.
    pub cause: Cause,
    /// The handler's own name for it; absent unless the handler said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// What else the handler attached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<Json>,
    /// Where in the component it happened, innermost first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backtrace: Option<String>,
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Fuel: about one per instruction.
    pub fuel: u64,
    /// The most memory that it had at once, over all of its memories.
    pub peak_memory_bytes: u64,
    /// From the start of the run to its end, in microseconds.
    pub wall_us: u64,
    /// What it wrote to logs, standard output and standard error.
    pub log_bytes: u64,
    /// What it sent over HTTP: bodies of its requests.
    pub sent_bytes: u64,
    /// What it received over HTTP: bodies of the responses.
    pub received_bytes: u64,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// 0 to 100.
    pub percent: f32,
    /// What it is doing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// When it said so.
    pub at: Timestamp,
}

/// One step in a job's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryLine {
    /// The state before; absent on the first line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<State>,
    /// The state after.
    pub to: State,
    /// When.
    pub at: Timestamp,
    /// Who: `client`, `scheduler`, `sweeper`, `server …` or whoever gave the command.
    pub by: String,
    /// Why, in a word or a sentence: `retry`, `snooze`, `shutdown`, `cancelled` and so on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The run, on the lines that begin and end one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<u32>,
    /// The attempt, on the lines that begin and end a run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attempt: Option<u32>,
    /// What the run used, on the line that ends it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Usage>,
    /// Why the run did not succeed, on the line that ends it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// A job as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The module that it goes to.
    pub module: ModuleName,
    /// The handler within it.
    pub handler: HandlerName,
    /// How the handler runs.
    pub mode: Mode,
    /// Its queue.
    pub queue: QueueName,
    /// 0, the first to be taken, to 9.
    pub priority: u8,
    /// Where it is in its life.
    pub state: State,
    /// Why it is there, where that is not plain: `retry`, `snooze`, `handler-missing`, `cancelled`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The attempt that runs or ran last; 0 before the first.
    pub attempt: u32,
    /// How many attempts it has in all.
    pub max_attempts: u32,
    /// The run that runs or ran last; 0 before the first.
    pub run: u32,
    /// What to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it may start, while it is scheduled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_at: Option<Timestamp>,
    /// When its last run began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished_at: Option<Timestamp>,
    /// The server that runs it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<ServerId>,
    /// The version that it runs on, from its first start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<Digest>,
    /// Whether somebody asked for it to be cancelled.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cancel_requested: bool,
    /// The limit that it waits for, while it is enqueued and that is full.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held_by: Option<LimitTarget>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub progress: Option<Progress>,
    /// What its last run used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Usage>,
    /// Why its last run did not succeed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// A job with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobDetail {
    /// What lists show.
    pub job: JobSummary,
    /// What it works on.
    pub payload: Json,
    /// What the application attached.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// The delays between its attempts.
    pub retry: RetryPolicy,
    /// How long a run may take, where the job says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_ms: Option<u64>,
    /// What it gave, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<Json>,
    /// The jobs that it continues.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<After>,
    /// How it is unique.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique: Option<UniqueRule>,
    /// If it has not been started by then, it is deleted; absent once it was started or requeued.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
    /// What it counts under where an operator limits keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit_key: Option<LimitKey>,
    /// When it will be removed, once it has ended. One that has succeeded is kept longer while a job that continues it is
    /// unfinished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removed_at: Option<Timestamp>,
    /// Its life so far, oldest first.
    pub history: Vec<HistoryLine>,
}

/// A line that a run wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// The run that wrote it.
    pub run: u32,
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// The line.
    pub message: String,
    /// What was attached to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fields: Option<Json>,
}

/// Which jobs to list; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct JobFilter {
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<State>,
    /// For this reason, to the letter: with `scheduled`, `retry` are those that are tried again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// In this queue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue: Option<QueueName>,
    /// Of this module.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<ModuleName>,
    /// Of this handler.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handler: Option<HandlerName>,
    /// With this tag.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
    /// Made at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_from: Option<Timestamp>,
    /// Made before this instant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_before: Option<Timestamp>,
    /// With this text in its payload, or in the message of its failure; upper and lower case differ.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
}

/// How many jobs there are, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Counts(pub BTreeMap<State, u64>);

impl Counts {
    /// How many are in a state.
    #[must_use]
    pub fn of(&self, state: State) -> u64 {
        self.0.get(&state).copied().unwrap_or(0)
    }
}
