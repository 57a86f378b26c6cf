//! What a new project is made of, and making one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{
    super::exit::Usage,
    Language,
    files::{File, files, write},
    sdk::{self, RustSdk},
};

const RUST: &[File] = files!("templates/rust":
    "Cargo.toml.txt" => "Cargo.toml",
    "rust-toolchain.toml",
    "gitignore" => ".gitignore",
    "README.md",
    "src/lib.rs",
);

const PYTHON: &[File] = files!("templates/python":
    "app.py",
    "test_app.py",
    "requirements.txt",
    "gitignore" => ".gitignore",
    "README.md",
);

const JAVASCRIPT: &[File] = files!("templates/js":
    "package.json",
    "npmrc" => ".npmrc",
    "app.js",
    "handlers.js",
    "handlers.test.js",
    "gitignore" => ".gitignore",
    "README.md",
);

/// No name is longer: it is that of files, too.
const MAX_NAME_BYTES: usize = 64;

/// Names that a language, its packages or its tools have for something else.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "componentize-qjs",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "node_modules",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "use",
    "where",
    "while",
    "windlass-guest",
    "windlass_guest",
];

/// What is asked for.
#[derive(Debug)]
pub(in super::super) struct New<'a> {
    /// Where; the last part is the name.
    pub(in super::super) folder: &'a Path,
    pub(in super::super) language: Language,
    /// Of Rust alone; the others have theirs in them.
    pub(in super::super) sdk: &'a RustSdk,
}

impl New<'_> {
    /// The module's name.
    pub(in super::super) fn name(&self) -> Result<&str, Usage> {
        let name = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        check(name).map(|()| name)
    }

    /// Where the library is that handlers are written against.
    pub(in super::super) fn library(&self) -> String {
        match self.language {
            Language::Rust => self.sdk.told(),
            Language::Python | Language::Js => format!("{}/ in the project, as this program has it", sdk::FOLDER),
        }
    }

    /// What to type next, in the folder that the project's was made in, up to the component; each line with what it is for.
    pub(in super::super) fn steps(&self) -> Result<Vec<(String, &'static str)>, Usage> {
        let name = self.name()?;
        let mut steps = vec![(format!("cd {}", quoted(self.folder)), "")];
        let mut step = |line: &str, why| steps.push((line.to_owned(), why));
        match self.language {
            Language::Rust => step("cargo test", "the handlers, natively"),
            Language::Python => {
                step("PYTHONPATH=sdk python3 -m unittest", "the handlers, natively");
                step("python3 -m venv .venv", "");
                step(".venv/bin/pip install -r requirements.txt", "what makes components");
            }
            Language::Js => {
                step("npm install", "what makes components");
                step("npm test", "the handlers, natively");
            }
        }
        step("windlass build", "the component");
        step(&format!("windlass run {name}.wasm greet '{{ \"name\": \"Ada\" }}'"), "in the sandbox, without a host");
        Ok(steps)
    }
}

/// Makes a project in a folder that is not there yet. Where anything fails, nothing of it stays.
pub(in super::super) fn make(new: &New<'_>) -> anyhow::Result<()> {
    let name = new.name()?;
    let shown = new.folder.display();
    if new.folder.symlink_metadata().is_ok() {
        return Err(Usage(format!("{shown} is there already: choose another name, or move it away")).into());
    }
    let parent = new.folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Usage(format!("there is no folder {} to make {name} in: make it first", parent.display())).into());
    }
    let draft = tempfile::Builder::new().prefix(".windlass-new-").tempdir_in(parent);
    let draft = draft.with_context(|| format!("failed to make a project in {}", parent.display()))?;
    let made = draft.path().join(name);
    fill(new, name, &made)?;
    match fs::rename(&made, new.folder) {
        Ok(()) => Ok(()),
        Err(error) => bail!("failed to put the project into {shown}: {error}"),
    }
}

fn fill(new: &New<'_>, name: &str, folder: &Path) -> anyhow::Result<()> {
    let dependency = new.sdk.dependency(new.folder)?;
    let filled = |text: &str| text.replace("{{name}}", name).replace("{{sdk}}", &dependency);
    match new.language {
        Language::Rust => {
            write(RUST, folder, filled)?;
            if let Some(lock) = new.sdk.lock_file() {
                fs::copy(&lock, folder.join("Cargo.lock"))
                    .with_context(|| format!("failed to copy {}", lock.display()))?;
            }
        }
        Language::Python => {
            write(PYTHON, folder, filled)?;
            sdk::put(sdk::PYTHON, &folder.join(sdk::FOLDER))?;
        }
        Language::Js => {
            write(JAVASCRIPT, folder, filled)?;
            sdk::put(sdk::JAVASCRIPT, &folder.join(sdk::FOLDER))?;
        }
    }
    Ok(())
}

