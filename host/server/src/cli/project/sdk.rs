//! What handlers are written against. For Python and JavaScript it is a few small files, which this program holds and puts into each
//! project, so that a project builds with nothing else of Windlass's around. For Rust it is a crate, which cargo must find.

use std::{
    fs,
    path::{Component, Path, PathBuf, absolute},
};

use anyhow::Context as _;
use toml::{Table, Value};

use super::{
    super::exit::Usage,
    files::{File, files, write},
};

/// The folder of a project that holds it.
pub(super) const FOLDER: &str = "sdk";

/// The contract, for those who make components.
const CONTRACT: &[File] = files!("../../wit": "job.wit" => "wit/job.wit");

pub(super) const PYTHON: &[&[File]] = &[
    CONTRACT,
    files!("../../guest-sdk/python/wit": "waiting.wit" => "wit-waiting/waiting.wit"),
    files!("../../guest-sdk/python/src":
        "windlass_guest/__init__.py",
        "windlass_guest/_checkpoints.py",
        "windlass_guest/_component.py",
        "windlass_guest/_context.py",
        "windlass_guest/_errors.py",
        "windlass_guest/_follow_up.py",
        "windlass_guest/_handlers.py",
        "windlass_guest/_http.py",
        "windlass_guest/_json.py",
        "windlass_guest/_parent.py",
        "windlass_guest/_retry.py",
        "windlass_guest/_run.py",
        "windlass_guest/_schema.py",
        "windlass_guest/_waiting.py",
        "windlass_guest/py.typed",
        "windlass_guest/testing.py",
    ),
];

pub(super) const JAVASCRIPT: &[&[File]] = &[
    CONTRACT,
    files!("../../guest-sdk/js":
        "README.md",
        "package.json",
        "src/component.js",
        "src/context.js",
        "src/errors.js",
        "src/follow_up.js",
        "src/handler.js",
        "src/index.js",
        "src/json.js",
        "src/run.js",
        "src/steps.js",
        "src/testing.js",
    ),
];

/// Writes one into a folder.
pub(super) fn put(sdk: &[&[File]], folder: &Path) -> anyhow::Result<()> {
    sdk.iter().try_for_each(|files| write(files, folder, str::to_owned))
}

/// The one that a project has, else this program's own, written into `spare`.
pub(super) fn of(project: &Path, sdk: &[&[File]], spare: &Path) -> anyhow::Result<PathBuf> {
    let own = project.join(FOLDER);
    if own.join("wit/job.wit").is_file() {
        return Ok(own);
    }
    let spare = spare.join(FOLDER);
    put(sdk, &spare)?;
    Ok(spare)
}

/// Where cargo finds `windlass-guest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum RustSdk {
    /// The repository, which cargo fetches.
    Repository,
    /// A checkout of it.
    Checkout {
        /// The crate as the user named it, or the whole path.
        named: PathBuf,
        /// The crate.
        crate_folder: PathBuf,
    },
}

impl RustSdk {
    /// The crate in a folder, which is the crate's or that of the checkout around it.
    pub(in super::super) fn in_checkout(folder: &Path) -> Result<Self, Usage> {
        let candidates = [folder.to_owned(), folder.join("guest-sdk")];
        let Some(named) = candidates.into_iter().find(|folder| is_crate(folder)) else {
            return Err(Usage(format!(
                "{} holds no windlass-guest: expected the folder guest-sdk of a checkout of Windlass, such as ../windlass/guest-sdk",
                folder.display()
            )));
        };
        let crate_folder =
            absolute(&named).map_err(|error| Usage(format!("failed to find {}: {error}", named.display())))?;
        Ok(Self::Checkout { named, crate_folder })
    }

    /// The value of the dependency in the Cargo.toml of a project in this folder.
    pub(super) fn dependency(&self, project: &Path) -> anyhow::Result<String> {
        let (key, value) = match self {
            Self::Repository => ("git", env!("CARGO_PKG_REPOSITORY").to_owned()),
            Self::Checkout { named, crate_folder } => {
                let path = relative(named, project).unwrap_or_else(|| crate_folder.clone());
                let path = path.to_str().with_context(|| {
                    format!(
                        "failed to name {} in Cargo.toml: its path is no UTF-8, so move it elsewhere",
                        path.display()
                    )
                })?;
                ("path", path.to_owned())
            }
        };
        Ok(format!("{{ {key} = {} }}", Value::String(value)))
    }

