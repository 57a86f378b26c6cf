//! One job: what is known of it, its logs as they grow, its life as a timeline, and what may be done with it.

use windlass_api::{
    Failure, HandlerPath, HistoryLine, JobDetail, JobRequest, Json, LogLine, Page, State, Timestamp, Usage,
};

use super::Loaded;
use crate::trouble::Trouble;

/// What may be done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Enqueue it again, on the version that it started with.
    Requeue,
    /// Enqueue it again, on the version that is active now.
    RequeueNewest,
    /// Stop it.
    Cancel,
    /// Delete it.
    Delete,
}

impl Action {
    /// All of them, in the order of their buttons.
    pub const ALL: [Self; 4] = [Self::Requeue, Self::RequeueNewest, Self::Cancel, Self::Delete];

    /// Whether a job of this state can be treated so.
    #[must_use]
    pub const fn fits(self, state: State) -> bool {
        match self {
            Self::Requeue | Self::RequeueNewest => !matches!(state, State::Enqueued | State::Processing),
            Self::Cancel => matches!(state, State::Processing),
            Self::Delete => !matches!(state, State::Processing | State::Deleted),
        }
    }

    /// What its button says. A failed job is retried, any other is enqueued again.
    #[must_use]
    pub const fn label(self, state: Option<State>) -> &'static str {
        match (self, state) {
            (Self::Requeue, Some(State::Scheduled | State::Awaiting)) => "Run now",
            (Self::Requeue, Some(State::Failed) | None) => "Retry",
            (Self::Requeue, _) => "Run again",
            (Self::RequeueNewest, _) => "Run on newest version",
            (Self::Cancel, _) => "Cancel",
            (Self::Delete, _) => "Delete",
        }
    }

    /// What was done, for the result.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Requeue => "enqueued again",
            Self::RequeueNewest => "enqueued again on the newest version",
            Self::Cancel => "cancelled",
            Self::Delete => "deleted",
        }
    }

    /// Whether something is lost by it, so that it is asked for first.
    #[must_use]
    pub const fn destroys(self) -> bool {
        matches!(self, Self::Cancel | Self::Delete)
    }
}

/// The logs of a job. The last page is read again and again, since lines are added to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs {
    settled: Vec<LogLine>,
    tail: Vec<LogLine>,
    /// Where the last page begins.
    pub cursor: Option<String>,
    /// Why they could not be read.
    pub trouble: Option<Trouble>,
    /// Whether an answer has come.
    pub is_there: bool,
}

impl Logs {
    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.settled.len() + self.tail.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &LogLine> {
        self.settled.iter().chain(&self.tail)
    }

    /// Takes the page that begins at `cursor`. Gives whether there is another one to be read at once.
    pub fn take(&mut self, cursor: Option<&str>, answer: Result<Page<LogLine>, Trouble>) -> bool {
        if cursor != self.cursor.as_deref() {
            return false;
        }
        match answer {
            Ok(page) => {
                (self.is_there, self.trouble) = (true, None);
                match page.next {
                    // A job that may yet write has a next page always; an empty one says that there is nothing so far.
                    Some(next) => {
                        let has_lines = !page.items.is_empty();
                        self.settled.extend(page.items);
                        self.tail.clear();
                        self.cursor = Some(next);
                        has_lines
                    }
                    None => {
                        self.tail = page.items;
                        false
                    }
                }
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                false
            }
        }
    }
}

/// The page of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobModel {
    /// The job.
    pub detail: Loaded<JobDetail>,
    /// Its logs.
    pub logs: Logs,
}

impl JobModel {
    /// Takes what the host says of the job. A job that is gone stays on the page as it was last seen.
    pub fn take(&mut self, answer: Result<JobDetail, Trouble>) {
        self.detail.take(answer);
    }

    /// Whether it is still worth asking about.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.detail.trouble.as_ref().is_some_and(Trouble::is_not_found)
    }

    /// Whether its logs may grow from one second to the next.
    #[must_use]
    pub fn may_write(&self) -> bool {
        let runs = self.detail.value.as_ref().is_none_or(|detail| detail.job.state == State::Processing);
        runs || !self.logs.is_there
    }
}

