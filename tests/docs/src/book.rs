//! What there is to read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A text of the documentation.
#[derive(Debug)]
pub struct Page {
    /// Its file.
    pub path: PathBuf,
    /// The file from the root of the checkout, for messages.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

impl Page {
    fn read(path: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        Ok(Self { path, name, text })
    }
}

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}

/// The folder of the book's pages.
pub(crate) fn source() -> PathBuf {
    root().join("docs/src")
}

/// The pages of the book, its table of contents included.
///
/// # Errors
/// Where one cannot be read.
pub fn pages() -> Result<Vec<Page>> {
    let mut files = Vec::new();
    gather(&source(), &mut files)?;
    files.sort();
    files.into_iter().map(Page::read).collect()
}

/// All texts: the pages, those at the root, and those of the examples.
///
/// # Errors
/// Where one cannot be read.
pub fn texts() -> Result<Vec<Page>> {
    let mut texts = pages()?;
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        texts.push(Page::read(root().join(name))?);
    }
    let mut beside = Vec::new();
    for room in ["examples", "integrations", "guest-sdk"] {
        gather(&root().join(room), &mut beside)?;
    }
    beside.sort();
    for text in beside {
        texts.push(Page::read(text)?);
    }
    Ok(texts)
}

/// The files that the table of contents lists.
///
/// # Errors
/// Where it cannot be read.
pub fn listed() -> Result<Vec<PathBuf>> {
    let contents = Page::read(source().join("SUMMARY.md"))?;
    let targets = contents.text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    Ok(targets.map(|(target, _)| source().join(target)).collect())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        // What package managers put beside the sources is of others.
        if path.ends_with("node_modules") || path.ends_with(".venv") {
            continue;
        }
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}
