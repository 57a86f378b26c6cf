//! Files that the command line names: why one cannot be read, and what to do about it.

use std::{fs, io, path::Path};

/// Opens a file. `what` it is and what to do where there is none (`absent`) stand in the error.
pub(super) fn open(path: &Path, what: &str, absent: &str) -> anyhow::Result<fs::File> {
    fs::File::open(path).map_err(|error| unread(path, what, absent, &error))
}

/// Reads all of a file, as [`open`] opens it.
pub(super) fn read(path: &Path, what: &str, absent: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(path).map_err(|error| unread(path, what, absent, &error))
}

/// Says it.
pub(super) fn unread(path: &Path, what: &str, absent: &str, error: &io::Error) -> anyhow::Error {
    let path = path.display();
    let why = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no such file: {absent}, or correct the path"),
        io::ErrorKind::IsADirectory => "it is a folder: name a file in it".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not read it: change its owner or mode, or run the command as another user".to_owned()
        }
        _ => error.to_string(),
    };
    anyhow::anyhow!("failed to read {what} {path}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| read(path, "the component", "build it first").unwrap_err().to_string();
        let absent = folder.path().join("a.wasm");
        assert_eq!(
            refusal(&absent),
            format!(
                "failed to read the component {}: there is no such file: build it first, or correct the path",
                absent.display()
            )
        );
        assert!(refusal(folder.path()).ends_with(": it is a folder: name a file in it"));
    }
}
