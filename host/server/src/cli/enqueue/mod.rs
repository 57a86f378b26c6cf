//! `windlass enqueue`: one job from arguments, or many from JSON lines.

mod bulk;
mod conditions;
mod one;
mod waited;

use std::path::PathBuf;

use clap::Args;
use windlass_api::{HandlerPath, JobId, QueueName, RetryPolicy, Timestamp};

pub(super) use self::{
    conditions::Uniqueness,
    waited::{report, wait},
};
use super::{Exit, Global, retry};
use crate::config::Span;

/// Enqueue a job, or many from a file of JSON lines.
///
/// What is not given comes from the handler's own settings. The job's id is printed; with --wait also what became of it,
/// and the exit code is 1 where it did not succeed.
#[derive(Args, Debug)]
pub(super) struct Enqueue {
    /// Where the job goes: MODULE/HANDLER.
    #[arg(required_unless_present = "jsonl", conflicts_with = "jsonl")]
    handler: Option<HandlerPath>,
    /// What it is to work on: JSON, @FILE, or - for standard input [default: null].
    #[arg(conflicts_with = "jsonl", allow_negative_numbers = true)]
    payload: Option<String>,
    /// Enqueue a job for each line of a file, or of standard input for `-`: a JSON object with the fields of the API's
    /// job request, such as {"handler":"images/thumbnail","payload":{"source":"a.png","width":200}}.
    ///
    /// Files of up to 10,000 jobs and 16 MiB are enqueued wholly or not at all; longer ones in parts of that size.
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_ONE_JOB)]
    jsonl: Option<PathBuf>,
    #[command(flatten)]
    job: JobArguments,
}

/// What is said of one job, and so not beside a file in which each line says it.
const OF_ONE_JOB: [&str; 23] = [
    "queue",
    "priority",
    "delay",
    "at",
    "max_attempts",
    "timeout",
    "retry",
    "tags",
    "headers",
    "id",
    "after",
    "on",
    "unique",
    "unique_key",
    "unique_fields",
    "unique_for",
    "unique_states",
    "on_conflict",
    "expires",
    "expires_at",
    "limit_key",
    "wait",
    "wait_for_handler",
];

#[derive(Args, Debug)]
struct JobArguments {
    /// The queue, instead of the handler's.
    #[arg(long)]
    queue: Option<QueueName>,
    /// 0, the first to be taken, to 9.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Not before this much later, such as `5s`.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    delay: Option<Span>,
    /// Not before this instant, such as `2026-11-23T15:00:00Z`.
    #[arg(long, value_name = "INSTANT", conflicts_with = "delay")]
    at: Option<Timestamp>,
    /// How many attempts in all.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max_attempts: Option<u32>,
    /// How long a run may take, such as `30s`.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    timeout: Option<Span>,
    /// The delay before another attempt: fixed:1s, linear:1s, exponential:15s,1h or delays:1s,5s,1m.
    #[arg(long, value_name = "POLICY", value_parser = retry::parse)]
    retry: Option<RetryPolicy>,
    /// What to find the job by; may be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What to attach to the job; may be repeated.
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The job's id, a UUID: asking twice with the same one makes one job, whatever else is asked the second time, as long as
    /// the first one is kept (`[retention]`; by default a day after it succeeded).
    #[arg(long)]
    id: Option<JobId>,
    #[command(flatten)]
    conditions: conditions::Arguments,
    /// Wait until the job has ended.
    #[arg(long)]
    wait: bool,
    /// Take the job even if no module has its handler yet; it waits for that.
    #[arg(long)]
    wait_for_handler: bool,
}

pub(super) async fn run(command: Enqueue, global: &Global) -> anyhow::Result<Exit> {
    match (command.handler, command.jsonl) {
        (Some(handler), _) => one::run(handler, command.payload.as_deref(), command.job, global).await,
        (None, Some(file)) => bulk::run(&file, global).await,
        // clap has refused this.
        (None, None) => Ok(Exit::Failed),
    }
}

/// Reads `KEY=VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
