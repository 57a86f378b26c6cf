//! Files that the program holds, to be written into projects.

use std::{fs, path::Path};

use anyhow::Context as _;

/// A file: where it goes, and what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

/// The files of a folder of the repository, seen from this crate's, under the names that they have there, or under others.
macro_rules! files {
    ($folder:literal: $($from:literal $(=> $name:literal)?),+ $(,)?) => {
        &[$($crate::cli::project::files::File {
            name: $crate::cli::project::files::named!($from $(, $name)?),
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $from)),
        }),+]
    };
}

/// The second name where there is one.
macro_rules! named {
    ($from:literal) => {
        $from
    };
    ($from:literal, $name:literal) => {
        $name
    };
}

pub(super) use {files, named};

/// Writes files into a folder, each after what `fill` makes of it.
pub(super) fn write(files: &[File], folder: &Path, fill: impl Fn(&str) -> String) -> anyhow::Result<()> {
    for File { name, text } in files {
        let file = folder.join(name);
        let wrong = || format!("failed to write {}", file.display());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(wrong)?;
        }
        fs::write(&file, fill(text)).with_context(wrong)?;
    }
    Ok(())
}
