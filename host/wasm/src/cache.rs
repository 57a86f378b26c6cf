//! Compiled code on disk, by the digest of the component and by what the engine depends on.
//!
//! The folder belongs to the host's user alone, since what is in it is run as machine code. A file that is not this
//! user's, that does not match its checksum, or that the engine does not load, counts as missing.

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use wasmtime::component::Component;

/// The SHA-256 of a component's bytes, which names it.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// How the names of files begin that a compiler writes to.
const DRAFT_PREFIX: &str = "compiling-";

/// A draft that is older, and older than a compiler may take, was left by a host that was killed.
const MIN_DRAFT_LIFETIME: Duration = Duration::from_secs(600);

pub(crate) struct Cache {
    folder: PathBuf,
    engine: wasmtime::Engine,
    engine_key: String,
}

impl Cache {
    /// Opens the folder, making it where it is missing and closing it to others where they can read it. A folder that
    /// others could write to is refused rather than closed: they may have put machine code there already.
    pub(crate) fn open(folder: &Path, engine: &wasmtime::Engine, compile_timeout: Duration) -> io::Result<Self> {
        if !folder.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let metadata = fs::metadata(folder)?;
        let (owner, own) = (metadata.uid(), own_uid());
        if owner != own {
            return Err(io::Error::other(format!(
                "it belongs to the user {owner} and this process runs as {own}: name a folder of this user's own, \
                 since what is in it is run as machine code"
            )));
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others can write to it (its mode is {mode:03o}), and what is in it is run as machine code: name \
                 another folder, or empty this one and close it (`chmod 700`)"
            )));
        }
        if mode & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        remove_old_drafts(folder, compile_timeout.max(MIN_DRAFT_LIFETIME));
        Ok(Self { folder: folder.to_owned(), engine: engine.clone(), engine_key: engine_key(engine) })
    }

    /// Code that was compiled earlier.
    pub(crate) fn load(&self, digest: &[u8; 32]) -> Option<Component> {
        let path = self.path(digest);
        let code = fs::read(&path).ok()?;
        if !is_own(&path) || !is_own(&checksum_of(&path)) {
            tracing::warn!("compiled code in {} is not this user's own, compiling it anew", path.display());
            return None;
        }
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
        tempfile::Builder::new().prefix(DRAFT_PREFIX).tempfile_in(&self.folder)
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

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_own(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.uid() == own_uid())
}

/// Removes what hosts that were killed left half-done. What cannot be removed only takes space.
fn remove_old_drafts(folder: &Path, lifetime: Duration) {
    let Ok(files) = fs::read_dir(folder) else { return };
    for file in files.flatten() {
        let is_draft = file.file_name().to_str().is_some_and(|name| name.starts_with(DRAFT_PREFIX));
        let changed_at = file.metadata().and_then(|metadata| metadata.modified());
        let age = changed_at.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
        if is_draft && age > lifetime {
            let _ = fs::remove_file(file.path());
        }
    }
}

fn checksum_of(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn deserialize(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    #[expect(unsafe_code, reason = "loading compiled code is what a cache of it is for; see below")]
    // SAFETY: the file was written by this host's own compiler process, is the host's user's, lies in a folder that
    // nobody else can write to, and matches the checksum taken then. Nothing that a deployer uploads ever gets here:
    // uploads that are precompiled are refused by `inspect`. The engine itself checks version and settings.
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