/// A step of a job's life, as the timeline shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What happened.
    pub line: HistoryLine,
    /// How long it stayed so; absent on the last step.
    pub lasted_ms: Option<u64>,
}

/// The timeline, newest first.
#[must_use]
pub fn timeline(history: &[HistoryLine]) -> Vec<Step> {
    let next = history.iter().skip(1).map(Some).chain([None]);
    let steps = history
        .iter()
        .zip(next)
        .map(|(line, next)| Step { line: line.clone(), lasted_ms: next.map(|next| next.at.ms_since(line.at)) });
    let mut steps: Vec<_> = steps.collect();
    steps.reverse();
    steps
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub number: u32,
    /// The attempt that it was.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended and what the job became; absent while it runs.
    pub ended: Option<(Timestamp, State)>,
    /// Why the job became that, in a word.
    pub reason: Option<String>,
    /// Who ran it.
    pub by: String,
    /// What it used.
    pub usage: Option<Usage>,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
}

/// The runs, newest first.
#[must_use]
pub fn runs(history: &[HistoryLine]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for line in history {
        let Some(number) = line.run else { continue };
        match runs.iter_mut().find(|run| run.number == number) {
            Some(run) => {
                run.ended = Some((line.at, line.to));
                run.reason.clone_from(&line.reason);
                run.usage = line.usage;
                run.failure.clone_from(&line.failure);
            }
            None => runs.push(Run {
                number,
                attempt: line.attempt.unwrap_or_default(),
                started_at: line.at,
                ended: None,
                reason: None,
                by: line.by.clone(),
                usage: None,
                failure: None,
            }),
        }
    }
    runs.reverse();
    runs
}

