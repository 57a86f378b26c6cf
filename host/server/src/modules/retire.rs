//! The end of a version: nothing starts on it any more, and its component is removed.

use windlass_api::{Digest, ModuleName, RetireRequest, Retired};
use windlass_jobs::storage::{Retirement, StorageError};

use super::Modules;

/// Why a version was not retired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetireError {
    /// There is no such version.
    #[error("module `{0}` has no version {1}; `windlass modules show {0}` shows all")]
    UnknownVersion(ModuleName, Digest),
    /// New jobs go to it.
    #[error(
        "version {short} of module `{0}` is not retired, since new jobs go to it: activate another version first, or drop it where it \
         is the canary",
        short = .1.short()
    )]
    Live(ModuleName, Digest),
    /// Jobs have begun on it that have not ended.
    #[error(
        "version {short} of module `{module}` is not retired, since jobs need it that have begun on it: {running} run and {waiting} wait to \
         go on. Try again when those that run have ended; those that wait go on with the active version unless their pins are kept",
        short = .digest.short()
    )]
    Needed {
        /// The module.
        module: ModuleName,
        /// The version.
        digest: Digest,
        /// How many wait to go on.
        waiting: u64,
        /// How many run.
        running: u64,
    },
    /// The storage does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Modules {
    /// Retires a version. The jobs that began on it and wait to go on are let go to the active version, unless their pins are kept.
    ///
    /// # Errors
    /// Where there is no such version, new jobs go to it, or jobs need it; or where the storage does not answer.
    pub async fn retire(&self, module: &ModuleName, request: RetireRequest) -> Result<Retired, RetireError> {
        let RetireRequest { digest, keep_pins } = request;
        let mut unpinned = 0;
        let mut retirement = self.storage.retire(module, digest).await?;
        if let Retirement::Needed { running: 0, .. } = retirement
            && !keep_pins
        {
            unpinned = self.storage.unpin(module, digest).await?;
            retirement = self.storage.retire(module, digest).await?;
        }
        match retirement {
            Retirement::Done => {
                self.loaded().remove(&(module.clone(), digest));
                Ok(Retired { digest, unpinned })
            }
            Retirement::Unknown => Err(RetireError::UnknownVersion(module.clone(), digest)),
            Retirement::Live => Err(RetireError::Live(module.clone(), digest)),
            Retirement::Needed { waiting, running } => {
                Err(RetireError::Needed { module: module.clone(), digest, waiting, running })
            }
        }
    }
}
