//! Measuring. What is measured and how is the `bench` crate's business.

use std::path::{Path, absolute};

use anyhow::Result;

use crate::{
    shell::{cargo, step},
    workspace::Workspace,
};

/// Runs a benchmark in the release build, which is the only one whose figures mean anything.
pub(crate) fn run(workspace: &Workspace, what: &str, json: Option<&Path>) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["run", "--release", "--package", "windlass-bench", "--", what]);
    if let Some(file) = json {
        command.arg("--json").arg(absolute(file)?);
    }
    step(&format!("measuring {what}"), &mut command)
}
