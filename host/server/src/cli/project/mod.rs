//! A folder in which handlers are written: in which language, and how a component is made of it. What makes components are programs
//! of each language's own; where one is missing, it is said how to get it.

mod files;
mod javascript;
mod python;
mod rust;
mod sdk;
mod templates;
mod tool;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

pub(super) use self::{
    sdk::RustSdk,
    templates::{New, make},
    tool::ToolFailed,
};
use super::exit::Usage;

/// What handlers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    Rust,
    Python,
    #[value(alias = "javascript")]
    Js,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::Js];

    /// The files that tell of it.
    const fn told_by(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["Cargo.toml"],
            Self::Python => &["app.py"],
            Self::Js => &["package.json", "app.js"],
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Js => "JavaScript",
        })
    }
}

/// A project.
#[derive(Debug)]
pub(super) struct Project {
    /// Its folder, whole.
    pub(super) folder: PathBuf,
    pub(super) language: Language,
}

impl Project {
    /// The project in a folder, in this language where it is given, else in the one that its files tell of.
    pub(super) fn find(folder: &Path, language: Option<Language>) -> anyhow::Result<Self> {
        let shown = folder.display();
        if !folder.is_dir() {
            return Err(Usage(format!(
                "there is no folder {shown}: name that of a project, or make one with `windlass new`"
            ))
            .into());
        }
        let folder = folder.canonicalize().with_context(|| format!("failed to find the folder {shown}"))?;
        let is_in = |language: &Language| language.told_by().iter().all(|file| folder.join(file).is_file());
        if let Some(language) = language {
            if is_in(&language) {
                return Ok(Self { folder, language });
            }
            let files = language.told_by().join(" and ");
            return Err(Usage(format!("{shown} is no project in {language}: expected {files} in it")).into());
        }
        match *Language::ALL.into_iter().filter(is_in).collect::<Vec<_>>().as_slice() {
            [language] => Ok(Self { folder, language }),
            [] => Err(Usage(format!(
                "{shown} is no project: expected Cargo.toml (Rust), app.py (Python), or package.json with app.js (JavaScript) in \
                 it; `windlass new` makes one"
            ))
            .into()),
            [first, second, ..] => {
                Err(Usage(format!("{shown} is a project in {first} and in {second}: say which with --lang")).into())
            }
        }
    }

    /// Where its component goes where nothing else is said: called as the folder is, in it.
    pub(super) fn component(&self) -> PathBuf {
        let mut name = self.folder.file_name().unwrap_or("component".as_ref()).to_owned();
        name.push(".wasm");
        self.folder.join(name)
    }

    /// Makes the component and puts it there in one step, so that a host that watches the folder never sees half of it.
    pub(super) async fn build(&self, component: &Path) -> anyhow::Result<()> {
        let folder = component.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = |what: &str| format!("failed to {what} the component {}", component.display());
        let draft = tempfile::Builder::new().prefix(".windlass-build-").tempdir_in(folder);
        let draft = draft.with_context(|| place("make room for"))?;
        let made = draft.path().join("component.wasm");
        match self.language {
            Language::Rust => {
                let built = rust::build(&self.folder).await?;
                fs::copy(&built, &made).with_context(|| format!("failed to copy {}", built.display()))?;
            }
            Language::Python => python::build(&self.folder, &made, draft.path()).await?,
            Language::Js => javascript::build(&self.folder, &made, draft.path()).await?,
        }
        fs::rename(&made, component).with_context(|| place("put into place"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], language: Option<Language>) -> anyhow::Result<Language> {
        let folder = tempfile::tempdir()?;
        for file in files {
            fs::write(folder.path().join(file), "")?;
        }
        Ok(Project::find(folder.path(), language)?.language)
    }

    #[test]
    fn a_project_is_told_by_its_files() {
        for (files, language) in [
            (&["Cargo.toml"][..], Language::Rust),
            (&["app.py", "requirements.txt"], Language::Python),
            (&["package.json", "app.js"], Language::Js),
            (&["Cargo.toml", "package.json"], Language::Rust),
        ] {
            assert_eq!(found(files, None).unwrap(), language);
        }
        assert_eq!(found(&["Cargo.toml", "app.py"], Some(Language::Python)).unwrap(), Language::Python);
    }

    #[test]
    fn what_is_no_project_is_refused_with_what_one_has() {
        for (files, language, said) in [
            (&["package.json"][..], None, "expected Cargo.toml (Rust), app.py (Python)"),
            (&["Cargo.toml", "app.py"], None, "in Rust and in Python: say which with --lang"),
            (&["Cargo.toml"], Some(Language::Js), "no project in JavaScript: expected package.json and app.js"),
        ] {
            let refused = found(files, language).unwrap_err();
            assert!(refused.is::<Usage>() && refused.to_string().contains(said), "{refused}");
        }
        let refused = Project::find(Path::new("/nowhere"), None).unwrap_err();
        assert!(refused.to_string().contains("there is no folder /nowhere"), "{refused}");
    }

    #[test]
    fn a_component_is_called_as_its_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let hello = folder.path().join("hello");
        fs::create_dir(&hello).unwrap();
        fs::write(hello.join("app.py"), "").unwrap();
        let project = Project::find(&hello, None).unwrap();
        assert_eq!(project.component(), hello.canonicalize().unwrap().join("hello.wasm"));
    }
}
