//! The documentation as a site: what the program knows is written into the pages, and mdBook makes files of them all that
//! any web server serves, and browsers open from a folder. Beside them lies the documentation of the crates that others write against.

mod links;

use std::{
    env::consts::EXE_SUFFIX,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    browser, build,
    shell::{cargo, say, step, works},
    test,
    workspace::Workspace,
};

/// Fixed, so that a new release of it never changes an unchanged checkout. A tool of its own rather than a library of this
/// program: it would be most of what a newcomer compiles first.
const MDBOOK_VERSION: &str = "0.5.4";

/// The crates that others write against.
const CRATES: [&str; 6] =
    ["windlass-actix", "windlass-api", "windlass-axum", "windlass-guest", "windlass-http-client", "windlass-jobs"];

/// Where the pages find the documentation of these, from the site's root.
const RUSTDOC: &str = "rustdoc";

/// Writes the generated pages, takes the pictures anew where that is asked for, and builds the site; `open` shows it in a browser.
pub(crate) fn run(workspace: &Workspace, open: bool, pictures: bool) -> Result<()> {
    build::host(workspace)?;
    generate(workspace, "pages", &workspace.root.join("docs/src/reference"))?;
    if pictures {
        take_pictures(workspace)?;
    }
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
    step("building the site", &mut build)?;
    rustdoc(workspace, &site.join(RUSTDOC))?;
    let broken = links::broken(&site, RUSTDOC)?;
    ensure!(broken.is_empty(), "the site has links that lead nowhere:\n{}", broken.join("\n"));
    let index = site.join("index.html");
    say(&format!("the site is {}", index.display()));
    if open && !["xdg-open", "open"].iter().any(|opener| works(Command::new(opener).arg(&index))) {
        say("nothing here opens a browser: open that file in one");
    }
    Ok(())
}

/// The documentation of the crates that others write against, and of no others.
fn rustdoc(workspace: &Workspace, place: &Path) -> Result<()> {
    let made = workspace.target.join("doc");
    // What was documented before would be found in its search.
    if made.exists() {
        fs::remove_dir_all(&made).with_context(|| format!("failed to empty {}", made.display()))?;
    }
    let mut doc = cargo(workspace);
    doc.args(["doc", "--no-deps", "--all-features"]);
    for package in CRATES {
        doc.args(["--package", package]);
    }
    step("documenting the crates", &mut doc)?;
    copy(&made, place)
}

/// Takes the pictures of the dashboard by the browser's tests, and puts them into the pages.
fn take_pictures(workspace: &Workspace) -> Result<()> {
    browser::set_up(workspace)?;
    build::everything(workspace)?;
    let tests = ["test", "--package", test::BROWSER, "--test", "pictures"];
    step("taking the pictures", cargo(workspace).args(tests))?;
    copy(&workspace.target.join("screenshots/docs"), &workspace.root.join("docs/src/pictures"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("failed to copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let (from, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).with_context(failed)?;
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        }
    }
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
