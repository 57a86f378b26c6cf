//! Running other programs, so that whoever waits sees what for.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Says what happens now. On standard error: standard output is for results.
pub(crate) fn say(what: &str) {
    eprintln!("▸ {what}");
}

/// The cargo that runs this program, at the workspace's root and with the workspace's target directory.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    // What cargo tells this program of its own package. Build scripts of some crates look at it: these, and all that depends on them,
    // would be built anew for whoever calls cargo without this program, and then again for this one.
    let of_this_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for name in std::env::vars_os().map(|(name, _)| name) {
        if name.to_str().is_some_and(of_this_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program whose output the user sees, with what it is for and how long it took.
///
/// # Errors
/// Where it cannot be started or does not exit with 0.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    say(&format!("{what} …"));
    let started = Instant::now();
    let status = command.status().with_context(|| cannot_run(command))?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{what} failed after {seconds:.1} s: `{}` gave {status}", line(command));
    }
    say(&format!("{what}: done in {seconds:.1} s"));
    Ok(())
}

/// Runs a program for its standard output.
///
/// # Errors
/// Where it cannot be started, does not exit with 0 or writes something other than UTF-8.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output().with_context(|| cannot_run(command))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` gave {}: {}", line(command), output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote something other than UTF-8", line(command)))
}

/// Whether a program can be started and exits with 0; its output goes nowhere.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn cannot_run(command: &Command) -> String {
    format!("failed to run `{}`", line(command))
}

fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().map(OsStr::to_string_lossy) {
        // Writing to a string cannot fail.
        let _ = write!(line, " {argument}");
    }
    line
}
