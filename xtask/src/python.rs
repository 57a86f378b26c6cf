//! What is written in Python: the package for applications, the one for handlers, and the examples of both. They are checked,
//! built as wheels, installed from them, and tested against the host that is built here. All of that happens in an environment
//! of its own in the target directory, with packages of fixed versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    browser, javascript,
    shell::{capture, step, works},
    workspace::Workspace,
};

/// The package for applications. Its settings of lints and types are those of all.
const PACKAGE: &str = "integrations/python";

/// The package for handlers, seen from there.
const GUEST: &str = "../../guest-sdk/python";

/// The examples of both, seen from there.
const EXAMPLES: [&str; 4] = ["../../examples/fastapi", "../../examples/litestar", SYNC, ASYNC];

/// The example of sync handlers, which becomes a component.
const SYNC: &str = "../../examples/python-text";

/// That of async ones.
const ASYNC: &str = "../../examples/python-fetch";

/// What checks and tests need, with all that this needs, each in one version.
const REQUIREMENTS: &str = "tests/requirements.txt";

/// Checks and tests all of it. The host and the components must be built.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    browser::chromium()?;
    let environment = Environment::set_up(workspace)?;
    environment.check()?;
    for package in [".", GUEST] {
        environment.install(package)?;
    }
    environment.componentize(workspace, "python-text", SYNC, &["-d", "../../wit", "-w", "sync-module"])?;
    let waiting = ["-d", "../../wit", "-d", &format!("{GUEST}/wit"), "-w", "windlass:python/async-module"];
    environment.componentize(workspace, "python-fetch", ASYNC, &waiting)?;
    // All languages run side by side.
    javascript::component(workspace)?;
    environment.test(workspace)
}

struct Environment {
    /// The package for applications: where everything is run.
    package: PathBuf,
    /// The virtual environment and what is built.
    folder: PathBuf,
}

impl Environment {
    /// Makes it where it is not there yet, or was made for other packages.
    fn set_up(workspace: &Workspace) -> Result<Self> {
        let (package, folder) = (workspace.root.join(PACKAGE), workspace.target.join("python"));
        let environment = Self { package, folder };
        let requirements = environment.package.join(REQUIREMENTS);
        let wanted = fs::read(&requirements).with_context(|| format!("failed to read {}", requirements.display()))?;
        // Written last, so that what was begun and not ended is begun anew.
        let done = environment.folder.join("requirements.txt");
        if fs::read(&done).is_ok_and(|made_for| made_for == wanted) && works(environment.python().arg("--version")) {
            return Ok(environment);
        }
        let mut make = Command::new(interpreter()?);
        make.args(["-m", "venv", "--clear"]).arg(environment.folder.join("venv"));
        if !works(&mut make) {
            install_venv()?;
            step("making an environment for Python", &mut make)?;
        }
        let mut install = environment.pip(&["install", "--requirement"]);
        step("installing what the Python packages' tests need", install.arg(&requirements))?;
        fs::write(&done, wanted).with_context(|| format!("failed to write {}", done.display()))?;
        Ok(environment)
    }

    /// Formatting, lints and types.
    fn check(&self) -> Result<()> {
        for (what, arguments) in [("formatting", &["format", "--check"][..]), ("linting", &["check"][..])] {
            let mut ruff = self.module("ruff", arguments);
            ruff.args(["--quiet", "--config", "pyproject.toml", ".", GUEST]).args(EXAMPLES);
            step(&format!("{what}: Python"), ruff.env("RUFF_CACHE_DIR", self.folder.join("ruff")))?;
        }
        // One by one, since each example is a module of the same name. Without anything to check it is the package itself.
        let apps = EXAMPLES.map(|example| vec![format!("{example}/app.py")]);
        let guest = ["src", "tests"].map(|folder| format!("{GUEST}/{folder}")).to_vec();
        for checked in [vec![], guest].into_iter().chain(apps) {
            let mut types = self.module("mypy", &["--cache-dir"]);
            types.arg(self.folder.join("mypy")).args(&checked);
            // The packages as they are here, whichever are installed.
            types.env("MYPYPATH", format!("src:{GUEST}/src"));
            step(&format!("types: Python {}", checked.join(" ")), &mut types)?;
        }
        Ok(())
    }

