//! Fuzzing: each target for a while, with what libFuzzer finds kept in `fuzz/artifacts`. It takes a nightly compiler, and builds
//! everything anew with instruments in it; what the corpora hold is replayed by the ordinary tests.

use std::{env::consts::EXE_SUFFIX, path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    shell::{cargo, say, step, works},
    workspace::Workspace,
};

/// Fixed, so that a new release of it never fails an unchanged checkout.
const FUZZ_VERSION: &str = "0.13.2";

/// The targets, and whether each needs the host as a whole.
const TARGETS: [(&str, bool); 5] =
    [("cron", false), ("cursor", false), ("guest", true), ("request", true), ("upload", true)];

/// Runs one target, or all of them, for so many seconds each.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, seconds: u64) -> Result<()> {
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, _)| target.is_none_or(|target| target == *name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        bail!("there is no such target: expected one of {}", names.join(", "));
    }
    nightly()?;
    let tool = tool(workspace)?;
    for (name, needs_host) in chosen {
        let folder = workspace.root.join("fuzz");
        let mut fuzz = Command::new(&tool);
        fuzz.current_dir(&workspace.root).env("RUSTUP_TOOLCHAIN", "nightly");
        // The coverage that is looked for needs no sanitizer, and there is next to no unsafe code of the project's own.
        fuzz.args(["run", "--sanitizer", "none", "--target-dir"]).arg(workspace.target.join("fuzz"));
        if *needs_host {
            fuzz.args(["--features", "host"]);
        }
        fuzz.arg("--fuzz-dir").arg(&folder).arg(name);
        // What is found new stays out of the checkout; the corpus in it is small, and replayed by the tests.
        let found = workspace.target.join("fuzz-found").join(name);
        std::fs::create_dir_all(&found)?;
        fuzz.arg(&found).arg(folder.join("corpus").join(name));
        fuzz.args(["--", "-timeout=10", "-rss_limit_mb=4096"]).arg(format!("-max_total_time={seconds}"));
        step(&format!("fuzzing {name} for {seconds} s"), &mut fuzz)?;
    }
    Ok(())
}

/// Adds a nightly compiler where there is none.
fn nightly() -> Result<()> {
    if works(Command::new("rustup").args(["run", "nightly", "rustc", "--version"])) {
        return Ok(());
    }
    say("fuzzing takes a nightly compiler, which is not the one that Windlass is built with");
    step(
        "adding a nightly compiler",
        Command::new("rustup").args(["toolchain", "install", "--profile", "minimal", "nightly"]),
    )
}

fn tool(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.tools();
    let tool = tools.join("bin").join(format!("cargo-fuzz{EXE_SUFFIX}"));
    if !works(Command::new(&tool).arg("--version")) {
        let mut install = cargo(workspace);
        install.env_remove("CARGO_TARGET_DIR");
        install.args(["install", "--locked", "--quiet", "--version", FUZZ_VERSION, "cargo-fuzz", "--root"]);
        step("installing cargo-fuzz", install.arg(&tools))?;
    }
    Ok(tool)
}
