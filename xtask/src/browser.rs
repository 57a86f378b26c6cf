//! What the browser tests need besides what is built here: Chromium, what steers it, and axe-core.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    shell::{capture, step, works},
    workspace::Workspace,
};

/// Fixed, so that a new release of it never fails an unchanged checkout.
const AXE: &str = "axe-core@4.14.1";

/// Adds what can be added, and says exactly what to install otherwise.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    chromium()?;
    axe(workspace)
}

/// Chromium and what steers it.
pub(crate) fn chromium() -> Result<()> {
    let is_there = || ["chromium", "chromedriver"].iter().all(|name| works(Command::new(name).arg("--version")));
    if is_there() {
        return Ok(());
    }
    // Where the tests run as root on Debian they are on a machine of their own, such as a container.
    if rustix::process::geteuid().is_root() && works(Command::new("apt-get").arg("--version")) {
        step("looking for packages", Command::new("apt-get").args(["update", "--quiet"]))?;
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--quiet", "--no-install-recommends", "chromium", "chromium-driver"]);
        step("installing Chromium", install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if is_there() {
        return Ok(());
    }
    bail!("no Chromium: install it with chromedriver (Debian: `apt-get install chromium chromium-driver`)");
}

fn axe(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target.join("browser");
    if folder.join("node_modules/axe-core/axe.min.js").is_file() {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&folder)
        .arg(AXE);
    capture(&mut install).map(drop).context("axe-core is fetched with npm (Debian: `apt-get install npm`)")
}
