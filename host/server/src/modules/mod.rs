//! Modules on this host: deploying components, and finding the one that a job runs on.
//!
//! What is deployed is kept in storage; what is kept here is only a cache of what was loaded.

mod breaking;
mod canary;
mod deploy;
pub(crate) mod manifest;
mod retire;
mod signature;
mod watch;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;
use windlass_api::{Digest, ModuleName, VersionView};
use windlass_jobs::storage::{Storage, StorageError};
use windlass_wasm::{Compiler, Component, Refusal};

use self::signature::Trusted;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::signature::is_signed;
pub use self::{
    canary::CanaryError,
    deploy::{Activation, DeployError, Upload},
    retire::RetireError,
    watch::watch,
};
pub(crate) use self::{signature::MAX_SIGNATURE_BYTES, watch::next_change};
use crate::config::SignatureSettings;

/// Fewer than the pool has to spare for it, so that deploying never takes a place from a job.
const DESCRIBED_AT_ONCE: usize = 8;

/// Versions that stay loaded. Loading one more from the cache of compiled code takes about a millisecond.
const MAX_LOADED: usize = 256;

/// The modules that this host can run.
pub struct Modules {
    storage: Arc<dyn Storage>,
    compiler: Compiler,
    trusted: Trusted,
    /// How many components may describe themselves at once: each takes a place that the pool has beyond the job slots.
    describing: Semaphore,
    loaded: Mutex<HashMap<(ModuleName, Digest), Resolved>>,
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").finish_non_exhaustive()
    }
}

/// A component that is ready to run, and what is known of it.
#[derive(Clone)]
pub(crate) struct Resolved {
    pub(crate) component: Component,
    pub(crate) version: Arc<VersionView>,
}

/// Why a version could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Where the signature of a component's file is looked for: beside it, as minisign puts it there.
pub(crate) fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

impl Modules {
    /// Modules kept in a storage and compiled by a compiler.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, compiler: Compiler) -> Self {
        let describing = Semaphore::new(DESCRIBED_AT_ONCE);
        Self { storage, compiler, trusted: Trusted::default(), describing, loaded: Mutex::default() }
    }

    /// Takes nothing any more but what is signed as the settings say.
    #[must_use]
    pub fn signed_as(self, settings: &SignatureSettings) -> Self {
        Self { trusted: Trusted::new(settings), ..self }
    }

    /// Finds a version and makes it ready, from the cache of compiled code where that has it. Nothing where no such
    /// version is known, or it is retired.
    pub(crate) async fn resolve(&self, module: &ModuleName, digest: Digest) -> Result<Option<Resolved>, ResolveError> {
        let key = (module.clone(), digest);
        let loaded = self.loaded().get(&key).cloned();
        if loaded.is_some() {
            return Ok(loaded);
        }
        let version = self.storage.version(module, digest).await?;
        // A job may have been pinned to a version that is retired, when it ended or just before: it takes another one then.
        let Some(version) = version.filter(|version| version.retired_at.is_none()) else { return Ok(None) };
        let fetch = async {
            let bytes = self.storage.component(digest).await.map_err(|error| format!("read the component: {error}"))?;
            bytes.ok_or_else(|| "read the component: it is missing from storage".to_owned())
        };
        let component = self.compiler.load(digest.0, fetch).await?;
        let resolved = Resolved { component, version: Arc::new(version) };
        let mut loaded = self.loaded();
        if loaded.len() >= MAX_LOADED {
            // Rare enough not to need an order: what is still in use is loaded again at its next job.
            loaded.clear();
        }
        loaded.insert(key, resolved.clone());
        drop(loaded);
        Ok(Some(resolved))
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<(ModuleName, Digest), Resolved>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
