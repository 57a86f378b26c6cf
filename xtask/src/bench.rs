//! Measuring. What is measured and how is the `bench` crate's business.

use std::{
    path::{Path, absolute},
    process::Command,
};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    browser, build,
    shell::{cargo, step},
    workspace::Workspace,
};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// One sandboxed run beside a bare loop of wasmtime, and the memory of parked async runs
    Sandbox,
    /// The storage verbs beside the same statements or scripts driven raw, and a claim among a million jobs
    Storage,
    /// Jobs that do nothing, drained through a real host on each store, and an idle host from enqueue to start
    Drain,
    /// The API: reads and enqueues at a steady rate beside jobs that run, and readers of events
    Api,
    /// A million jobs that wait for their instant: what a promotion, a claim and an idle host take
    Delayed,
    /// The dashboard in Chromium: a list over a million jobs, and the memory of a page that stays open at 500 jobs a second
    Dashboard,
}

/// Runs a benchmark in the release build, which is the only one whose figures mean anything. `more` goes to it as it is.
pub(crate) fn run(workspace: &Workspace, what: What, json: Option<&Path>, more: &[String]) -> Result<()> {
    if what == What::Dashboard {
        return dashboard(workspace, more);
    }
    build::examples(workspace)?;
    build::bench_guests(workspace)?;
    let mut build = cargo(workspace);
    build.args([
        "build",
        "--release",
        "--package",
        "windlass-bench",
        "--package",
        "windlass-wasm",
        "--package",
        "windlass",
    ]);
    step("building the benchmarks in release (from nothing this takes some minutes)", &mut build)?;
    let component = |name: &str| workspace.components().join(name);
    let mut measure = Command::new(workspace.release("windlass-bench"));
    let name = match what {
        What::Sandbox => {
            measure.arg("sandbox").args(["noop.wasm", "faults.wasm"].map(component));
            measure.arg("--compiler").arg(workspace.release("windlass-compile"));
            "one run"
        }
        What::Storage => {
            measure.arg("storage");
            "the storage verbs"
        }
        What::Delayed => {
            measure.arg("delayed").arg("--host").arg(workspace.release("windlass"));
            "jobs that wait for their instant"
        }
        What::Drain => {
            measure.arg("drain").arg("--host").arg(workspace.release("windlass"));
            measure.arg("--component").arg(component("drain.wasm"));
            "draining"
        }
        What::Api => {
            measure.arg("api").arg("--host").arg(workspace.release("windlass"));
            measure.arg("--component").arg(component("drain.wasm"));
            "the API"
        }
        // Measured above, in another way.
        What::Dashboard => return Ok(()),
    };
    measure.args(more);
    if let Some(file) = json {
        measure.arg("--json").arg(absolute(file)?);
    }
    step(&format!("measuring {name}"), &mut measure)
}

/// The everyday build of the host does here: what is measured is the page. `more` are words of the names of what to measure.
fn dashboard(workspace: &Workspace, more: &[String]) -> Result<()> {
    browser::set_up(workspace)?;
    build::everything(workspace)?;
    let mut measure = cargo(workspace);
    measure.args(["test", "--package", "windlass-browser-tests", "--test", "measuring", "--"]);
    measure.args(["--ignored", "--nocapture", "--test-threads", "1"]).args(more);
    step("measuring the dashboard", &mut measure)
}
