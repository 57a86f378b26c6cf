//! Components of handlers in Rust: what cargo makes for `wasm32-wasip2`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::tool;

const TARGET: &str = "wasm32-wasip2";

const GET_RUST: &str = "install Rust with rustup, from https://rustup.rs";

/// Builds the package in a folder and gives its component, where cargo put it.
pub(super) async fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    check_target(folder).await?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args(["build", "--lib", "--release", "--target", TARGET]);
    cargo.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    let mut child = tool::start(&mut cargo, GET_RUST)?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut component = None;
    while let Some(line) = lines.next_line().await.context("failed to read what cargo says")? {
        component = made(&line, folder).or(component);
    }
    tool::ended(&cargo, child).await?;
    component.with_context(|| {
        format!(
            "cargo made no component of {}: it needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib] in its Cargo.toml",
            folder.display()
        )
    })
}

/// A line of cargo's, where it tells of something that was made.
#[derive(Deserialize)]
struct Made {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

/// The component of the package in this folder, where the line tells of it.
fn made(line: &str, folder: &Path) -> Option<PathBuf> {
    let Made { manifest_path, filenames } = serde_json::from_str(line).ok()?;
    let of_folder = manifest_path.parent()?.canonicalize().is_ok_and(|parent| parent == folder);
    filenames.into_iter().find(|file| of_folder && file.extension().is_some_and(|extension| extension == "wasm"))
}

/// Without it cargo fails for every crate, in many words. rustc is asked, since rustup need not be there.
async fn check_target(folder: &Path) -> anyhow::Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]);
    rustc.stdout(Stdio::piped());
    let child = tool::start(&mut rustc, GET_RUST)?;
    let output = child.wait_with_output().await.context("failed to wait for rustc")?;
    let libraries = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&libraries).is_dir() {
        return Ok(());
    }
    anyhow::bail!(
        "this Rust builds nothing for {TARGET}: type `rustup target add {TARGET}` in {}, or install that target the way your Rust came",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_the_one_of_the_package_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let line = |manifest: &Path, files: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"{}/Cargo.toml","filenames":[{files}]}}"#,
                manifest.display()
            )
        };
        let files = r#""/t/libhello.rlib","/t/hello.wasm""#;
        assert_eq!(made(&line(&folder, files), &folder), Some("/t/hello.wasm".into()));
        assert_eq!(made(&line(&folder, r#""/t/libhello.rlib""#), &folder), None);
        assert_eq!(made(&line(Path::new("/"), files), &folder), None);
        assert_eq!(made(r#"{"reason":"build-finished","success":true}"#, &folder), None);
    }
}
