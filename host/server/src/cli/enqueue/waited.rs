//! Waiting for a job, and saying what became of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use windlass_api::{JobDetail, JobId, State};

use super::super::{Exit, format, output::Output, output::say};
use crate::remote::Remote;

/// As long as a host holds a request back.
const LONG_POLL: Duration = Duration::from_secs(60);

/// The job when it has ended, or as it is when the time is over.
pub(in super::super) async fn wait(remote: &Remote, id: JobId, longest: Option<Duration>) -> anyhow::Result<JobDetail> {
    let begun_at = Instant::now();
    loop {
        let left = longest.map_or(LONG_POLL, |longest| longest.saturating_sub(begun_at.elapsed()));
        let detail = remote.wait(id, left).await.with_context(|| format!("failed to wait for job {id}"))?;
        if detail.job.state.is_final() || left.is_zero() {
            return Ok(detail);
        }
    }
}

/// Prints the result of a job that succeeded; says why another one did not.
pub(in super::super) fn report(detail: &JobDetail, output: Output) -> anyhow::Result<Exit> {
    let job = &detail.job;
    output.show(detail, |detail| {
        let result = detail.result.as_ref().map(|result| result.as_str().to_owned());
        result.filter(|_| job.state == State::Succeeded).unwrap_or_default()
    })?;
    if !output.is_json() {
        say(&ending(detail));
    }
    Ok(if job.state == State::Succeeded { Exit::Fine } else { Exit::Failed })
}

fn ending(detail: &JobDetail) -> String {
    let job = &detail.job;
    let reason = job.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let mut text = format!("job {} {}{reason}, attempt {} of {}", job.id, job.state, job.attempt, job.max_attempts);
    if let Some(usage) = &job.usage {
        text += &format!("\n{}", format::usage(usage));
    }
    if let Some(failure) = job.failure.as_ref().filter(|_| job.state != State::Succeeded) {
        text += &format!("\n{}", format::failure(failure));
    }
    text
}
