//! `windlass recurring put`

use clap::Args;
use windlass_api::{
    HandlerPath, JobRequest, LimitKey, Misfire, QueueName, RecurringName, RecurringRequest, RetryPolicy,
};

use super::super::{
    enqueue::{self, Uniqueness},
    payload, retry,
};
use crate::config::Span;

/// Put a recurring job in place, or change the one of this name.
///
/// A schedule is five fields of Unix cron (minutes, hours, days of the month, months, days of the week), six with seconds
/// first, @yearly, @monthly, @weekly, @daily or @hourly, or an interval such as `every 90s`. Putting the same again changes
/// nothing; a job that is paused stays so.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass recurring put nightly-report '30 2 * * mon-fri' shop/report --time-zone Europe/Berlin
  windlass recurring put poll '*/10 * * * * *' mail/poll --misfire skip --queue mail
  windlass recurring put month-end '0 6 1 * *' shop/invoices @month.json --misfire catch-up --catch-up-limit 12
  windlass recurring put poll '*/10 * * * * *' mail/poll --unique     # not while the one before is unfinished
  windlass recurring put tick 'every 90s' shop/tick --wait-for-handler")]
pub(in super::super) struct Put {
    /// Its name.
    name: RecurringName,
    /// When, such as '30 2 * * mon-fri'.
    schedule: String,
    /// What its jobs go to: MODULE/HANDLER.
    handler: HandlerPath,
    /// What they are to work on: JSON, @FILE, or - for standard input [default: null].
    #[arg(allow_negative_numbers = true)]
    payload: Option<String>,
    /// The IANA time zone that the schedule's clock shows, such as Europe/Berlin [default: UTC].
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What happens to instants that passed while no host was there: skip, run-once or catch-up.
    #[arg(long, value_name = "POLICY", default_value_t)]
    misfire: Misfire,
    /// How many missed instants are caught up with at most, 1 to 1000 [default: 100].
    #[arg(long, value_name = "N")]
    catch_up_limit: Option<u32>,
    /// The queue, instead of the handler's.
    #[arg(long)]
    queue: Option<QueueName>,
    /// 0, the first to be taken, to 9.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// How many attempts each job has in all.
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// How long a run may take, such as `30s`.
    #[arg(long, value_name = "SPAN")]
    timeout: Option<Span>,
    /// The delay before another attempt: fixed:1s, linear:1s, exponential:15s,1h or delays:1s,5s,1m.
    #[arg(long, value_name = "POLICY", value_parser = retry::parse)]
    retry: Option<RetryPolicy>,
    /// What to find the jobs by; may be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What to attach to the jobs; may be repeated.
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = enqueue::header)]
    headers: Vec<(String, String)>,
    #[command(flatten)]
    uniqueness: Uniqueness,
    /// What its jobs count under where an operator limits keys: see `windlass limits`.
    #[arg(long, value_name = "KEY")]
    limit_key: Option<LimitKey>,
    /// Put it in place even if no module has its handler yet; its jobs wait for that.
    #[arg(long)]
    wait_for_handler: bool,
}

impl Put {
    pub(super) fn request(self) -> anyhow::Result<(RecurringName, RecurringRequest)> {
        let job = JobRequest {
            queue: self.queue,
            priority: self.priority,
            max_attempts: self.max_attempts,
            retry: self.retry,
            timeout_ms: self.timeout.map(Span::as_ms),
            tags: self.tags,
            headers: self.headers.into_iter().collect(),
            wait_for_handler: self.wait_for_handler,
            unique: self.uniqueness.read(),
            limit_key: self.limit_key,
            ..JobRequest::new(self.handler, payload::read(self.payload.as_deref())?)
        };
        let request = RecurringRequest {
            time_zone: self.time_zone,
            misfire: self.misfire,
            catch_up_limit: self.catch_up_limit,
            ..RecurringRequest::new(self.schedule, job)
        };
        Ok((self.name, request))
    }
}
