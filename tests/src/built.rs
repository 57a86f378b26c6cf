//! Where the things under test were built to.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The host's binary.
///
/// # Errors
/// Where it has not been built.
pub fn windlass() -> Result<PathBuf> {
    there(target()?.join("debug").join(format!("windlass{}", env::consts::EXE_SUFFIX)))
}

/// An application of `examples/`.
///
/// # Errors
/// Where it has not been built.
pub fn application(name: &str) -> Result<PathBuf> {
    there(target()?.join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// The component of an example.
///
/// # Errors
/// Where it has not been built.
pub fn component(name: &str) -> Result<PathBuf> {
    there(target()?.join("components").join(format!("{name}.wasm")))
}

/// The component of a test guest.
///
/// # Errors
/// Where it has not been built.
pub fn guest(name: &str) -> Result<PathBuf> {
    component(&format!("guests/{name}"))
}

/// The names of all test guests, by their source files.
///
/// # Errors
/// Where their folder cannot be read.
pub fn guest_names() -> Result<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/examples");
    let entries = fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.push(path.file_stem().context("a file without a name")?.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// axe-core, which finds what keeps people from using a page; the tests' set-up brings it.
///
/// # Errors
/// Where it is not there.
pub fn axe() -> Result<PathBuf> {
    let file = target()?.join("browser/node_modules/axe-core/axe.min.js");
    ensure!(file.is_file(), "{} is not there; `cargo xtask test browser` brings it", file.display());
    Ok(file)
}

/// Where pictures of pages go.
///
/// # Errors
/// Where the tests were not built by cargo.
pub fn pictures() -> Result<PathBuf> {
    Ok(target()?.join("screenshots"))
}

/// Cargo builds a test to `TARGET/debug/deps` and a program to `TARGET/debug`, wherever that is.
pub(crate) fn target() -> Result<PathBuf> {
    let this = env::current_exe().context("failed to find the test's own file")?;
    let debug = this.ancestors().find(|folder| folder.ends_with("debug"));
    Ok(debug.and_then(Path::parent).context("the test was not built by cargo")?.to_owned())
}

fn there(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "{} is not there; build it with `cargo xtask build`", path.display());
    Ok(path)
}
