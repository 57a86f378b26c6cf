//! The words of Windlass as they travel: every request and response of the HTTP API.
//!
//! What is here is plain data that serialises. It builds for the browser, so that the dashboard speaks the same types
//! as the host; it knows neither storage nor sandbox. On the wire instants are RFC 3339 in UTC, spans are whole
//! milliseconds in fields that end in `_ms`, sizes are bytes in fields that end in `_bytes`, and enumerations are
//! kebab-case.
//!
//! With the feature `openapi` each type tells its schema too.

mod access;
mod audit;
mod bulk_action;
mod counters;
mod event;
mod flow;
mod grants;
mod ids;
mod job;
mod json;
mod limit;
mod module;
mod names;
mod page;
mod problem;
mod recurring;
#[cfg(feature = "openapi")]
mod schema;
mod server;
mod time;
mod unique;
mod words;

pub use access::{Role, SessionRequest, SessionView};
pub use audit::AuditEntry;
pub use bulk_action::{BulkAction, BulkActionRequest, BulkState, BulkVerb, SkipReason};
pub use counters::{CounterQuery, CounterRow, Grain};
pub use event::{Event, StatesChanged, WatchedJob};
pub use flow::{After, ContinueOn, Relations, Relative};
pub use grants::{GrantedDirectory, LimitRange, ModuleGrants, RunLimits};
pub use ids::{BulkActionId, Digest, InvalidId, JobId, ServerId};
pub use job::{
    Cause, CommandReply, Counts, DeleteReason, Enqueued, Failure, HistoryLine, JobDetail, JobFilter, JobRequest,
    JobSummary, LogLevel, LogLine, Mode, Progress, RequeueRequest, State, Usage,
};
pub use json::{InvalidJson, Json};
pub use limit::{InvalidLimit, LimitKey, LimitRule, LimitTarget, LimitView, Rate};
pub use module::{
    ActivateRequest, CanaryDropped, CanaryRequest, Deployed, HandlerSpec, Misfire, ModuleView, PromoteRequest,
    RetireRequest, Retired, RetryPolicy, ScheduleSpec, VersionView, falls_to_canary,
};
pub use names::{HandlerName, HandlerPath, InvalidName, ModuleName, QueueName, RecurringName};
pub use page::{FilteredCount, Page};
pub use problem::{Problem, ProblemCode};
pub use recurring::{RecurringJob, RecurringOutcome, RecurringRequest};
pub use server::{QueueView, ServerView, SlotUse};
pub use time::{InvalidTimestamp, Timestamp};
pub use unique::{OnConflict, Unique, UniqueRule};