/// A name is that of a module, of a package in any of the languages, and of a folder.
fn check(name: &str) -> Result<(), Usage> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !begins_well || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(Usage(format!(
            "`{name}` is no name for a project: expected 1 to {MAX_NAME_BYTES} of a-z, 0-9, `-` and `_`, beginning with a letter, such as \
             my-handlers"
        )));
    }
    if TAKEN.contains(&name) {
        return Err(Usage(format!("`{name}` means something else already: choose another name, such as my-{name}")));
    }
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    // Without a slash at its end.
    let path: PathBuf = path.components().collect();
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-~+".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(folder: &Path, language: Language) -> New<'_> {
        New { folder, language, sdk: &RustSdk::Repository }
    }

    #[test]
    fn a_project_has_its_name_and_its_library_in_it() {
        let folder = tempfile::tempdir().unwrap();
        for (language, file, text) in [
            (Language::Rust, "Cargo.toml", "name = \"hello-1\"\n"),
            (Language::Python, "app.py", "export(\"hello-1\", "),
            (Language::Js, "package.json", "\"name\": \"hello-1\","),
        ] {
            let project = folder.path().join(language.to_string()).join("hello-1");
            fs::create_dir(project.parent().unwrap()).unwrap();
            make(&new(&project, language)).unwrap();
            let written = fs::read_to_string(project.join(file)).unwrap();
            assert!(written.contains(text), "{written}");
            for file in ["README.md", ".gitignore"] {
                let written = fs::read_to_string(project.join(file)).unwrap();
                assert!(!written.is_empty() && !written.contains("{{"), "{written}");
            }
            assert_eq!(project.join("sdk/wit/job.wit").is_file(), language != Language::Rust);
            assert_eq!(super::super::Project::find(&project, None).unwrap().language, language);
            // Nothing else is left beside it.
            assert_eq!(fs::read_dir(project.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_what_one_is() {
        for name in ["", "Hello", "1st", "a b", "a.b", "-a", "ü", &"a".repeat(65)] {
            let refused = check(name).unwrap_err().to_string();
            assert!(refused.contains("beginning with a letter, such as my-handlers"), "{refused}");
        }
        for name in TAKEN {
            assert!(check(name).unwrap_err().to_string().ends_with(&format!("such as my-{name}")));
        }
        for name in ["a", "my-handlers", "a_1", &"a".repeat(64)] {
            assert!(check(name).is_ok());
        }
    }

    #[test]
    fn a_folder_that_is_there_or_has_none_around_it_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("hello");
        fs::write(&there, "mine").unwrap();
        let refused = make(&new(&there, Language::Rust)).unwrap_err();
        assert!(
            refused.is::<Usage>() && refused.to_string().contains("is there already: choose another name"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
        let refused = make(&new(&folder.path().join("no/hello"), Language::Rust)).unwrap_err();
        assert!(refused.is::<Usage>() && refused.to_string().contains("to make hello in: make it first"), "{refused}");
    }

    #[test]
    fn the_versions_that_a_project_asks_for_are_those_that_are_tested_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
        let text = |files: &[File], name: &str| files.iter().find(|file| file.name == name).unwrap().text;
        let line = |text: &str, start: &str| {
            text.lines().find(|line| line.trim().starts_with(start)).unwrap().trim().to_owned()
        };
        let toolchain = line(text(RUST, "rust-toolchain.toml"), "channel");
        assert_eq!(toolchain, line(&read("rust-toolchain.toml"), "channel"));
        let requirement = line(text(PYTHON, "requirements.txt"), "componentize-py");
        assert_eq!(requirement, line(&read("integrations/python/tests/requirements.txt"), "componentize-py"));
        let dependency = line(text(JAVASCRIPT, "package.json"), "\"componentize-qjs\"");
        assert_eq!(dependency, line(&read("examples/js-markdown/package.json"), "\"componentize-qjs\""));
    }

    #[test]
    fn a_path_is_shown_as_a_shell_takes_it() {
        assert_eq!(quoted(Path::new("of/hello/")), "of/hello");
        assert_eq!(quoted(Path::new("my folder/it's")), r"'my folder/it'\''s'");
    }
}
