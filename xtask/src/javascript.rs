//! What is written in JavaScript: the library for handlers, the example of it, new projects, and the page that tells of them. They
//! are tested natively and become components, which are run in the host's sandbox. All of that happens in a copy in the target
//! directory, with packages of fixed versions, and in temporary folders.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    shell::{capture, step},
    workspace::Workspace,
};

/// The library.
const GUEST: &str = "guest-sdk/js";

/// The example that becomes a component.
const HANDLERS: &str = "examples/js-markdown";

/// The page of the documentation, which the tests follow.
const PAGE: &str = "docs/src/handlers-javascript.md";

/// The contract, which both are built against.
const CONTRACT: &str = "wit";

/// Tests all of it. The host must be built.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    component(workspace)?;
    let copy = Copy::of(workspace);
    let mut tests = copy.command("node", GUEST);
    let files = ["guest", "steps", "component", "project"].map(|name| format!("tests/{name}.test.js"));
    tests.arg("--test").args(files);
    tests.env("WINDLASS_BIN", workspace.host_binary()).env("WINDLASS_COMPONENTS", workspace.components());
    tests.env("WINDLASS_PAGE", workspace.root.join(PAGE));
    // Somebody's own host is not to be tested.
    tests.env_remove("WINDLASS_URL").env_remove("WINDLASS_TOKEN");
    step("JavaScript tests: the library", &mut tests)?;
    step("JavaScript tests: the example", copy.command("node", HANDLERS).args(["--test", "handlers.test.js"]))
}

/// Makes a component of the handlers in JavaScript.
pub(crate) fn component(workspace: &Workspace) -> Result<()> {
    node()?;
    let copy = Copy::of(workspace);
    copy.make(workspace)?;
    let mut install = copy.command("npm", HANDLERS);
    // No package's own scripts: nothing of it is needed.
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel", "error"]);
    step("installing what the handlers in JavaScript need", &mut install)?;
    let mut build = copy.command("npx", HANDLERS);
    build.args(["--no", "--", "componentize-qjs"]);
    build.args(["--sync", "--wit", "../../wit", "--world", "sync-module", "--js", "app.js", "--output"]);
    step("building the handlers in JavaScript", build.arg(workspace.components().join("js-markdown.wasm")))
}

/// Where all of it lies besides the checkout, in which nothing is to be left.
struct Copy(PathBuf);

impl Copy {
    fn of(workspace: &Workspace) -> Self {
        Self(workspace.target.join("javascript"))
    }

    fn make(&self, workspace: &Workspace) -> Result<()> {
        for part in [GUEST, HANDLERS, CONTRACT] {
            let to = self.0.join(part);
            // What is no longer there is not to be tested.
            if to.exists() {
                fs::remove_dir_all(&to).with_context(|| format!("failed to empty {}", to.display()))?;
            }
            copy(&workspace.root.join(part), &to)?;
        }
        Ok(())
    }

    /// A program in one of its parts.
    fn command(&self, program: &str, part: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.join(part));
        command
    }
}

/// A folder with all that is in it, but for what a package manager put there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        }
    }
    Ok(())
}

/// A Node that is new enough, with npm.
fn node() -> Result<()> {
    let asked = ["-p", "Number(process.versions.node.split('.')[0]) >= 20"];
    let is_new = capture(Command::new("node").args(asked)).is_ok_and(|said| said.trim() == "true");
    ensure!(
        is_new && capture(Command::new("npm").arg("--version")).is_ok(),
        "handlers in JavaScript need Node 20 or newer with npm, as `node` and `npm`"
    );
    Ok(())
}
