//! Components of handlers in Python, which componentize-py makes of `app.py`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tokio::process::Command;

use super::{super::exit::Usage, sdk, tool};

/// The module that says what the component exports.
const APP: &str = "app";

/// Of the version that is tested with.
const TOOL: &str = "componentize-py==0.25.1";

/// Makes the component of the project in a folder. `spare` is room for what is needed meanwhile.
pub(super) async fn build(folder: &Path, component: &Path, spare: &Path) -> anyhow::Result<()> {
    let file = folder.join(APP).with_extension("py");
    let source = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let world = world(&source).map_err(|problem| Usage(format!("{}: {problem}", file.display())))?;
    let sdk = sdk::of(folder, sdk::PYTHON, spare)?;
    let environment = folder.join(".venv");
    let mut command = Command::new(program(folder, &environment, env::var_os("PATH").as_deref())?);
    command.current_dir(folder).arg("-d").arg(sdk.join("wit"));
    if world.starts_with("windlass:python/") {
        command.arg("-d").arg(sdk.join("wit-waiting"));
    }
    command.args(["-w", world, "componentize", APP, "-p", ".", "-p"]).arg(&sdk).arg("-o").arg(component);
    // Packages that handlers need are those of the project's own environment.
    if environment.is_dir() {
        command.env("VIRTUAL_ENV", &environment);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    tool::run(&mut command, "install it").await
}

/// The world of the contract that the module's exports belong to.
fn world(source: &str) -> Result<&'static str, String> {
    let assigns = |name: &str| {
        let rest = source.lines().filter_map(|line| line.strip_prefix(name));
        rest.map(str::trim_start).any(|rest| rest.starts_with('=') || rest.starts_with(':'))
    };
    match (assigns("Handlers"), assigns("AsyncHandlers")) {
        (true, false) => Ok("sync-module"),
        (false, true) => Ok("windlass:python/async-module"),
        (true, true) => Ok("windlass:python/mixed-module"),
        (false, false) => Err("nothing is exported: end it with `Handlers = export(\"NAME\", \"0.1.0\", …)`, or with \
                               `AsyncHandlers = export(…)` of async handlers"
            .to_owned()),
    }
}

/// componentize-py, of the project's own environment or of the user's.
fn program(folder: &Path, environment: &Path, path: Option<&std::ffi::OsStr>) -> anyhow::Result<PathBuf> {
    let own = environment.join("bin/componentize-py");
    let of_user = path.into_iter().flat_map(env::split_paths).map(|folder| folder.join("componentize-py"));
    if let Some(program) = [own].into_iter().chain(of_user).find(|program| program.is_file()) {
        return Ok(program);
    }
    let what = if folder.join("requirements.txt").is_file() { "-r requirements.txt" } else { TOOL };
    anyhow::bail!(
        "failed to find componentize-py, which makes components of Python: type `python3 -m venv .venv && .venv/bin/pip install \
         {what}` in {}",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_that_of_what_is_exported() {
        for (source, expected) in [
            ("import a\nHandlers = export(\"a\", \"1\", f)\n", "sync-module"),
            ("AsyncHandlers: type = export(\"a\", \"1\", f)\n", "windlass:python/async-module"),
            ("Handlers = 1\nAsyncHandlers = 2\n", "windlass:python/mixed-module"),
        ] {
            assert_eq!(world(source), Ok(expected));
        }
        for source in ["", "# Handlers = export()\n", "HandlersOfMine = 1\n"] {
            assert!(world(source).unwrap_err().contains("end it with `Handlers = export("));
        }
    }

    #[test]
    fn where_there_is_no_componentize_py_it_is_said_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, environment) = (folder.path(), folder.path().join(".venv"));
        let missing = program(folder, &environment, None).unwrap_err().to_string();
        assert!(missing.contains(&format!("`python3 -m venv .venv && .venv/bin/pip install {TOOL}`")), "{missing}");
        fs::write(folder.join("requirements.txt"), TOOL).unwrap();
        let missing = program(folder, &environment, Some("/nowhere".as_ref())).unwrap_err().to_string();
        assert!(missing.contains("pip install -r requirements.txt`"), "{missing}");
        fs::write(folder.join("componentize-py"), "").unwrap();
        assert_eq!(program(folder, &environment, Some(folder.as_os_str())).unwrap(), folder.join("componentize-py"));
    }

    #[test]
    fn the_version_that_is_asked_for_is_that_of_new_projects() {
        assert_eq!(include_str!("../../../templates/python/requirements.txt").trim(), TOOL);
    }
}
