//! What the jobs of a module log and how they end, as it happens.

use std::{collections::HashMap, time::Duration};

use anyhow::Context as _;
use serde::Serialize;
use windlass_api::{JobFilter, JobId, JobSummary, LogLine, ModuleName, State};

use super::super::{
    format,
    output::{Output, say},
};
use crate::remote::Remote;

/// Of how many jobs something is told: the newest.
const JOBS: u32 = 200;

/// The most lines that a host gives at once.
const LINES: u32 = 1_000;

/// How soon a line is told after it was written, at the latest, while a job runs: events tell of states alone.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// How much of a result is shown, in characters.
const LONGEST_RESULT: usize = 500;

/// Tells them until the host is gone, and then gives why.
pub(super) async fn tell(remote: Remote, module: ModuleName, output: Output) -> anyhow::Error {
    let mut tail = Tail { remote, module, output, followed: HashMap::new() };
    match tail.go_on().await {
        Err(error) => error.context("failed to follow the jobs"),
        Ok(never) => match never {},
    }
}

struct Tail {
    remote: Remote,
    module: ModuleName,
    output: Output,
    followed: HashMap<JobId, Followed>,
}

/// What was told of a job.
#[derive(Debug, Default)]
struct Followed {
    /// Where its log goes on.
    cursor: Option<String>,
    /// The run with which it ended, where it did: a requeued job runs again.
    ended_with: Option<u32>,
}

/// A line, for programs.
#[derive(Serialize)]
struct Line<'a> {
    job: JobId,
    handler: &'a str,
    #[serde(flatten)]
    line: &'a LogLine,
}

impl Tail {
    async fn go_on(&mut self) -> anyhow::Result<std::convert::Infallible> {
        // Before the first look, so that nothing falls between.
        let mut events = self.remote.events(&[]).await?;
        let mut is_first = true;
        loop {
            let is_busy = self.look(is_first).await?;
            is_first = false;
            tokio::select! {
                change = events.next() => drop(change?),
                () = tokio::time::sleep(LOOKED_FOR_EVERY), if is_busy => {}
            }
        }
    }

    /// Tells what is new, but for what was there before the first look. Gives whether a job runs.
    async fn look(&mut self, is_first: bool) -> anyhow::Result<bool> {
        let filter = JobFilter { module: Some(self.module.clone()), ..JobFilter::default() };
        let jobs = self.remote.list(&filter, None, JOBS).await?.items;
        self.followed.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        // Oldest first, as it happened.
        for job in jobs.iter().rev() {
            let ended_with = job.state.is_final().then_some(job.run);
            let followed = self.followed.entry(job.id).or_default();
            if ended_with.is_some() && (is_first || followed.ended_with == ended_with) {
                followed.ended_with = ended_with;
                continue;
            }
            followed.ended_with = ended_with;
            self.tell_lines(job, is_first).await?;
            if ended_with.is_some() {
                self.tell_end(job).await?;
            }
        }
        Ok(jobs.iter().any(|job| job.state == State::Processing))
    }

    async fn tell_lines(&mut self, job: &JobSummary, is_silent: bool) -> anyhow::Result<()> {
        let Some(followed) = self.followed.get_mut(&job.id) else { return Ok(()) };
        loop {
            let page = self.remote.logs(job.id, followed.cursor.as_deref(), LINES).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            followed.cursor = Some(page.next.context("the host gave no cursor to read on with")?);
            for line in page.items.iter().filter(|_| !is_silent) {
                self.output.show(&Line { job: job.id, handler: job.handler.as_str(), line }, text)?;
            }
        }
    }

    async fn tell_end(&self, job: &JobSummary) -> anyhow::Result<()> {
        let told = match job.state {
            State::Succeeded => {
                let result = self.remote.get(job.id).await?.result;
                result
                    .map(|result| format!(": {}", format::one_line(result.as_str(), LONGEST_RESULT)))
                    .unwrap_or_default()
            }
            _ => job.failure.as_ref().map(|failure| format!(": {}", format::failure(failure))).unwrap_or_default(),
        };
        say(&format!(
            "{} {} {}, attempt {} of {}{told}",
            job.handler, job.id, job.state, job.attempt, job.max_attempts
        ));
        Ok(())
    }
}

fn text(told: &Line<'_>) -> String {
    let Line { job, handler, line } = told;
    let fields = line.fields.as_ref().map(|fields| format!(" {}", fields.as_str())).unwrap_or_default();
    let said = format::harmless(&format!("{}{fields}", line.message));
    format!("{} {handler} {job} run {} {:5} {said}", line.at, line.run, line.level)
}