    /// The versions of libraries that the crate was tested with.
    pub(super) fn lock_file(&self) -> Option<PathBuf> {
        let Self::Checkout { crate_folder, .. } = self else { return None };
        Some(crate_folder.parent()?.join("Cargo.lock")).filter(|file| file.is_file())
    }

    /// It in words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Repository => {
                format!("the repository {}; --sdk PATH takes it from a checkout", env!("CARGO_PKG_REPOSITORY"))
            }
            Self::Checkout { crate_folder, .. } => {
                let lock = if self.lock_file().is_some() { ", with the checkout's Cargo.lock" } else { "" };
                format!("{}{lock}", crate_folder.display())
            }
        }
    }
}

fn is_crate(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok().and_then(|text| text.parse::<Table>().ok());
    manifest.is_some_and(|manifest| {
        manifest.get("package").and_then(|package| package.get("name")?.as_str()) == Some("windlass-guest")
    })
}

/// A path from here as it is seen from a folder below here, where both can be told so.
fn relative(path: &Path, folder: &Path) -> Option<PathBuf> {
    let mut up = PathBuf::new();
    for part in folder.components() {
        match part {
            Component::Normal(_) => up.push(".."),
            Component::CurDir => {}
            _ => return None,
        }
    }
    path.is_relative().then(|| up.join(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn gather(folder: &Path, within: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() != "__pycache__" {
                gather(&path, within, found);
            } else if path.is_file() {
                found.insert(path.strip_prefix(within).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_libraries_goes_into_projects() {
        for (sdk, folder) in [(PYTHON, "guest-sdk/python/src"), (JAVASCRIPT, "guest-sdk/js/src")] {
            let folder = root().join(folder);
            let mut found = BTreeSet::new();
            gather(&folder, folder.parent().unwrap(), &mut found);
            let held: BTreeSet<_> = sdk.iter().copied().flatten().map(|file| file.name).collect();
            for name in found {
                let name = name
                    .strip_prefix("src/windlass_guest/")
                    .map_or(name.clone(), |name| format!("windlass_guest/{name}"));
                assert!(held.contains(name.as_str()), "{name} is not held: name it in project/sdk.rs");
            }
        }
        let contracts = fs::read_dir(root().join("wit")).unwrap().count();
        assert_eq!(contracts, CONTRACT.len(), "the contract has other files: name them in project/sdk.rs");
    }

    #[test]
    fn a_checkout_is_named_as_it_is_seen_from_the_project() {
        let sdk = |named: &str| RustSdk::Checkout { named: named.into(), crate_folder: "/a/windlass/guest-sdk".into() };
        for (named, project, path) in [
            ("windlass/guest-sdk", "hello", "../windlass/guest-sdk"),
            ("../windlass/guest-sdk", "./of/mine", "../../../windlass/guest-sdk"),
            ("/a/windlass/guest-sdk", "hello", "/a/windlass/guest-sdk"),
            ("windlass/guest-sdk", "../hello", "/a/windlass/guest-sdk"),
            ("windlass/guest-sdk", "/b/hello", "/a/windlass/guest-sdk"),
        ] {
            assert_eq!(sdk(named).dependency(Path::new(project)).unwrap(), format!("{{ path = \"{path}\" }}"));
        }
        assert!(RustSdk::Repository.dependency(Path::new("a")).unwrap().starts_with("{ git = \"https://"));
    }

    #[test]
    fn a_checkout_is_found_by_its_root_too_and_anything_else_is_refused() {
        let crate_of = |folder: &Path| match RustSdk::in_checkout(folder).unwrap() {
            RustSdk::Checkout { crate_folder, .. } => crate_folder,
            RustSdk::Repository => unreachable!("a folder was named"),
        };
        let of_root = crate_of(&root());
        assert_eq!(of_root, crate_of(&root().join("guest-sdk")));
        let sdk = RustSdk::in_checkout(&root()).unwrap();
        assert!(sdk.told().ends_with("guest-sdk, with the checkout's Cargo.lock"), "{}", sdk.told());
        let refused = RustSdk::in_checkout(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(refused.contains("/nowhere holds no windlass-guest: expected the folder guest-sdk"), "{refused}");
    }
}
