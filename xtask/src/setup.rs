//! What a machine needs before anything can be built. Runs before every command, and is quick where all is there.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    shell::{capture, step, works},
    workspace::Workspace,
};

/// Handlers are built for the first, the dashboard for the second.
const TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-unknown-unknown"];

/// Adds what can be added, and says exactly what to install otherwise.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    c_compiler()?;
    wasm_targets(workspace)
}

/// SQLite and the cryptography of TLS are partly C.
fn c_compiler() -> Result<()> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    if works(Command::new(&compiler).arg("--version")) {
        return Ok(());
    }
    bail!(
        "no C compiler: `{}` does not run; install one (Debian, Ubuntu: `apt-get install gcc libc6-dev`; Fedora: `dnf \
         install gcc`; macOS: `xcode-select --install`) or name yours in CC",
        compiler.display()
    );
}

fn wasm_targets(workspace: &Workspace) -> Result<()> {
    let missing: Vec<_> = TARGETS.into_iter().filter(|target| !is_installed(workspace, target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let channel = channel(&workspace.root)?;
    if !works(Command::new("rustup").arg("--version")) {
        bail!(
            "the Rust targets {} are missing and there is no rustup to add them; install rustup from https://rustup.rs, or \
             install these targets for Rust {channel} the way your Rust came",
            missing.join(" and ")
        );
    }
    // Not left to rust-toolchain.toml: with RUSTUP_AUTO_INSTALL=0 its list of targets installs nothing.
    let mut command = Command::new("rustup");
    command.args(["target", "add", "--toolchain", &channel]).args(&missing);
    step("adding the WebAssembly targets", &mut command)
}

/// Asks rustc rather than rustup, which need not be there.
fn is_installed(workspace: &Workspace, target: &str) -> bool {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(&workspace.root).args(["--print", "target-libdir", "--target", target]);
    capture(&mut command).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// The toolchain's version, from the one place that names it.
fn channel(root: &Path) -> Result<String> {
    let file = root.join("rust-toolchain.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("channel = "));
    Ok(line.with_context(|| format!("{} names no channel", file.display()))?.trim_matches('"').to_owned())
}
