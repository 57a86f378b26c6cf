//! Waiting for a job, and saying what became of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use windlass_api::{JobDetail, JobId, State};

use super::super::{Exit, format, output::Output, output::say};
use crate::remote::{Remote, RemoteError};

/// As long as a host holds a request back.
const LONG_POLL: Duration = Duration::from_secs(60);

/// The job when it has ended, or as it is when the time is over.
pub(in super::super) async fn wait(remote: &Remote, id: JobId, longest: Option<Duration>) -> anyhow::Result<JobDetail> {
    let begun_at = Instant::now();
    // A first look without waiting tells whether there is a host at all, and the job.
    let mut detail = remote.wait(id, Duration::ZERO).await.with_context(|| format!("failed to wait for job {id}"))?;
    loop {
        if detail.job.state.is_final() {
            return Ok(detail);
        }
        let left = longest.map_or(LONG_POLL, |longest| longest.saturating_sub(begun_at.elapsed()));
        detail = remote.wait(id, left).await.map_err(|error| stopped(id, error))?;
        if detail.job.state.is_final() || left.is_zero() {
            return Ok(detail);
        }
    }
}

/// A host that answered before and does not answer now has stopped, or was cut off.
fn stopped(id: JobId, error: RemoteError) -> anyhow::Error {
    let failed = format!("failed to wait for job {id}");
    match error {
        RemoteError::Unreachable { url, reason } => anyhow::anyhow!(
            "{failed}: the host at {url} stopped meanwhile, or cannot be reached any more ({reason}); the job is kept in its \
             storage: wait again with `windlass jobs wait {id}` when a host runs"
        ),
        error => anyhow::Error::new(error).context(failed),
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const RUNNING: &str = r#"{"job":{"id":"0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55","module":"a","handler":"b","mode":"sync",
        "queue":"default","priority":5,"state":"processing","attempt":1,"max_attempts":1,"run":1,
        "created_at":"2026-11-23T15:49:53.120Z"},"payload":null,"retry":{"kind":"fixed","delay_ms":1},"history":[]}"#;

    #[tokio::test]
    async fn a_wait_that_the_host_breaks_off_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = Remote::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let host = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{RUNNING}", RUNNING.len());
            connection.write_all(answer.as_bytes()).await.unwrap();
            // The second question comes on the same connection, and is not answered.
            assert!(connection.read(&mut request).await.unwrap() > 0);
            drop((connection, listener));
        };
        let id = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55".parse().unwrap();
        let (waited, ()) = tokio::join!(wait(&remote, id, None), host);
        let said = waited.unwrap_err().to_string();
        assert!(said.contains("stopped meanwhile") && said.contains("`windlass jobs wait"), "{said}");
    }
}
