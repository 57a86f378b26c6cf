//! One bulk action: list some jobs, command each, pause, go on.

use std::{
    future::Future,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::stream::{self, StreamExt as _};
use windlass_api::{
    BulkAction, BulkActionId, BulkActionRequest, BulkState, BulkVerb, JobSummary, RequeueRequest, SkipReason, State,
    Timestamp,
};
use windlass_jobs::{
    Client, ClientError, Clock as _, SystemClock,
    storage::{Commanded, StorageError},
};

use crate::worker::Backoff;

/// How many jobs are taken at a time: what a stop waits for, and what other writes wait for at most.
const CHUNK: u64 = 100;

/// How many commands are under way at once. Storages put what comes together into one step.
const AT_ONCE: usize = 16;

/// A pause is as long as the work before it, so that half of the storage's time is left to others; but no shorter than
/// this, and no longer than `LONGEST_PAUSE`.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often something is tried while the storage is away: with growing pauses up to 5 s, some 30 s in all.
const TRIES: u32 = 12;

/// How many messages are kept of what went wrong.
const MAX_ERRORS: usize = 10;

/// One bulk action.
#[derive(Debug)]
pub(super) struct Operation {
    view: Mutex<BulkAction>,
    how: RequeueRequest,
    stopped: AtomicBool,
}

/// What came of one job.
pub(super) enum Outcome {
    Done { pending: bool },
    Skipped(SkipReason),
    Failed(String),
}

impl Operation {
    pub(super) fn new(id: BulkActionId, request: BulkActionRequest, by: String, now: Timestamp) -> Self {
        let BulkActionRequest { action, mut filter, limit, dry_run, fresh, newest } = request;
        let how = RequeueRequest { expected_state: filter.state, fresh, newest };
        // The list goes from new to old and so never comes to what is made later; this also keeps it out of the count.
        let made_by_now = now.plus_ms(1);
        filter.created_before = Some(filter.created_before.map_or(made_by_now, |before| before.min(made_by_now)));
        let view = BulkAction {
            id,
            action,
            filter,
            limit: limit.unwrap_or(BulkActionRequest::MAX_LIMIT),
            dry_run,
            by,
            state: BulkState::Running,
            matched: None,
            looked_at: 0,
            done: 0,
            pending: 0,
            skipped: std::collections::BTreeMap::new(),
            failed: 0,
            errors: Vec::new(),
            limit_reached: false,
            started_at: now,
            ended_at: None,
        };
        Self { view: Mutex::new(view), how, stopped: AtomicBool::new(false) }
    }

    pub(super) fn view(&self) -> BulkAction {
        self.locked().clone()
    }

    pub(super) fn stop(&self) {
        let mut view = self.locked();
        if view.state == BulkState::Running {
            view.state = BulkState::Stopping;
            self.stopped.store(true, Ordering::Release);
        }
    }

    /// Does all of it.
    pub(super) async fn run(&self, client: &Client) {
        let state = match self.act(client).await {
            Ok(state) => state,
            Err(error) => {
                self.note_error(error.to_string());
                BulkState::Failed
            }
        };
        let mut view = self.locked();
        view.state = state;
        view.ended_at = Some(SystemClock.now());
        tracing::info!(id = %view.id, action = %view.action, %state, done = view.done, skipped = ?view.skipped, failed = view.failed, "a bulk action has ended");
    }

    async fn act(&self, client: &Client) -> Result<BulkState, ClientError> {
        let BulkAction { filter, limit, .. } = self.view();
        if filter.created_from >= filter.created_before && filter.created_from.is_some() {
            // It asks for what is made later only, and so for nothing.
            return Ok(BulkState::Finished);
        }
        let matched = patiently(|| client.count(&filter)).await?;
        self.locked().matched = Some(matched);
        let (mut cursor, mut left) = (None::<String>, u64::from(limit));
        loop {
            if self.stopped.load(Ordering::Acquire) {
                return Ok(BulkState::Stopped);
            }
            let begun_at = Instant::now();
            let size = usize::try_from(CHUNK.min(left)).unwrap_or(1);
            let page = patiently(|| client.list(&filter, cursor.as_deref(), size)).await?;
            left = left.saturating_sub(page.items.len() as u64);
            let commands: Vec<_> = page.items.into_iter().map(|job| self.command(client, job)).collect();
            let mut outcomes = stream::iter(commands).buffer_unordered(AT_ONCE);
            while let Some(outcome) = outcomes.next().await {
                self.count(outcome);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(BulkState::Finished);
            }
            if left == 0 {
                self.locked().limit_reached = true;
                return Ok(BulkState::Finished);
            }
            tokio::time::sleep(begun_at.elapsed().clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
        }
    }

    /// Commands one job, where it is still in the state that the filter names.
    pub(super) async fn command(&self, client: &Client, job: JobSummary) -> Outcome {
        let (action, dry_run) = {
            let view = self.locked();
            (view.action, view.dry_run)
        };
        if dry_run {
            return would_be(action, job.state);
        }
        let (id, expected) = (job.id, self.how.expected_state);
        // A requeue looks at the state in the same step; the others are asked for without one, and so it is read anew
        // right before.
        if let Some(expected) = expected.filter(|_| action != BulkVerb::Requeue) {
            match patiently(|| client.get(id)).await {
                Ok(Some(detail)) if detail.job.state == expected => {}
                Ok(Some(_)) => return Outcome::Skipped(SkipReason::OtherState),
                Ok(None) => return Outcome::Skipped(SkipReason::Gone),
                Err(error) => return Outcome::Failed(format!("job {id}: {error}")),
            }
        }
        let commanded = match action {
            BulkVerb::Requeue => patiently(|| client.requeue(id, self.how)).await,
            BulkVerb::Delete => patiently(|| client.delete(id)).await,
            BulkVerb::Cancel => patiently(|| client.cancel(id)).await,
        };
        match commanded {
            Ok(Commanded::Done(_)) => Outcome::Done { pending: false },
            Ok(Commanded::Requested(_)) => Outcome::Done { pending: true },
            Ok(Commanded::Refused(state)) if expected.is_some_and(|expected| expected != state) => {
                Outcome::Skipped(SkipReason::OtherState)
            }
            Ok(Commanded::Refused(_)) => Outcome::Skipped(SkipReason::NotAllowed),
            Ok(Commanded::NotFound) => Outcome::Skipped(SkipReason::Gone),
            Err(error) => Outcome::Failed(format!("job {id}: {error}")),
        }
    }

    fn count(&self, outcome: Outcome) {
        let mut view = self.locked();
        view.looked_at += 1;
        match outcome {
            Outcome::Done { pending } => {
                view.done += 1;
                view.pending += u64::from(pending);
            }
            Outcome::Skipped(reason) => *view.skipped.entry(reason).or_default() += 1,
            Outcome::Failed(error) => {
                view.failed += 1;
                drop(view);
                self.note_error(error);
            }
        }
    }

    fn note_error(&self, error: String) {
        let mut view = self.locked();
        if view.errors.len() < MAX_ERRORS {
            view.errors.push(error);
        }
    }

    /// Held for short synchronous sections only.
    fn locked(&self) -> MutexGuard<'_, BulkAction> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the command would do to a job in this state.
fn would_be(action: BulkVerb, state: State) -> Outcome {
    let is_allowed = match action {
        BulkVerb::Requeue => !matches!(state, State::Enqueued | State::Processing),
        BulkVerb::Delete => state != State::Deleted,
        BulkVerb::Cancel => !state.is_final(),
    };
    if !is_allowed {
        return Outcome::Skipped(SkipReason::NotAllowed);
    }
    Outcome::Done { pending: state == State::Processing }
}

/// Tries again for a while where the storage is away.
async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut backoff = Backoff::default();
    for _ in 1..TRIES {
        match attempt().await {
            Err(ClientError::Storage(StorageError::Unavailable(_))) => backoff.wait().await,
            outcome => return outcome,
        }
    }
    attempt().await
}