/// The same job, to be asked for again with another payload.
#[must_use]
pub fn again(detail: &JobDetail, payload: Json) -> JobRequest {
    let job = &detail.job;
    let handler = HandlerPath { module: job.module.clone(), handler: job.handler.clone() };
    JobRequest {
        queue: Some(job.queue.clone()),
        priority: Some(job.priority),
        max_attempts: Some(job.max_attempts),
        retry: Some(detail.retry.clone()),
        timeout_ms: detail.timeout_ms,
        tags: job.tags.clone(),
        headers: detail.headers.clone(),
        limit_key: detail.limit_key.clone(),
        ..JobRequest::new(handler, payload)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use windlass_api::{JobId, JobSummary, LogLevel, Mode};

    use super::*;

    pub(crate) fn summary(number: u128, state: State) -> JobSummary {
        let id: JobId = format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", 0, 0, 0, 0, number).parse().unwrap();
        JobSummary {
            id,
            module: "m".parse().unwrap(),
            handler: "h".parse().unwrap(),
            mode: Mode::Sync,
            queue: "default".parse().unwrap(),
            priority: 5,
            state,
            reason: None,
            attempt: 0,
            max_attempts: 10,
            run: 0,
            tags: Vec::new(),
            created_at: Timestamp(0),
            run_at: None,
            started_at: None,
            finished_at: None,
            server: None,
            version: None,
            cancel_requested: false,
            held_by: None,
            progress: None,
            usage: None,
            failure: None,
        }
    }

    fn line(from: Option<State>, to: State, at: i64, run: Option<u32>) -> HistoryLine {
        HistoryLine {
            from,
            to,
            at: Timestamp(at),
            by: "server x".to_owned(),
            reason: None,
            run,
            attempt: run,
            usage: None,
            failure: None,
        }
    }

    fn life() -> Vec<HistoryLine> {
        vec![
            line(None, State::Enqueued, 1_000, None),
            line(Some(State::Enqueued), State::Processing, 1_500, Some(1)),
            line(Some(State::Processing), State::Scheduled, 3_500, Some(1)),
            line(Some(State::Scheduled), State::Enqueued, 18_500, None),
            line(Some(State::Enqueued), State::Processing, 18_600, Some(2)),
        ]
    }

    #[test]
    fn the_timeline_tells_how_long_each_state_lasted() {
        let steps = timeline(&life());
        let told: Vec<_> = steps.iter().map(|step| (step.line.to, step.lasted_ms)).collect();
        assert_eq!(told[0], (State::Processing, None));
        assert_eq!(told[2], (State::Scheduled, Some(15_000)));
        assert_eq!(told[4], (State::Enqueued, Some(500)));
    }

    #[test]
    fn runs_have_a_beginning_and_an_end() {
        let runs = runs(&life());
        assert_eq!(runs.iter().map(|run| run.number).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(runs[0].ended, None);
        assert_eq!(runs[1].ended, Some((Timestamp(3_500), State::Scheduled)));
    }

    fn lines(from: u32, to: u32) -> Vec<LogLine> {
        let line = |number| LogLine {
            run: 1,
            at: Timestamp(0),
            level: LogLevel::Info,
            message: format!("{number}"),
            fields: None,
        };
        (from..to).map(line).collect()
    }

    #[test]
    fn logs_grow_without_repeating_a_line() {
        let mut logs = Logs::default();
        let page = |from, to, next: Option<&str>| Ok(Page::new(lines(from, to), next.map(str::to_owned)));
        assert!(logs.take(None, page(0, 3, Some("3"))));
        assert!(!logs.take(Some("3"), page(3, 4, None)));
        assert!(!logs.take(Some("3"), page(3, 6, None)));
        assert!(!logs.take(None, page(0, 3, Some("3"))), "an answer that comes late changes nothing");
        assert!(logs.take(Some("3"), page(3, 6, Some("6"))));
        assert!(!logs.take(Some("6"), page(6, 7, None)));
        assert_eq!(logs.lines().map(|line| line.message.clone()).collect::<Vec<_>>().join(" "), "0 1 2 3 4 5 6");
    }

    #[test]
    fn a_job_that_has_written_nothing_so_far_is_not_asked_again_at_once() {
        let mut logs = Logs::default();
        let page = |from, to, next: &str| Ok(Page::new(lines(from, to), Some(next.to_owned())));
        assert!(!logs.take(None, page(0, 0, "0")));
        assert!(logs.take(Some("0"), page(0, 2, "2")));
        assert!(!logs.take(Some("2"), page(2, 2, "2")));
        assert_eq!(logs.len(), 2);
    }

    #[test]
    fn what_is_offered_is_what_the_host_allows() {
        let offered = |state| Action::ALL.into_iter().filter(|action| action.fits(state)).collect::<Vec<_>>();
        assert_eq!(offered(State::Processing), [Action::Cancel]);
        assert_eq!(offered(State::Enqueued), [Action::Delete]);
        assert_eq!(offered(State::Deleted), [Action::Requeue, Action::RequeueNewest]);
        assert_eq!(offered(State::Failed), [Action::Requeue, Action::RequeueNewest, Action::Delete]);
    }

    #[test]
    fn a_job_that_is_gone_stays_as_it_was_last_seen_and_is_not_asked_for_again() {
        let detail = JobDetail {
            job: summary(1, State::Succeeded),
            payload: Json::null(),
            headers: Default::default(),
            retry: Default::default(),
            timeout_ms: None,
            result: None,
            after: None,
            unique: None,
            expires_at: None,
            limit_key: None,
            removed_at: None,
            history: life(),
        };
        let mut model = JobModel::default();
        model.take(Ok(detail.clone()));
        assert!(model.may_write(), "its logs are not there yet");
        model.logs.is_there = true;
        assert!(!model.may_write());
        model.take(Err(Trouble::Unreachable));
        assert!(model.is_live());
        let gone = windlass_api::Problem::new(windlass_api::ProblemCode::NotFound, "there is no job");
        model.take(Err(Trouble::Problem(gone)));
        assert_eq!((model.is_live(), model.detail.value), (false, Some(detail)));
    }
}
