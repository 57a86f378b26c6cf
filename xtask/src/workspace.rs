//! Where things are.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// The checkout and what is built from it.
pub(crate) struct Workspace {
    /// The folder of the root Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where cargo builds, `CARGO_TARGET_DIR` included.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows about `CARGO_TARGET_DIR` and configuration files.
    pub(crate) fn locate() -> Result<Self> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&shell::capture(&mut command)?).context("cargo metadata")?;
        let path = |key: &str| metadata[key].as_str().map(PathBuf::from).with_context(|| format!("no {key}"));
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The everyday build of the host.
    pub(crate) fn host_binary(&self) -> PathBuf {
        self.target.join("debug").join(format!("windlass{}", env::consts::EXE_SUFFIX))
    }

    /// A program of the release build.
    pub(crate) fn release(&self, name: &str) -> PathBuf {
        self.target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// A program among the examples' own examples, such as those that make the demo's data.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.target.join("debug/examples").join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// Where the built components lie: those of `examples/` here, those of `tests/guests` in `guests/`.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("components")
    }

    /// Where tools that are built once for all checkouts go.
    pub(crate) fn tools(&self) -> PathBuf {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(|| self.target.clone())
            .join("windlass")
            .join("tools")
    }
}
