//! Compiled code on disk, by the digest of the component and by what the engine depends on.
//!
//! The folder belongs to the host's user alone, since what is in it is run as machine code. A file that does not match
//! its checksum, or that the engine does not load, counts as missing.

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use wasmtime::component::Component;

/// The SHA-256 of a component's bytes, which names it.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) struct Cache {
    folder: PathBuf,
    engine: wasmtime::Engine,
    engine_key: String,
}

impl Cache {
    /// Opens the folder, making it where it is missing and closing it to others where it is open.
    pub(crate) fn open(folder: &Path, engine: &wasmtime::Engine) -> io::Result<Self> {
        if !folder.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let metadata = fs::metadata(folder)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder: folder.to_owned(), engine: engine.clone(), engine_key: engine_key(engine) })
    }

    /// Code that was compiled earlier.
    pub(crate) fn load(&self, digest: &[u8; 32]) -> Option<Component> {
        let path = self.path(digest);
        let code = fs::read(&path).ok()?;
        if fs::read(checksum_of(&path)).ok()? != Sha256::digest(&code).as_slice() {
            tracing::warn!("compiled code in {} is damaged, compiling it anew", path.display());
            return None;
        }
        drop(code);
        match deserialize(&self.engine, &path) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!("failed to load compiled code from {}, compiling it anew: {error:#}", path.display());
                None
            }
        }
    }

    /// A file for a compiler to write to; it goes away unless it is kept. Nobody else can read it.
    pub(crate) fn draft(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix("compiling-").tempfile_in(&self.folder)
    }

    /// Puts a written file in its place: the checksum first, so that a half-done step counts as missing.
    ///
    /// Gives the code, ready; the inner error where the engine does not take what was compiled for it.
    pub(crate) fn keep(&self, digest: &[u8; 32], draft: NamedTempFile) -> io::Result<wasmtime::Result<Component>> {
        let compiled = deserialize(&self.engine, draft.path());
        if compiled.is_err() {
            return Ok(compiled);
        }
        let path = self.path(digest);
        let checksum = Sha256::digest(fs::read(draft.path())?);
        let mut beside = self.draft()?;
        beside.write_all(&checksum)?;
        beside.persist(checksum_of(&path))?;
        draft.persist(&path)?;
        Ok(compiled)
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}-{}.cwasm", hex(digest), self.engine_key))
    }
}

fn checksum_of(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn deserialize(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    #[expect(unsafe_code, reason = "loading compiled code is what a cache of it is for; see below")]
    // SAFETY: the file was written by this host's own compiler process, lies in a folder that only the host's user can
    // write to, and matches the checksum taken then. Nothing that a deployer uploads ever gets here: uploads that are
    // precompiled are refused by `inspect`. The engine itself checks version and settings.
    let component = unsafe { Component::deserialize_file(engine, path) };
    component
}

/// What compiled code depends on, as text: wasmtime's version, the processor's features, the engine's settings.
fn engine_key(engine: &wasmtime::Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize()[..8])
}

/// Hashes into SHA-256, whose output, unlike the standard library's, stays the same between builds.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let output: [u8; 32] = self.0.clone().finalize().into();
        output.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
