//! Running the tests.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    build,
    services::Shared,
    shell::{cargo, say, step, works},
    workspace::Workspace,
};

/// A part of the tests that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// What each crate promises by itself, the examples in its documentation included
    Unit,
    /// The part of them that is about what jobs are and where they are kept
    Storage,
    /// The real binary with real components: crashes, misbehaving guests, bad input
    E2e,
    /// What kills hosts and storages, cuts networks, fills disks and sets clocks: ten minutes of it, where `e2e` has a
    /// short form
    Chaos,
}

/// The package of the end-to-end tests, which need the host and the components built.
const END_TO_END: &str = "windlass-tests";

/// Runs one suite, or all of them.
pub(crate) fn run(workspace: &Workspace, suite: Option<Suite>) -> Result<()> {
    let services = Shared::start()?;
    match suite {
        Some(Suite::Unit) => unit(workspace, &services)?,
        Some(Suite::Storage) => storage(workspace, &services)?,
        Some(Suite::E2e) => end_to_end(workspace, &services)?,
        Some(Suite::Chaos) => chaos(workspace, &services)?,
        None => {
            unit(workspace, &services)?;
            end_to_end(workspace, &services)?;
        }
    }
    say("all tests passed");
    Ok(())
}

fn unit(workspace: &Workspace, services: &Shared) -> Result<()> {
    let packages = ["--workspace", "--exclude", END_TO_END, "--exclude", "windlass-test-guests"];
    step("unit tests", runner(workspace, services).args(packages))?;
    let mut examples = cargo(workspace);
    services.tell(&mut examples);
    step("the documentation's examples", examples.args(["test", "--doc", "--workspace"]))
}

fn storage(workspace: &Workspace, services: &Shared) -> Result<()> {
    step("storage tests", runner(workspace, services).args(["--package", "windlass-jobs", "--all-features"]))
}

fn end_to_end(workspace: &Workspace, services: &Shared) -> Result<()> {
    build::everything(workspace)?;
    let mut command = runner(workspace, services);
    // One after the other: several of them measure, and each has a whole host with all its threads.
    command.args(["--package", END_TO_END]);
    if has_nextest(workspace) {
        command.args(["--test-threads", "1"])
    } else {
        command.args(["--", "--test-threads=1"])
    };
    step("end-to-end tests", &mut command)
}

fn chaos(workspace: &Workspace, services: &Shared) -> Result<()> {
    build::everything(workspace)?;
    let mut command = cargo(workspace);
    services.tell(&mut command);
    // Cargo's own runner, which shows what each test prints: the seeds, and what was found.
    command.env("WINDLASS_CHAOS", "full").args(["test", "--package", END_TO_END, "--test", "chaos"]);
    step("chaos tests", command.args(["--", "--test-threads=1", "--nocapture"]))
}

/// cargo-nextest where it is installed, since it runs test binaries side by side, or else cargo itself.
fn runner(workspace: &Workspace, services: &Shared) -> Command {
    let mut command = cargo(workspace);
    services.tell(&mut command);
    if has_nextest(workspace) {
        command.args(["nextest", "run"])
    } else {
        command.args(["test", "--tests"])
    };
    command
}

fn has_nextest(workspace: &Workspace) -> bool {
    works(cargo(workspace).args(["nextest", "--version"]))
}
