//! `windlass jobs`: what there is, and what may be done with it.

mod bulk;
mod chosen;
mod commands;
mod filter;
mod list;
mod logs;
mod question;
mod show;
mod summary;

use clap::Subcommand;
use windlass_api::JobId;

use super::{
    Exit, Global,
    enqueue::{report, wait},
    output::say,
};
use crate::config::Span;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(list::List),
    /// Count the jobs by state.
    Counts,
    /// Show all that is known of a job.
    Show {
        /// The job.
        id: JobId,
    },
    /// Wait until a job has ended and print its result; the exit code is 1 where it did not succeed.
    Wait {
        /// The job.
        id: JobId,
        /// Wait no longer than this, such as `30s`; the exit code is then 1 [default: for ever].
        #[arg(long, value_name = "SPAN")]
        timeout: Option<Span>,
    },
    Logs(logs::Logs),
    /// Cancel jobs: one that waits is deleted, one that runs is stopped first.
    #[command(after_help = chosen::HELP)]
    Cancel(chosen::Chosen),
    #[command(visible_alias = "retry")]
    Requeue(commands::Requeue),
    /// Delete jobs, whether they have ended or not; one that runs is stopped first.
    #[command(after_help = chosen::HELP)]
    Delete(chosen::Chosen),
}

pub(super) async fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    match command {
        Command::List(command) => list::run(command, global).await,
        Command::Counts => list::counts(global).await,
        Command::Show { id } => show::run(id, global).await,
        Command::Wait { id, timeout } => {
            let detail = wait(&global.remote()?, id, timeout.map(|timeout| timeout.0)).await?;
            if !detail.job.state.is_final() && !global.json {
                say(&format!("job {id} has not ended yet"));
            }
            report(&detail, global.output())
        }
        Command::Logs(command) => logs::run(command, global).await,
        Command::Cancel(chosen) => commands::cancel(chosen, global).await,
        Command::Requeue(command) => commands::requeue(command, global).await,
        Command::Delete(chosen) => commands::delete(chosen, global).await,
    }
}
