//! The documentation as a site: what the program knows is written into the pages, and mdBook makes files of them all that
//! any web server serves, and browsers open from a folder.

use std::{
    env::consts::EXE_SUFFIX,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    build,
    shell::{cargo, say, step, works},
    workspace::Workspace,
};

/// Fixed, so that a new release of it never changes an unchanged checkout. A tool of its own rather than a library of this
/// program: it would be most of what a newcomer compiles first.
const MDBOOK_VERSION: &str = "0.5.4";

/// Writes the generated pages and builds the site; `open` shows it in a browser.
pub(crate) fn run(workspace: &Workspace, open: bool) -> Result<()> {
    build::host(workspace)?;
    generate(workspace, "pages", &workspace.root.join("docs/src/reference"))?;
    site(workspace, open)
}

/// Has the program write its own part of the documentation, `pages` or `man`.
pub(crate) fn generate(workspace: &Workspace, what: &str, folder: &Path) -> Result<()> {
    generate_with(&workspace.host_binary(), what, folder)
}

/// The same, with a program that was built elsewhere.
pub(crate) fn generate_with(windlass: &Path, what: &str, folder: &Path) -> Result<()> {
    let mut command = Command::new(windlass);
    // The address that help shows would be the caller's.
    command.env_remove("WINDLASS_URL").args(["documentation", what]).arg(folder);
    step(&format!("having the program write its {what}"), &mut command)
}

/// Builds the site from the pages as they are.
pub(crate) fn site(workspace: &Workspace, open: bool) -> Result<()> {
    let mdbook = mdbook(workspace)?;
    let site = workspace.target.join("site");
    let mut build = Command::new(mdbook);
    build.arg("build").arg(workspace.root.join("docs")).arg("--dest-dir").arg(&site);
    if open {
        build.arg("--open");
    }
    step("building the site", &mut build)?;
    say(&format!("the site is {}", site.join("index.html").display()));
    Ok(())
}

fn mdbook(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.tools();
    let mdbook = tools.join("bin").join(format!("mdbook{EXE_SUFFIX}"));
    if !works(Command::new(&mdbook).arg("--version")) {
        let mut install = cargo(workspace);
        install.env_remove("CARGO_TARGET_DIR");
        // Without its web server and what watches files.
        install.args(["install", "--locked", "--quiet", "--no-default-features", "--features", "search"]);
        install.args(["--version", MDBOOK_VERSION, "mdbook", "--root"]).arg(&tools);
        step("installing mdBook (once, some minutes)", &mut install)?;
    }
    Ok(mdbook)
}
