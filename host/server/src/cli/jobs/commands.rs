//! Commands on jobs. Each job is commanded for itself: what is refused for one does not keep the others.

use clap::Args;
use windlass_api::{CommandReply, JobId, RequeueRequest, State};

use super::super::{Exit, Global, output::say};
use crate::remote::RemoteError;

/// Enqueue jobs anew, with their attempts counted from the start.
#[derive(Args, Debug)]
pub(in super::super) struct Requeue {
    /// The jobs.
    #[arg(required = true)]
    ids: Vec<JobId>,
    /// Forget what earlier attempts recorded: steps and checkpoints.
    #[arg(long)]
    fresh: bool,
    /// Run on the version that is active now, instead of the one that the job started with.
    #[arg(long)]
    newest: bool,
    /// Do it only for a job in this state.
    #[arg(long, value_name = "STATE")]
    expected_state: Option<State>,
}

pub(super) async fn cancel(ids: &[JobId], global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let mut exit = Exit::Fine;
    for &id in ids {
        exit = told("cancel", id, remote.cancel(id).await, exit, global)?;
    }
    Ok(exit)
}

pub(super) async fn delete(ids: &[JobId], global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let mut exit = Exit::Fine;
    for &id in ids {
        exit = told("delete", id, remote.delete(id).await, exit, global)?;
    }
    Ok(exit)
}

pub(super) async fn requeue(command: Requeue, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let Requeue { ids, fresh, newest, expected_state } = command;
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
