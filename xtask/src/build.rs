//! Building the host and the components, and putting the components where the demo and the tests look for them.

use std::{
    env::consts::EXE_SUFFIX,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    dashboard,
    shell::{cargo, step},
    workspace::Workspace,
};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

/// The packages of `examples/` that are components.
pub(crate) const EXAMPLES: [&str; 5] = ["images", "links", "reports", "orders", "faults"];

/// The applications of `examples/` that are written in Rust.
const APPLICATIONS: [&str; 2] = ["axum-app", "actix-app"];

/// The dashboard, the host, the examples and the test guests.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    dashboard::build(workspace)?;
    host(workspace)?;
    applications(workspace)?;
    examples(workspace)?;
    without_sdk(workspace)?;
    guests(workspace)
}

/// The component of the example in WebAssembly's text format.
fn without_sdk(workspace: &Workspace) -> Result<()> {
    // Of the whole workspace, for the reason that the host has.
    let mut tool = cargo(workspace);
    step("building what reads the text format", tool.args(["build", "--workspace", "--bin", "component-of-text"]))?;
    let mut make = Command::new(workspace.target.join("debug").join(format!("component-of-text{EXE_SUFFIX}")));
    make.current_dir(&workspace.root).args(["examples/wat-echo/handler.wat", "wit", "sync-module"]);
    let made = workspace.target.join("wat-echo.wasm");
    step("building the example in the text format", make.arg(&made))?;
    put(&made, &workspace.components().join("wat-echo.wasm"))
}

/// The `windlass` binary, in its everyday build, and the programs that make the demo's data.
///
/// The whole workspace and examples are selected so that cargo turns on the same features of the dependencies as it does
/// for the tests: wasmtime is compiled once instead of once for each selection.
pub(crate) fn host(workspace: &Workspace) -> Result<()> {
    let selection =
        ["build", "--workspace", "--bin", "windlass", "--example", "make_pictures", "--example", "make_sales"];
    step("building the host (from nothing this takes some minutes)", cargo(workspace).args(selection))
}

/// The applications, which have the host in them; of the whole workspace as [`host`] is.
fn applications(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    // With an example, as the host is: what examples and tests depend on turns on features, and the host would be compiled once more
    // without them.
    command.args(["build", "--workspace", "--example", "make_pictures"]);
    for application in APPLICATIONS {
        command.args(["--bin", application]);
    }
    step("building the example applications", &mut command)
}

/// The components of `examples/`.
pub(crate) fn examples(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--lib", "--target", TARGET, "--profile", PROFILE]);
    for package in EXAMPLES {
        command.args(["--package", package]);
    }
    step("building the example handlers", &mut command)?;
    for package in EXAMPLES {
        let built = output(workspace).join(format!("{}.wasm", package.replace('-', "_")));
        put(&built, &workspace.components().join(format!("{package}.wasm")))?;
    }
    Ok(())
}

/// The components that only measurements need.
pub(crate) fn bench_guests(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--lib", "--examples", "--target", TARGET, "--profile", PROFILE]);
    command.args(["--package", "windlass-bench-guest"]);
    step("building the benchmarks' handlers", &mut command)?;
    put(&output(workspace).join("windlass_bench_guest.wasm"), &workspace.components().join("noop.wasm"))?;
    put(&output(workspace).join("examples/drain.wasm"), &workspace.components().join("drain.wasm"))
}

/// The components of `tests/guests`, one for each file in its `src`.
pub(crate) fn guests(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args([
        "build",
        "--target",
        TARGET,
        "--profile",
        PROFILE,
        "--package",
        "windlass-test-guests",
        "--examples",
    ]);
    step("building the test guests", &mut command)?;
    for name in guest_names(workspace)? {
        let built = output(workspace).join("examples").join(format!("{name}.wasm"));
        put(&built, &workspace.components().join("guests").join(format!("{name}.wasm")))?;
    }
    Ok(())
}

fn guest_names(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("tests/guests/examples");
    let entries = fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn output(workspace: &Workspace) -> PathBuf {
    workspace.target.join(TARGET).join(PROFILE)
}

/// Copies a component under its final name in one step, so that a host that watches the folder never sees half of it.
fn put(built: &Path, place: &Path) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = place.with_extension("fresh");
        fs::copy(built, &fresh)?;
        fs::rename(&fresh, place)
    };
    copy().with_context(|| format!("failed to copy {} to {}", built.display(), place.display()))
}
