//! The command line: `windlass …`. One file per command; what they share is here beside them.
//!
//! Results go to standard output, as tables or, with `--json`, as the types of the API. Everything said about them goes
//! to standard error. The exit code is 0 where all went well, 1 where the thing asked for failed, 2 where it was asked
//! for wrongly, 3 where it was done in part and what was left out is said.

mod arguments;
mod audit;
mod build;
mod check;
mod compile_component;
mod completions;
mod component;
mod deploy;
mod dev;
mod documentation;
mod enqueue;
mod exit;
mod files;
mod format;
mod instant;
mod jobs;
mod limits;
mod logging;
mod modules;
mod new;
mod oci;
mod output;
mod payload;
mod progress;
mod project;
mod queues;
mod recurring;
mod retry;
mod run;
mod serve;
mod servers;
mod settings;
mod storage;
mod table;
mod token;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;

use self::{
    arguments::{Cli, Command, Global},
    exit::Exit,
    output::Output,
};
use crate::remote::{Remote, RemoteError};

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where not even this can be printed, the exit code still tells.
            drop(error.print());
            return exit::of_usage(&error);
        }
    };
    if let Command::CompileComponent { arguments } = cli.command {
        return compile_component::run(arguments);
    }
    exit::code(logging::start(&cli).and_then(|()| on_runtime(cli)))
}

fn on_runtime(cli: Cli) -> anyhow::Result<Exit> {
    use anyhow::Context as _;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build().context("failed to start the runtime")?;
    let outcome = runtime.block_on(Box::pin(run(cli)));
    // A thread that still waits for standard input must not hold the process back.
    runtime.shutdown_background();
    outcome
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Cli { global, command } = cli;
    match command {
        Command::Serve(command) => serve::run(command).await,
        Command::Run(command) => run::run(command, &global).await,
        Command::New(command) => new::run(&command, &global),
        Command::Build(command) => build::run(command, &global).await,
        Command::Dev(command) => dev::run(command, &global).await,
        Command::Deploy(command) => deploy::run(command, &global).await,
        Command::Modules { command } => modules::run(command.unwrap_or_default(), &global).await,
        Command::Enqueue(command) => enqueue::run(command, &global).await,
        Command::Jobs { command } => jobs::run(command, &global).await,
        Command::Queues { command } => queues::run(command.unwrap_or_default(), &global).await,
        Command::Limits { command } => limits::run(command.unwrap_or_default(), &global).await,
        Command::Recurring { command } => recurring::run(command.unwrap_or_default(), &global).await,
        Command::Servers => servers::run(&global).await,
        Command::Audit(command) => audit::run(command, &global).await,
        Command::Token { command } => token::run(command, &global),
        Command::Check(command) => check::run(command, &global).await,
        Command::Storage { command } => storage::run(command, &global).await,
        Command::Completions(command) => completions::run(&command, &global),
        Command::Documentation { command } => documentation::run(command),
        // It never gets a runtime: `main` has run it.
        Command::CompileComponent { .. } => Ok(Exit::Fine),
    }
}

impl Global {
    fn remote(&self) -> Result<Remote, RemoteError> {
        // Whoever waits at a terminal is told at once that nobody answers.
        Ok(Remote::new(&self.url)?.with_token(self.token.as_deref())?.with_patience(Duration::ZERO))
    }

    fn output(&self) -> Output {
        Output::new(self.json)
    }
}
