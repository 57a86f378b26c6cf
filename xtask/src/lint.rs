//! What is checked besides the tests: formatting, lints, documentation, unused dependencies.

use std::{env::consts::EXE_SUFFIX, process::Command};

use anyhow::Result;

use crate::{
    build::EXAMPLES,
    shell::{cargo, step, works},
    workspace::Workspace,
};

/// Fixed, so that a new release of it never fails an unchanged checkout.
const MACHETE_VERSION: &str = "0.9.2";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    components(workspace)?;
    step("checking the formatting", cargo(workspace).args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo(workspace);
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    step("linting", &mut clippy)?;
    step("linting what applications enqueue with", &mut clippy_for_applications(workspace))?;
    step("linting what runs in the sandbox", &mut clippy_for_wasm(workspace))?;
    let mut clippy = cargo(workspace);
    clippy.args([
        "clippy",
        "--target",
        "wasm32-unknown-unknown",
        "--package",
        "windlass-dashboard",
        "--",
        "--deny",
        "warnings",
    ]);
    step("linting what runs in the browser", &mut clippy)?;
    let mut doc = cargo(workspace);
    doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings");
    step("checking the documentation", &mut doc)?;
    unused_dependencies(workspace)
}

/// With the rest of the workspace they are built with a host in them; by themselves, as most applications have them, they are not.
fn clippy_for_applications(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
    command.args(["clippy", "--lib", "--no-default-features"]);
    for package in ["windlass-axum", "windlass-actix", "windlass-web"] {
        command.args(["--package", package]);
    }
    command.args(["--", "--deny", "warnings"]);
    command
}

/// Parts of the guest SDK exist for WebAssembly only.
fn clippy_for_wasm(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
    command.args(["clippy", "--target", "wasm32-wasip2", "--lib", "--package", "windlass-guest"]);
    for package in EXAMPLES {
        command.args(["--package", package]);
    }
    command.args(["--", "--deny", "warnings"]);
    command
}

/// Adds rustfmt and clippy where the toolchain came without them.
fn components(workspace: &Workspace) -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !works(cargo(workspace).args([command, "--version"])) {
            let mut add = Command::new("rustup");
            add.current_dir(&workspace.root).args(["component", "add", component]);
            step(&format!("adding {component}"), &mut add)?;
        }
    }
    Ok(())
}

fn unused_dependencies(workspace: &Workspace) -> Result<()> {
    let tools = workspace.tools();
    let machete = tools.join("bin").join(format!("cargo-machete{EXE_SUFFIX}"));
    if !works(Command::new(&machete).arg("--version")) {
        let mut install = cargo(workspace);
        install.env_remove("CARGO_TARGET_DIR");
        install.args(["install", "--locked", "--quiet", "--version", MACHETE_VERSION, "cargo-machete", "--root"]);
        step("installing cargo-machete", install.arg(&tools))?;
    }
    // With metadata it knows that a crate may have another name than its package.
    step("looking for unused dependencies", Command::new(&machete).current_dir(&workspace.root).arg("--with-metadata"))
}
