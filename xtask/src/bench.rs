//! Measuring. What is measured and how is the `bench` crate's business.

use std::path::{Path, absolute};

use anyhow::{Result, bail};

use crate::{
    build,
    shell::{cargo, step},
    workspace::Workspace,
};

/// Runs a benchmark in the release build, which is the only one whose figures mean anything.
pub(crate) fn run(workspace: &Workspace, what: &str, json: Option<&Path>) -> Result<()> {
    if what != "sandbox" {
        bail!("there is no benchmark `{what}`: expected `sandbox`");
    }
    build::examples(workspace)?;
    build::bench_guest(workspace)?;
    let mut build = cargo(workspace);
    build.args(["build", "--release", "--package", "windlass-bench", "--package", "windlass-wasm"]);
    step("building the benchmarks in release (from nothing this takes some minutes)", &mut build)?;
    let mut measure = std::process::Command::new(workspace.release("windlass-bench"));
    measure.arg(what).args(["noop.wasm", "faults.wasm"].map(|name| workspace.components().join(name)));
    measure.arg("--compiler").arg(workspace.release("windlass-compile"));
    if let Some(file) = json {
        measure.arg("--json").arg(absolute(file)?);
    }
    step(&format!("measuring {what}"), &mut measure)
}
