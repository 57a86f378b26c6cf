//! What the tests of the API need besides what is built here: schemathesis, in a Python environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    services,
    shell::{step, works},
    workspace::Workspace,
};

/// Which versions, of it and of all that it needs.
const REQUIREMENTS: &str = "tests/schemathesis.txt";

/// Says which requirements an environment was made for.
const MADE_FOR: &str = "made-for.txt";

/// Adds what can be added, and says exactly what to install otherwise.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    let (folder, wanted) = (folder(workspace), workspace.root.join(REQUIREMENTS));
    let text = fs::read_to_string(&wanted).with_context(|| format!("failed to read {}", wanted.display()))?;
    if fs::read_to_string(folder.join(MADE_FOR)).is_ok_and(|made| made == text) && works(&mut program(&folder)) {
        return Ok(());
    }
    python()?;
    let mut make = Command::new("python3");
    step("making an environment for schemathesis", make.args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted);
    step("installing schemathesis", &mut install)?;
    fs::write(folder.join(MADE_FOR), text).context("failed to say what was installed")
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("schemathesis")
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("bin/schemathesis"));
    command.arg("--version");
    command
}

/// Python that can make environments: Debian keeps that part in a package of its own.
fn python() -> Result<()> {
    let is_there = || works(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if is_there() {
        return Ok(());
    }
    services::install_packages(&["python3", "python3-venv"])?;
    if is_there() {
        return Ok(());
    }
    bail!("no Python 3 with `venv`: install it (Debian, Ubuntu: `apt-get install python3 python3-venv`)");
}
