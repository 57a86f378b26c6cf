//! What an author of handlers types.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    Answer,
    built::{target, windlass},
    cli,
};

/// How long it may take on a busy machine: compilers are among it.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The checkout that is tested.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A shell that types this in a folder and stops where something fails. It finds `windlass`, whose settings are all unset, and cargo
/// fetches nothing.
///
/// # Errors
/// Where `windlass` has not been built.
pub fn shell(folder: &Path, script: &str) -> Result<Command> {
    let mut command = Command::new("bash");
    command.current_dir(folder).args(["-euo", "pipefail", "-c", script]);
    cli::set_apart(&mut command)?;
    let programs = windlass()?.parent().map(Path::to_owned).context("the program has no folder")?;
    let paths = env::var_os("PATH").unwrap_or_default();
    command.env("PATH", env::join_paths([programs].into_iter().chain(env::split_paths(&paths)))?);
    // What handlers depend on is compiled once for all tests.
    command.env("CARGO_TARGET_DIR", target()?).env("CARGO_NET_OFFLINE", "true");
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("RUSTFLAGS").env("CARGO_TERM_COLOR", "never");
    // A busy machine compiles slowly, and that is not what is tested.
    command.env("WINDLASS_COMPILE_TIMEOUT", "10min");
    Ok(command)
}

/// Types it, and waits for the end.
///
/// # Errors
/// Where it cannot be run; whether it succeeded is in the answer.
pub fn typed(command: Command) -> Result<Answer> {
    let line = command.get_args().last().unwrap_or_default().to_string_lossy().into_owned();
    cli::finish(command, line, "", PATIENCE)
}
