//! One job.

use anyhow::{Context as _, bail};
use uuid::Uuid;
use windlass_api::{HandlerPath, JobId, JobRequest};

use super::{
    super::{Exit, Global, format, output::say, payload},
    JobArguments,
    conditions::Conditions,
    report, wait,
};
use crate::config::Span;

pub(super) async fn run(
    handler: HandlerPath,
    argument: Option<&str>,
    arguments: JobArguments,
    global: &Global,
) -> anyhow::Result<Exit> {
    let (remote, output, waits) = (global.remote()?, global.output(), arguments.wait);
    let request = request(handler, argument, arguments)?;
    let enqueued = remote.enqueue(&request).await;
    let enqueued = enqueued.with_context(|| format!("failed to enqueue a job for {}", request.handler))?;
    if enqueued.replaced {
        say(&format!("job {} was there before and waits; it got this payload and time", enqueued.id));
    } else if enqueued.existing {
        say(&format!("job {} was there before; nothing was done", enqueued.id));
    }
    if waits {
        if !output.is_json() {
            say(&format!("job {}", enqueued.id));
        }
        return report(&wait(&remote, enqueued.id, None).await?, output);
    }
    output.show(&enqueued, |enqueued| enqueued.id.to_string())?;
    Ok(Exit::Fine)
}

fn request(handler: HandlerPath, argument: Option<&str>, arguments: JobArguments) -> anyhow::Result<JobRequest> {
    let Conditions { after, unique, expires_at, limit_key } = arguments.conditions.read();
    let begins_at = arguments.at.or(arguments.delay.map(|span| format::now().plus_ms(span.as_ms())));
    if let (Some(begins_at), Some(expires_at)) = (begins_at, expires_at)
        && begins_at >= expires_at
    {
        bail!(
            "the job would expire at {expires_at}, before it may be started at {begins_at}: give --expires more time than --delay, \
             or an --expires-at after --at"
        );
    }
    Ok(JobRequest {
        handler,
        payload: payload::read(argument)?,
        id: Some(arguments.id.unwrap_or_else(|| JobId(Uuid::now_v7()))),
        queue: arguments.queue,
        priority: arguments.priority,
        max_attempts: arguments.max_attempts,
        retry: arguments.retry,
        timeout_ms: arguments.timeout.map(Span::as_ms),
        run_at: arguments.at,
        delay_ms: arguments.delay.map(Span::as_ms),
        tags: arguments.tags,
        headers: arguments.headers.into_iter().collect(),
        wait_for_handler: arguments.wait_for_handler,
        after,
        unique,
        expires_at,
        limit_key,
    })
}
