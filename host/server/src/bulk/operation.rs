//! One bulk action: list some jobs, command them, pause, go on. Jobs that are deleted or cancelled are so in one step of the
//! storage for each chunk.

use std::{
    collections::HashSet,
    future::Future,
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures::stream::{self, StreamExt as _};
use tokio::sync::{Semaphore, watch};
use windlass_api::{
    BulkAction, BulkActionId, BulkActionRequest, BulkState, BulkVerb, FilteredCount, JobFilter, JobId, JobSummary,
    RequeueRequest, SkipReason, State, Timestamp,
};
use windlass_jobs::{
    Client, ClientError, Clock as _, SystemClock,
    storage::{Commanded, MAX_REMOVED_AT_ONCE, Removal, StorageError},
};

use crate::worker::Backoff;

/// How many jobs are taken at a time: what a stop waits for, and what other writes wait for at most.
const CHUNK: usize = MAX_REMOVED_AT_ONCE;

/// How many jobs are listed at a time where those before were all passed over.
const PASSED_OVER: usize = 1_000;

/// How many commands are under way at once: fewer than a host has connections to its storage, and enough for those that put what
/// comes together into one step.
const AT_ONCE: usize = 4;

/// A pause is as long as the work before it, so that half of the storage's time is left to others; but no shorter than
/// this, and no longer than `LONGEST_PAUSE`.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often something is tried while the storage is away: with growing pauses up to 5 s, some 30 s in all.
const TRIES: u32 = 12;

/// How many messages are kept of what went wrong.
const MAX_ERRORS: usize = 10;

/// One bulk action.
#[derive(Debug)]
pub(super) struct Operation {
    view: Mutex<BulkAction>,
    /// The jobs, where they were named.
    ids: Vec<JobId>,
    how: RequeueRequest,
    stop: watch::Sender<bool>,
}

/// What came of one job.
pub(super) enum Outcome {
    Done { pending: bool },
    Skipped(SkipReason),
    Failed(String),
}

impl Operation {
    pub(super) fn new(id: BulkActionId, request: BulkActionRequest, by: String, now: Timestamp) -> Self {
        let BulkActionRequest { action, mut filter, ids, limit, dry_run, fresh, newest } = request;
        let how = RequeueRequest { expected_state: filter.state, fresh, newest };
        let mut seen = HashSet::new();
        let ids: Vec<_> = ids.into_iter().filter(|id| seen.insert(*id)).collect();
        let named = (!ids.is_empty()).then(|| u32::try_from(ids.len()).unwrap_or(u32::MAX));
        if named.is_none() {
            // The list goes from new to old and so never comes to what is made later; this also keeps it out of the count.
            let made_by_now = now.plus_ms(1);
            filter.created_before = Some(filter.created_before.map_or(made_by_now, |before| before.min(made_by_now)));
        }
        let view = BulkAction {
            id,
            action,
            filter,
            named,
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
        Self { view: Mutex::new(view), ids, how, stop: watch::Sender::new(false) }
    }

    pub(super) fn view(&self) -> BulkAction {
        self.locked().clone()
    }

    pub(super) fn stop(&self) {
        let mut view = self.locked();
        if view.state == BulkState::Running {
            view.state = BulkState::Stopping;
            self.stop.send_replace(true);
        }
    }

    /// Its task is gone before its end.
    pub(super) fn broke_off(&self) {
        self.note_error("the host did something wrong; its log tells what".to_owned());
        let mut view = self.locked();
        (view.state, view.ended_at) = (BulkState::Failed, Some(SystemClock.now()));
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until it is told to stop.
    async fn stopped(&self) {
        // The sender is its own, and so is there.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Does all of it, each chunk when it is its turn.
    pub(super) async fn run(&self, client: &Client, turn: &Semaphore) {
        let state = match self.act(client, turn).await {
            Ok(state) => state,
            // It was waiting for a storage that is away.
            Err(_) if self.is_stopped() => BulkState::Stopped,
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

    async fn act(&self, client: &Client, turn: &Semaphore) -> Result<BulkState, ClientError> {
        let BulkAction { filter, limit, .. } = self.view();
        if filter.created_from >= filter.created_before && filter.created_from.is_some() {
            // It asks for what is made later only, and so for nothing.
            return Ok(BulkState::Finished);
        }
        let matched = match self.ids.len() as u64 {
            0 => self.matched(client).await?,
            named => FilteredCount { count: named, more: false },
        };
        self.locked().matched = Some(matched);
        let mut left = u64::from(limit);
        let mut listed = Listed::default();
        loop {
            // Kept through the pause, so that others do not fill it.
            let _turn = tokio::select! {
                biased;
                () = self.stopped() => return Ok(BulkState::Stopped),
                turn = turn.acquire() => turn,
            };
            let begun_at = Instant::now();
            let size = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            let (looked_at, is_last) = if self.ids.is_empty() {
                if listed.jobs.is_empty() {
                    self.list(client, &filter, size, &mut listed).await?;
                }
                let chunk = listed.jobs.drain(..size.min(listed.jobs.len())).collect::<Vec<_>>();
                let looked_at = chunk.len();
                self.carry_out(client, chunk).await?;
                (looked_at, listed.is_last && listed.jobs.is_empty())
            } else {
                let rest = &self.ids[usize::try_from(self.view().looked_at).unwrap_or_default().min(self.ids.len())..];
                let chunk = &rest[..size.min(rest.len())];
                self.carry_out_named(client, chunk).await?;
                (chunk.len(), chunk.len() == rest.len())
            };
            left = left.saturating_sub(looked_at as u64);
            if is_last {
                return Ok(BulkState::Finished);
            }
            if left == 0 {
                self.locked().limit_reached = true;
                return Ok(BulkState::Finished);
            }
            tokio::select! {
                () = tokio::time::sleep(begun_at.elapsed().clamp(SHORTEST_PAUSE, LONGEST_PAUSE)) => {}
                () = self.stopped() => {}
            }
        }
    }

    /// How many jobs there are to be acted on.
    async fn matched(&self, client: &Client) -> Result<FilteredCount, ClientError> {
        let (action, filter) = {
            let view = self.locked();
            (view.action, view.filter.clone())
        };
        let mut matched = FilteredCount { count: 0, more: false };
        for filter in BulkActionRequest::new(action, filter).countable() {
            matched = matched.and(self.patiently(|| client.count(&filter)).await?);
        }
        Ok(matched)
    }

    /// Lists jobs: where the filter names no state, without those that the action is not for.
    async fn list(
        &self,
        client: &Client,
        filter: &JobFilter,
        size: usize,
        listed: &mut Listed,
    ) -> Result<(), ClientError> {
        let size = if listed.passes_over { PASSED_OVER } else { size };
        let cursor = listed.cursor.take();
        let page = self.patiently(|| client.list(filter, cursor.as_deref(), size)).await?;
        let action = self.locked().action;
        let of_any_state = filter.state.is_none();
        listed.jobs = page.items.into_iter().filter(|job| !of_any_state || action.may_act_on(job.state)).collect();
        listed.passes_over = listed.jobs.is_empty();
        listed.is_last = page.next.is_none();
        listed.cursor = page.next;
        if page.damaged > 0 {
            let mut view = self.locked();
            view.looked_at += page.damaged;
            view.failed += page.damaged;
            drop(view);
            self.note_error(format!(
                "{} of the jobs were left out, since their records are damaged: `windlass check` names some",
                page.damaged
            ));
        }
        Ok(())
    }

    /// Commands jobs that were listed.
    async fn carry_out(&self, client: &Client, jobs: Vec<JobSummary>) -> Result<(), ClientError> {
        let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
        if self.removed(client, &ids).await? {
            return Ok(());
        }
        self.one_by_one(jobs.into_iter().map(|job| self.command(client, job)).collect()).await
    }

    /// Commands jobs that were named.
    async fn carry_out_named(&self, client: &Client, ids: &[JobId]) -> Result<(), ClientError> {
        if self.removed(client, ids).await? {
            return Ok(());
        }
        self.one_by_one(ids.iter().map(|id| self.command_named(client, *id)).collect()).await
    }

    /// Deletes or cancels jobs in one step. Gives whether that was done: it is not where something else is asked for, and where
    /// one of them cannot be read.
    async fn removed(&self, client: &Client, ids: &[JobId]) -> Result<bool, ClientError> {
        let (action, dry_run) = {
            let view = self.locked();
            (view.action, view.dry_run)
        };
        if dry_run || ids.is_empty() || action == BulkVerb::Requeue {
            return Ok(false);
        }
        let expected = self.how.expected_state;
        let how = Removal { deletes_ended: action == BulkVerb::Delete, expected_state: expected };
        // Where an answer was lost, the step may have been taken all the same.
        let tries = AtomicU32::new(0);
        let remove = || {
            tries.fetch_add(1, Ordering::Relaxed);
            client.remove_all(ids.to_vec(), how)
        };
        match self.patiently(remove).await {
            Ok(commanded) => {
                let is_repeat = tries.load(Ordering::Relaxed) > 1;
                commanded.into_iter().for_each(|commanded| self.count(outcome(&commanded, expected, is_repeat)));
                Ok(true)
            }
            Err(ClientError::Storage(error @ StorageError::Unavailable(_))) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// Carries out some commands, a few at a time.
    async fn one_by_one<F>(&self, commands: Vec<F>) -> Result<(), ClientError>
    where
        F: Future<Output = Result<Outcome, ClientError>>,
    {
        let mut outcomes = pin!(stream::iter(commands).buffer_unordered(AT_ONCE));
        while let Some(outcome) = outcomes.next().await {
            self.count(outcome?);
        }
        Ok(())
    }

    /// Commands a job by its id.
    async fn command_named(&self, client: &Client, id: JobId) -> Result<Outcome, ClientError> {
        let Some(detail) = self.patiently(|| client.get(id)).await? else {
            return Ok(Outcome::Skipped(SkipReason::Gone));
        };
        if self.how.expected_state.is_some_and(|expected| expected != detail.job.state) {
            return Ok(Outcome::Skipped(SkipReason::OtherState));
        }
        self.command(client, detail.job).await
    }

    /// Commands one job, where it is still in the state that the filter names.
    ///
    /// # Errors
    /// Where the storage is away for too long.
    pub(super) async fn command(&self, client: &Client, job: JobSummary) -> Result<Outcome, ClientError> {
        let (action, dry_run) = {
            let view = self.locked();
            (view.action, view.dry_run)
        };
        if dry_run {
            return Ok(would_be(action, job.state));
        }
        match self.commanded(client, action, &job).await {
            Err(ClientError::Storage(error @ StorageError::Unavailable(_))) => Err(error.into()),
            Err(error) => Ok(Outcome::Failed(format!("job {}: {error}", job.id))),
            outcome => outcome,
        }
    }

    async fn commanded(&self, client: &Client, action: BulkVerb, job: &JobSummary) -> Result<Outcome, ClientError> {
        let id = job.id;
        // A requeue looks at the state in the same step, and so at the one that was listed; the others are asked for without
        // one, and so what the filter names is read anew right before.
        let expected = if action == BulkVerb::Requeue { Some(job.state) } else { self.how.expected_state };
        if let Some(expected) = expected.filter(|_| action != BulkVerb::Requeue) {
            match self.patiently(|| client.get(id)).await? {
                Some(detail) if detail.job.state == expected => {}
                Some(_) => return Ok(Outcome::Skipped(SkipReason::OtherState)),
                None => return Ok(Outcome::Skipped(SkipReason::Gone)),
            }
        }
        // Where an answer was lost, the command may have been carried out all the same.
        let tries = AtomicU32::new(0);
        let repeats = || tries.fetch_add(1, Ordering::Relaxed) > 0;
        let commanded = match action {
            BulkVerb::Requeue => {
                self.patiently(|| {
                    let is_repeat = repeats();
                    async move {
                        if is_repeat && self.was_requeued(client, job).await? {
                            return Ok(Commanded::Done(State::Enqueued));
                        }
                        client.requeue(id, RequeueRequest { expected_state: expected, ..self.how }).await
                    }
                })
                .await?
            }
            BulkVerb::Delete => {
                let delete = || {
                    repeats();
                    client.delete(id)
                };
                self.patiently(delete).await?
            }
            BulkVerb::Cancel => {
                let cancel = || {
                    repeats();
                    client.cancel(id)
                };
                self.patiently(cancel).await?
            }
        };
        let is_repeat = tries.load(Ordering::Relaxed) > 1 && action != BulkVerb::Requeue;
        Ok(outcome(&commanded, expected, is_repeat))
    }

    /// Whether a requeue by the same caller has been carried out since the job ended as it was listed.
    async fn was_requeued(&self, client: &Client, job: &JobSummary) -> Result<bool, ClientError> {
        let Some(finished_at) = job.finished_at else { return Ok(false) };
        let by = self.locked().by.clone();
        let detail = client.get(job.id).await?;
        Ok(detail.is_some_and(|detail| {
            let mut lines = detail.history.iter();
            lines.any(|line| line.to == State::Enqueued && line.by == by && line.at >= finished_at)
        }))
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

    /// Tries again for a while where the storage is away, unless it is told to stop.
    async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::default();
        for _ in 1..TRIES {
            match attempt().await {
                Err(ClientError::Storage(StorageError::Unavailable(_))) if !self.is_stopped() => {
                    tokio::select! {
                        () = backoff.wait() => {}
                        () = self.stopped() => {}
                    }
                }
                outcome => return outcome,
            }
        }
        attempt().await
    }

    /// Held for short synchronous sections only.
    fn locked(&self) -> MutexGuard<'_, BulkAction> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that were listed and are still to be commanded.
#[derive(Debug, Default)]
struct Listed {
    jobs: Vec<JobSummary>,
    cursor: Option<String>,
    is_last: bool,
    /// Whether none of the last page was to be commanded.
    passes_over: bool,
}

/// What came of a command. One that was given again, since its answer was lost, may find that it was carried out.
fn outcome(commanded: &Commanded, expected: Option<State>, is_repeat: bool) -> Outcome {
    match commanded {
        Commanded::Done(_) => Outcome::Done { pending: false },
        Commanded::Refused(State::Deleted) if is_repeat => Outcome::Done { pending: false },
        Commanded::Requested(_) => Outcome::Done { pending: true },
        Commanded::Refused(state) if expected.is_some_and(|expected| expected != *state) => {
            Outcome::Skipped(SkipReason::OtherState)
        }
        Commanded::Refused(_) => Outcome::Skipped(SkipReason::NotAllowed),
        Commanded::Conflict(_) => Outcome::Skipped(SkipReason::NotUnique),
        Commanded::NotFound => Outcome::Skipped(SkipReason::Gone),
    }
}

/// What the command would do to a job in this state.
fn would_be(action: BulkVerb, state: State) -> Outcome {
    if !action.may_act_on(state) {
        return Outcome::Skipped(SkipReason::NotAllowed);
    }
    Outcome::Done { pending: state == State::Processing }
}
