//! Running the programs that make components: what they say is seen as they say it, and one that is missing is asked for.

use std::{fmt, io, os::fd::AsFd as _, process::Stdio};

use anyhow::Context as _;
use tokio::process::{Child, Command};

/// A program ran and did not do its work; why, it has said itself.
#[derive(Debug)]
pub(in super::super) struct ToolFailed(String);

impl fmt::Display for ToolFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ToolFailed {}

/// Runs a program. What it writes to standard output is seen too, beside results, which have that for themselves.
pub(super) async fn run(command: &mut Command, get: &str) -> anyhow::Result<()> {
    let seen = io::stderr().as_fd().try_clone_to_owned().context("failed to share standard error")?;
    let child = start(command.stdout(Stdio::from(seen)), get)?;
    ended(command, child).await
}

/// Starts a program, which ends with this one; `get` says how to get it where it is missing.
pub(super) fn start(command: &mut Command, get: &str) -> anyhow::Result<Child> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).kill_on_drop(true).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("failed to find `{program}`: {get}"),
        _ => anyhow::anyhow!("failed to run `{program}`: {error}"),
    })
}

/// Waits for its end.
pub(super) async fn ended(command: &Command, mut child: Child) -> anyhow::Result<()> {
    let status = child.wait().await.with_context(|| format!("failed to wait for `{}`", line(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(ToolFailed(format!("failed to build: `{}` gave {status}, and says why above", line(command))).into())
}

fn line(command: &Command) -> String {
    let command = command.as_std();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
