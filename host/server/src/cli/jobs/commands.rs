//! Commands on jobs. Each job is commanded for itself: what is refused for one does not keep the others. Those that are
//! chosen by a filter are commanded by the host.

use clap::Args;
use windlass_api::{BulkActionRequest, BulkVerb, CommandReply, JobId, RequeueRequest, State};

use super::{
    super::{Exit, Global, exit::Usage, output::say},
    bulk::{self, Chosen, Jobs},
};
use crate::remote::RemoteError;

/// Enqueue jobs anew, with their attempts counted from the start.
#[derive(Args, Debug)]
#[command(after_help = bulk::HELP)]
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
    let remote = global.remote()?;
    let ids = match chosen.read("cancel")? {
        Jobs::Named(ids) => ids,
        Jobs::Like(like) => {
            let request = BulkActionRequest::new(BulkVerb::Cancel, like.filter.clone());
            return bulk::run(request, &like, global).await;
        }
    };
    let mut exit = Exit::Fine;
    for id in ids {
        exit = told("cancel", id, remote.cancel(id).await, exit, global)?;
    }
    Ok(exit)
}

pub(super) async fn delete(chosen: Chosen, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let ids = match chosen.read("delete")? {
        Jobs::Named(ids) => ids,
        Jobs::Like(like) => {
            let request = BulkActionRequest::new(BulkVerb::Delete, like.filter.clone());
            return bulk::run(request, &like, global).await;
        }
    };
    let mut exit = Exit::Fine;
    for id in ids {
        exit = told("delete", id, remote.delete(id).await, exit, global)?;
    }
    Ok(exit)
}

pub(super) async fn requeue(command: Requeue, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let Requeue { chosen, fresh, newest, expected_state } = command;
    let ids = match chosen.read("requeue")? {
        Jobs::Named(ids) => ids,
        Jobs::Like(_) if expected_state.is_some() => {
            return Err(
                Usage("--expected-state goes with the ids of jobs: name the state with --state".to_owned()).into()
            );
        }
        Jobs::Like(like) => {
            let request = BulkActionRequest::new(BulkVerb::Requeue, like.filter.clone());
            return bulk::run(BulkActionRequest { fresh, newest, ..request }, &like, global).await;
        }
    };
    let how = RequeueRequest { expected_state, fresh, newest };
    let mut exit = Exit::Fine;
    for id in ids {
        exit = told("requeue", id, remote.requeue(id, how).await, exit, global)?;
    }
    Ok(exit)
}

/// Says what became of one job. A refusal is said and remembered; a host that is not there ends it all.
fn told(
    verb: &str,
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
