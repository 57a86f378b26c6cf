//! The Python package: checked, built as a wheel, installed from it, and tested against the host that is built here. All of
//! that happens in an environment of its own in the target directory, with packages of fixed versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    browser,
    shell::{capture, step, works},
    workspace::Workspace,
};

/// Where the package is.
const PACKAGE: &str = "integrations/python";

/// The applications that show it, as seen from there.
const EXAMPLES: [&str; 2] = ["../../examples/fastapi", "../../examples/litestar"];

/// What checks and tests need, with all that this needs, each in one version.
const REQUIREMENTS: &str = "tests/requirements.txt";

/// Checks and tests it. The host and the components must be built.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    browser::chromium()?;
    let environment = Environment::set_up(workspace)?;
    environment.check()?;
    environment.install()?;
    environment.test(workspace)
}

struct Environment {
    /// The package.
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
        let venv = environment.folder.join("venv");
        let mut make = Command::new(interpreter()?);
        make.args(["-m", "venv", "--clear"]).arg(&venv);
        if !works(&mut make) {
            install_venv()?;
            step("making an environment for Python", &mut make)?;
        }
        let mut install = environment.pip(&["install", "--requirement"]);
        step("installing what the Python package's tests need", install.arg(&requirements))?;
        fs::write(&done, wanted).with_context(|| format!("failed to write {}", done.display()))?;
        Ok(environment)
    }

    /// Formatting, lints and types.
    fn check(&self) -> Result<()> {
        let ruff_cache = self.folder.join("ruff");
        let mut format = self.module("ruff", &["format", "--config", "pyproject.toml", "--check", "--quiet", "."]);
        format.args(EXAMPLES);
        step("checking the formatting of the Python package", format.env("RUFF_CACHE_DIR", &ruff_cache))?;
        let mut lint = self.module("ruff", &["check", "--config", "pyproject.toml", "--quiet", "."]);
        lint.args(EXAMPLES);
        step("linting the Python package", lint.env("RUFF_CACHE_DIR", &ruff_cache))?;
        step("checking the types of the Python package", &mut self.types())?;
        // One by one: each is a module of the same name.
        for example in EXAMPLES {
            step(&format!("checking the types of {example}"), self.types().arg(format!("{example}/app.py")))?;
        }
        Ok(())
    }

    fn types(&self) -> Command {
        let mut command = self.module("mypy", &["--cache-dir"]);
        command.arg(self.folder.join("mypy"));
        command
    }

    /// Builds the wheel and installs it, in place of one that was there.
    fn install(&self) -> Result<()> {
        let wheels = self.folder.join("wheels");
        if wheels.exists() {
            fs::remove_dir_all(&wheels).with_context(|| format!("failed to empty {}", wheels.display()))?;
        }
        // The build's own needs are among the fixed packages.
        let mut build = self.pip(&["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"]);
        step("building the wheel of the Python package", build.arg(&wheels).arg(&self.package))?;
        let wheel = only_file(&wheels)?;
        let mut install = self.pip(&["install", "--no-deps", "--force-reinstall"]);
        step("installing the wheel", install.arg(wheel))
    }

    fn test(&self, workspace: &Workspace) -> Result<()> {
        let mut tests = self.module("pytest", &["-p", "no:cacheprovider", "--durations", "5"]);
        tests
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
        let mut command = self.module("pip", arguments);
        command.args(["--quiet", "--disable-pip-version-check"]);
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
    bail!(
        "the Python package needs Python 3.10 or newer as `python3` (Debian: `apt-get install python3-venv`), not {there}"
    );
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
