//! Commands on many jobs: the host does them in the background, and this shows how far it is.

use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use tokio::signal::unix::{Signal, SignalKind, signal};
use windlass_api::{BulkAction, BulkActionId, BulkActionRequest, BulkState, FilteredCount, JobId};

use super::{
    super::{Exit, Global, format, output::say, progress},
    chosen::Like,
    list::counted,
    question,
    summary::summary,
};
use crate::remote::Remote;

/// How often the host is asked how far it is: often enough for a bar that moves.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How many messages are kept of what went wrong, as many as of one bulk action.
const MAX_ERRORS: usize = 10;

/// All jobs that pass a filter. They are counted first, and nothing is done that nobody has agreed to.
pub(super) async fn like(request: BulkActionRequest, like: &Like, global: &Global) -> anyhow::Result<Exit> {
    let (remote, verb) = (global.remote()?, request.action);
    let request = BulkActionRequest { limit: like.limit, ..request };
    let mut count = FilteredCount { count: 0, more: false };
    for filter in request.countable() {
        count = count.and(remote.count(&filter).await?);
    }
    let limited =
        like.limit.map_or_else(String::new, |limit| format!(", of which at most {}", format::count(limit.into())));
    say(&format!("{} jobs pass the filter{limited}", counted(&count)));
    if !like.is_agreed && !question::is_agreed(&format!("{verb} them?"))? {
        say(&format!("nothing was done: add --yes to {verb} them"));
        return Ok(Exit::Failed);
    }
    let most = u64::from(request.limit.unwrap_or(BulkActionRequest::MAX_LIMIT));
    let mut following = Following::new(remote, (!count.more).then_some(count.count.min(most)))?;
    let Some(action) = following.carry_out(&request).await? else { return Ok(Exit::Failed) };
    following.bar.finish_and_clear();
    global.output().show(&action, summary)?;
    Ok(told(&action))
}

/// Jobs by their ids, in as many bulk actions as it takes.
pub(super) async fn named(request: &BulkActionRequest, ids: &[JobId], global: &Global) -> anyhow::Result<Exit> {
    let output = global.output();
    let mut following = Following::new(global.remote()?, Some(ids.len() as u64))?;
    let mut all: Option<BulkAction> = None;
    for ids in ids.chunks(BulkActionRequest::MAX_IDS) {
        let request = BulkActionRequest { ids: ids.to_vec(), ..request.clone() };
        let Some(action) = following.carry_out(&request).await? else { return Ok(Exit::Failed) };
        if output.is_json() {
            output.show(&action, summary)?;
        }
        let state = action.state;
        all = Some(match all {
            Some(before) => together(before, action),
            None => action,
        });
        if state != BulkState::Finished {
            break;
        }
    }
    following.bar.finish_and_clear();
    let Some(all) = all else { return Ok(Exit::Fine) };
    if !output.is_json() {
        output.show(&all, summary)?;
    }
    Ok(told(&all))
}

/// What two bulk actions came to, one after the other.
fn together(before: BulkAction, after: BulkAction) -> BulkAction {
    let mut skipped = before.skipped;
    for (reason, jobs) in after.skipped {
        *skipped.entry(reason).or_default() += jobs;
    }
    BulkAction {
        looked_at: before.looked_at + after.looked_at,
        done: before.done + after.done,
        pending: before.pending + after.pending,
        skipped,
        failed: before.failed + after.failed,
        errors: before.errors.into_iter().chain(after.errors).take(MAX_ERRORS).collect(),
        started_at: before.started_at,
        ..after
    }
}

/// Says what went wrong, if anything did.
fn told(action: &BulkAction) -> Exit {
    for error in &action.errors {
        say(&format!("error: {error}"));
    }
    let is_fine = action.state == BulkState::Finished && action.failed == 0;
    if is_fine { Exit::Fine } else { Exit::Failed }
}

/// Bulk actions on a host, followed one after the other.
struct Following {
    remote: Remote,
    interrupts: Signal,
    bar: ProgressBar,
    /// How many jobs those before have looked at, and for how many the command was taken.
    before: (u64, u64),
}

impl Following {
    fn new(remote: Remote, jobs: Option<u64>) -> anyhow::Result<Self> {
        let interrupts = signal(SignalKind::interrupt()).context("failed to listen for signals")?;
        Ok(Self { remote, interrupts, bar: progress::bar(jobs), before: (0, 0) })
    }

    /// Begins one and waits for its end; nothing where whoever waits no longer wants to.
    async fn carry_out(&mut self, request: &BulkActionRequest) -> anyhow::Result<Option<BulkAction>> {
        let Self { remote, interrupts, bar, before } = self;
        let begun = remote.start_bulk_action(request).await;
        let mut action = begun.with_context(|| format!("failed to {} jobs", request.action))?;
        let id = action.id;
        let unknown = || format!("failed to hear of the bulk action {id}, which may go on on the host");
        let mut is_asked_to_stop = false;
        while !action.state.is_final() {
            let look = async {
                tokio::time::sleep(LOOK_EVERY).await;
                remote.bulk_action(id).await
            };
            let heard = tokio::select! {
                looked = look => looked,
                _ = interrupts.recv() => {
                    if is_asked_to_stop {
                        return Ok(left_alone(id));
                    }
                    // It ends after the jobs that it is at, and this waits for it; but not against the viewer's will.
                    is_asked_to_stop = true;
                    tokio::select! {
                        stopping = remote.stop_bulk_action(id) => stopping,
                        _ = interrupts.recv() => return Ok(left_alone(id)),
                    }
                }
            };
            action = heard.with_context(unknown)?;
            bar.set_position(before.0 + action.looked_at);
            bar.set_message(format!("{} done", format::count(before.1 + action.done)));
        }
        *before = (before.0 + action.looked_at, before.1 + action.done);
        Ok(Some(action))
    }
}

fn left_alone(id: BulkActionId) -> Option<BulkAction> {
    say(&format!("not waited for: the bulk action {id} may go on on the host; GET /api/v1/bulk-actions/{id} tells"));
    None
}