    /// Builds a package's wheel and installs it, in place of one that was there.
    fn install(&self, package: &str) -> Result<()> {
        let wheels = self.folder.join("wheels");
        if wheels.exists() {
            fs::remove_dir_all(&wheels).with_context(|| format!("failed to empty {}", wheels.display()))?;
        }
        // The build's own needs are among the fixed packages.
        let mut build = self.pip(&["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"]);
        step(&format!("building the wheel of {package}"), build.arg(&wheels).arg(package))?;
        let wheel = only_file(&wheels)?;
        let mut install = self.pip(&["install", "--no-deps", "--force-reinstall"]);
        step("installing the wheel", install.arg(wheel))
    }

    /// Makes a component of handlers in Python, for the world that `world` gives with where it is.
    fn componentize(&self, workspace: &Workspace, name: &str, handlers: &str, world: &[&str]) -> Result<()> {
        let component = workspace.components().join(format!("{name}.wasm"));
        let mut command = Command::new(self.folder.join("venv/bin/componentize-py"));
        command.current_dir(&self.package).args(world).args(["componentize", "app"]);
        command.args(["-p", handlers, "-p", &format!("{GUEST}/src"), "-o"]).arg(component);
        // Else it would look at all packages that are installed.
        command.env_remove("VIRTUAL_ENV").env("PYTHONDONTWRITEBYTECODE", "1");
        step(&format!("building the handlers in Python: {name}"), &mut command)
    }

    fn test(&self, workspace: &Workspace) -> Result<()> {
        let mut tests = self.module("pytest", &["-p", "no:cacheprovider", "--durations", "5"]);
        tests
            .args(["tests", &format!("{GUEST}/tests")])
            .env("WINDLASS_BIN", workspace.host_binary())
            .env("WINDLASS_COMPONENTS", workspace.components())
            .env("WINDLASS_CHECKOUT", &workspace.root)
            .env("WINDLASS_TARGET", &workspace.target)
            // Somebody's own host is not to be tested.
            .env_remove("WINDLASS_URL")
            .env_remove("WINDLASS_TOKEN");
        step("Python tests", &mut tests)
    }

    /// A module of Python, at the package's root.
    fn module(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.python();
        command.current_dir(&self.package).args(["-m", name]).args(arguments);
        // Nothing is left in the checkout.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn pip(&self, arguments: &[&str]) -> Command {
        let mut command = self.module("pip", &["--quiet", "--disable-pip-version-check"]);
        command.args(arguments);
        command
    }

    fn python(&self) -> Command {
        Command::new(self.folder.join("venv/bin/python"))
    }
}

/// A Python that is new enough.
fn interpreter() -> Result<&'static str> {
    let is_new = "import sys; sys.exit(sys.version_info < (3, 10))";
    if works(Command::new("python3").args(["-c", is_new])) {
        return Ok("python3");
    }
    let there = capture(Command::new("python3").arg("--version")).unwrap_or_else(|_| "none".to_owned());
    bail!("the tests need Python 3.10 or newer as `python3` (Debian: `apt-get install python3-venv`), not {there}");
}

/// Debian has what makes environments in a package of its own.
fn install_venv() -> Result<()> {
    if rustix::process::geteuid().is_root() && works(Command::new("apt-get").arg("--version")) {
        step("looking for packages", Command::new("apt-get").args(["update", "--quiet"]))?;
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--quiet", "--no-install-recommends", "python3-venv"]);
        return step("installing python3-venv", install.env("DEBIAN_FRONTEND", "noninteractive"));
    }
    bail!("Python's `venv` does not work: install it (Debian: `apt-get install python3-venv`)");
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(files.len() == 1, "expected one wheel in {}, and there are {}", folder.display(), files.len());
    Ok(files.remove(0))
}
