//! A file that is there whole or not at all.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Where an export goes.
pub(super) enum Target {
    /// Standard output.
    Stdout(BufWriter<io::Stdout>),
    /// A file beside the one that it becomes in the end. Dropped before that, it is removed.
    File { file: BufWriter<NamedTempFile>, path: PathBuf },
}

impl Target {
    /// Begins to write; `-` is standard output.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        }
        let failed = || format!("failed to write {}", path.display());
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name =
            name.filter(|_| !path.is_dir()).ok_or_else(|| anyhow::anyhow!("it names a folder")).with_context(failed)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".partial").tempfile_in(folder);
        Ok(Self::File { file: BufWriter::with_capacity(1 << 20, file.with_context(failed)?), path: path.to_owned() })
    }

    /// Where what is written goes.
    pub(super) fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(out) => out,
            Self::File { file, .. } => file,
        }
    }

    /// Everything is written: gives the file its name, once it is on the disk.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File { file, path } => {
                let failed = || format!("failed to write {}", path.display());
                let file = file.into_inner().map_err(io::IntoInnerError::into_error).with_context(failed)?;
                file.as_file().sync_all().with_context(failed)?;
                file.persist(&path).map_err(|error| error.error).with_context(failed)?;
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                // The name itself must outlast a power cut too; where a file system cannot promise that, the file is there
                // all the same.
                drop(File::open(folder).and_then(|folder| folder.sync_all()));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_was_not_finished_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.jsonl");
        fs::write(&path, "before").unwrap();
        let mut target = Target::create(&path).unwrap();
        target.writer().write_all(b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        drop(target);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"before".to_vec(), 1));

        let mut target = Target::create(&path).unwrap();
        target.writer().write_all(b"after").unwrap();
        target.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"after".to_vec(), 1));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("a/b")] {
            let error = Target::create(&path).err().unwrap().to_string();
            assert_eq!(error, format!("failed to write {}", path.display()));
        }
    }
}
