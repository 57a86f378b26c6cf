//! Running the tests.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    browser, build,
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
    /// The dashboard in a real browser
    Browser,
}

/// The package of the end-to-end tests, which need the host and the components built.
const END_TO_END: &str = "windlass-tests";

/// The package of the tests in a browser, which need all that and a browser.
const BROWSER: &str = "windlass-browser-tests";

/// Runs one suite, or all of them.
pub(crate) fn run(workspace: &Workspace, suite: Option<Suite>) -> Result<()> {
    match suite {
        Some(Suite::Unit) => unit(workspace)?,
        Some(Suite::Storage) => storage(workspace)?,
        Some(Suite::E2e) => end_to_end(workspace, END_TO_END)?,
        Some(Suite::Browser) => in_browser(workspace)?,
        None => {
            unit(workspace)?;
            end_to_end(workspace, END_TO_END)?;
            in_browser(workspace)?;
        }
    }
    say("all tests passed");
    Ok(())
}

fn unit(workspace: &Workspace) -> Result<()> {
    let packages = ["--workspace", "--exclude", END_TO_END, "--exclude", BROWSER, "--exclude", "windlass-test-guests"];
    step("unit tests", runner(workspace).args(packages))?;
    step("the documentation's examples", cargo(workspace).args(["test", "--doc", "--workspace"]))
}

fn storage(workspace: &Workspace) -> Result<()> {
    step("storage tests", runner(workspace).args(["--package", "windlass-jobs"]))
}

fn in_browser(workspace: &Workspace) -> Result<()> {
    browser::set_up(workspace)?;
    end_to_end(workspace, BROWSER)
}

fn end_to_end(workspace: &Workspace, package: &str) -> Result<()> {
    build::everything(workspace)?;
    let mut command = runner(workspace);
    // One after the other: several of them measure, and each has a whole host with all its threads.
    command.args(["--package", package]);
    if has_nextest(workspace) {
        command.args(["--test-threads", "1"])
    } else {
        command.args(["--", "--test-threads=1"])
    };
    step("end-to-end tests", &mut command)
}

/// cargo-nextest where it is installed, since it runs test binaries side by side, or else cargo itself.
fn runner(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
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
