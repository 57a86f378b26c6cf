//! Commands on jobs. Each job is commanded for itself: what is refused for one does not keep the others. Those that are
//! chosen by a filter, or are many, are commanded by the host.

use clap::Args;
use windlass_api::{BulkActionRequest, BulkVerb, CommandReply, JobFilter, JobId, RequeueRequest, State};

use super::{
    super::{Exit, Global, exit::Usage, output::say},
    bulk,
    chosen::{self, Chosen, Jobs},
};
use crate::remote::RemoteError;

/// So many named jobs are commanded one after the other, with a line for each; more are left to the host.
const ONE_BY_ONE: usize = 100;

/// Enqueue jobs anew, with their attempts counted from the start.
#[derive(Args, Debug)]
#[command(after_help = chosen::HELP)]
pub(in super::super) struct Requeue {
    #[command(flatten)]
    chosen: Chosen,
    /// Forget what earlier attempts recorded: steps and checkpoints.
    #[arg(long)]
    fresh: bool,
    /// Run on the version that is active now, instead of the one that the job started with.
    #[arg(long)]
    newest: bool,
    /// Do it only for a job in this state; with ids.
    #[arg(long, value_name = "STATE")]
    expected_state: Option<State>,
}

pub(super) async fn cancel(chosen: Chosen, global: &Global) -> anyhow::Result<Exit> {
    command(BulkVerb::Cancel, chosen, RequeueRequest::default(), global).await
}

pub(super) async fn delete(chosen: Chosen, global: &Global) -> anyhow::Result<Exit> {
    command(BulkVerb::Delete, chosen, RequeueRequest::default(), global).await
}

pub(super) async fn requeue(requeue: Requeue, global: &Global) -> anyhow::Result<Exit> {
    let Requeue { chosen, fresh, newest, expected_state } = requeue;
    command(BulkVerb::Requeue, chosen, RequeueRequest { expected_state, fresh, newest }, global).await
}

/// `how` is for a requeue alone.
async fn command(verb: BulkVerb, chosen: Chosen, how: RequeueRequest, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let RequeueRequest { expected_state, fresh, newest } = how;
    let in_bulk = |filter: JobFilter| BulkActionRequest { fresh, newest, ..BulkActionRequest::new(verb, filter) };
    let ids = match chosen.read(verb)? {
        Jobs::Like(_) if expected_state.is_some() => {
            return Err(
                Usage("--expected-state goes with the ids of jobs: name the state with --state".to_owned()).into()
            );
        }
        Jobs::Like(like) => return bulk::like(in_bulk(like.filter.clone()), &like, global).await,
        Jobs::Named(ids) => ids,
    };
    if ids.len() > ONE_BY_ONE {
        let request = in_bulk(JobFilter { state: expected_state, ..JobFilter::default() });
        return bulk::named(&request, &ids, global).await;
    }
    let mut exit = Exit::Fine;
    for id in ids {
        let reply = match verb {
            BulkVerb::Requeue => remote.requeue(id, how).await,
            BulkVerb::Delete => remote.delete(id).await,
            BulkVerb::Cancel => remote.cancel(id).await,
        };
        exit = told(verb, id, reply, exit, global)?;
    }
    Ok(exit)
}

/// Says what became of one job. A refusal is said and remembered; a host that is not there ends it all.
fn told(
    verb: BulkVerb,
    id: JobId,
    reply: Result<CommandReply, RemoteError>,
    exit: Exit,
    global: &Global,
) -> anyhow::Result<Exit> {
    match reply {
        Ok(reply) => {
            global.output().show(&reply, describe)?;
            Ok(exit)
        }
        Err(RemoteError::Refused(problem)) => {
            say(&format!("error: failed to {verb} job {id}: {problem}"));
            Ok(Exit::Failed)
        }
        Err(error) => Err(error.into()),
    }
}

fn describe(reply: &CommandReply) -> String {
    let pending = if reply.pending { "; takes effect when its sandbox has stopped" } else { "" };
    format!("{} {}{pending}", reply.id, reply.state)
}
