//! Commands on all jobs that pass a filter: the host does them in the background, and this shows how far it is.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use windlass_api::{BulkAction, BulkActionId, BulkActionRequest, BulkState, JobFilter, JobId, SkipReason};

use super::{
    super::{Exit, Global, exit::Usage, format, output::say, progress},
    filter::Filter,
    list::counted,
};

/// How often the host is asked how far it is: often enough for a bar that moves.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) const HELP: &str = "\
Without ids, the options of `windlass jobs list` choose the jobs: how many they are is printed, and with --yes it is done. The
host does it in the background and spares other work; only jobs that were made before are touched, and where --state is given
only those that are still in it. Ctrl-C stops it after the jobs that it is at, a second one no longer waits for that.

Examples:
  windlass jobs requeue --state failed --handler images/thumbnail --from 2h --yes
  windlass jobs delete --state succeeded --before 2026-11-01 --yes
  windlass jobs cancel --queue mail";

/// The jobs that a command is for.
#[derive(Args, Debug)]
#[group(skip)]
pub(in super::super) struct Chosen {
    /// The jobs; or options that choose them.
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: Filter,
    /// Do it for all jobs that the options choose.
    #[arg(long, help_heading = "Many jobs")]
    yes: bool,
    /// Do it for no more jobs than this, 1 to 100,000, the newest first.
    #[arg(long, value_name = "N", help_heading = "Many jobs", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: Option<u32>,
}

/// Which jobs were meant.
pub(super) enum Jobs {
    Named(Vec<JobId>),
    Like(Like),
}

/// All jobs that pass a filter, to a limit.
pub(super) struct Like {
    pub(super) filter: JobFilter,
    is_agreed: bool,
    limit: Option<u32>,
}

impl Chosen {
    /// Either ids or options that choose.
    pub(super) fn read(self, verb: &str) -> Result<Jobs, Usage> {
        let Self { ids, filter, yes, limit } = self;
        let filter = filter.read()?;
        let has_filter = filter != JobFilter::default();
        match (ids.is_empty(), has_filter) {
            (false, true) => {
                Err(Usage(format!("failed to {verb} jobs: give their ids or options that choose them, not both")))
            }
            (true, false) => Err(Usage(format!(
                "failed to {verb} jobs: give their ids, or options that choose them such as --state failed; see `windlass \
                 jobs {verb} --help`"
            ))),
            (false, false) if yes || limit.is_some() => {
                Err(Usage("--yes and --limit go with options that choose jobs, not with ids".to_owned()))
            }
            (false, false) => Ok(Jobs::Named(ids)),
            (true, true) => Ok(Jobs::Like(Like { filter, is_agreed: yes, limit })),
        }
    }
}

pub(super) async fn run(request: BulkActionRequest, like: &Like, global: &Global) -> anyhow::Result<Exit> {
    let (remote, output, verb) = (global.remote()?, global.output(), request.action);
    let request = BulkActionRequest { limit: like.limit, ..request };
    let count = remote.count(&request.filter).await?;
    let limited =
        like.limit.map_or_else(String::new, |limit| format!(", of which at most {}", format::count(limit.into())));
    say(&format!("{} jobs pass the filter{limited}", counted(&count)));
    if !like.is_agreed {
        say(&format!("nothing was done: add --yes to {verb} them"));
        return Ok(Exit::Failed);
    }
    let begun = remote.start_bulk_action(&request).await.with_context(|| format!("failed to {verb} jobs"))?;
    let length = count.count.min(u64::from(begun.limit));
    let bar = progress::bar((!count.more).then_some(length));
    let mut action = begun;
    let id = action.id;
    let unknown = || format!("failed to hear of the bulk action {id}, which may go on on the host");
    let mut interrupts = signal(SignalKind::interrupt()).context("failed to listen for signals")?;
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
        bar.set_position(action.looked_at);
        bar.set_message(format!("{} done", format::count(action.done)));
    }
    bar.finish_and_clear();
    output.show(&action, summary)?;
    for error in &action.errors {
        say(&format!("error: {error}"));
    }
    let is_fine = action.state == BulkState::Finished && action.failed == 0;
    Ok(if is_fine { Exit::Fine } else { Exit::Failed })
}

fn left_alone(id: BulkActionId) -> Exit {
    say(&format!("not waited for: the bulk action {id} may go on on the host; GET /api/v1/bulk-actions/{id} tells"));
    Exit::Failed
}

fn summary(action: &BulkAction) -> String {
    let verb = match action.action {
        windlass_api::BulkVerb::Requeue => "requeued",
        windlass_api::BulkVerb::Delete => "deleted",
        windlass_api::BulkVerb::Cancel => "cancelled",
    };
    let mut parts = vec![format!("{} jobs {verb}", format::count(action.done))];
    if action.pending > 0 {
        parts.push(format!("{} of which end when their sandboxes have stopped", format::count(action.pending)));
    }
    for (reason, jobs) in &action.skipped {
        let why = match reason {
            SkipReason::OtherState => "left alone since they changed their state meanwhile",
            SkipReason::NotAllowed => "left alone since their state does not allow it",
            SkipReason::NotUnique => "left alone since they are unique and another one is there",
            SkipReason::Gone => "gone meanwhile",
        };
        parts.push(format!("{} {why}", format::count(*jobs)));
    }
    if action.failed > 0 {
        parts.push(format!("{} failed", format::count(action.failed)));
    }
    match action.state {
        BulkState::Stopped => parts.push("stopped before its end".to_owned()),
        BulkState::Failed => parts.push("given up before its end".to_owned()),
        _ if action.limit_reached => parts.push("there may be more: run it again".to_owned()),
        _ => {}
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use windlass_api::{BulkVerb, Timestamp};

    use super::*;

    fn action(state: BulkState) -> BulkAction {
        BulkAction {
            id: BulkActionId(uuid::Uuid::nil()),
            action: BulkVerb::Requeue,
            filter: JobFilter::default(),
            named: None,
            limit: 100_000,
            dry_run: false,
            by: "api".to_owned(),
            state,
            matched: None,
            looked_at: 0,
            done: 1_200,
            pending: 0,
            skipped: std::collections::BTreeMap::new(),
            failed: 0,
            errors: Vec::new(),
            limit_reached: false,
            started_at: Timestamp(0),
            ended_at: None,
        }
    }

    #[test]
    fn the_result_says_what_was_done_and_what_was_not() {
        assert_eq!(summary(&action(BulkState::Finished)), "1,200 jobs requeued");
        let skipped = [(SkipReason::OtherState, 3), (SkipReason::Gone, 1)].into();
        let stopped = BulkAction { skipped, failed: 2, ..action(BulkState::Stopped) };
        assert_eq!(
            summary(&stopped),
            "1,200 jobs requeued; 3 left alone since they changed their state meanwhile; 1 gone meanwhile; 2 failed; \
             stopped before its end"
        );
        let limited = BulkAction { limit_reached: true, ..action(BulkState::Finished) };
        assert_eq!(summary(&limited), "1,200 jobs requeued; there may be more: run it again");
    }
}
