//! A version that a share of the new jobs goes to before all do: begun, and then promoted or dropped.

use windlass_api::{CanaryDropped, CanaryRequest, Digest, HandlerName, ModuleName, VersionView};
use windlass_jobs::storage::StorageError;

use super::{DeployError, Modules, breaking};

/// Why a canary was not begun, promoted or dropped. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanaryError {
    /// No more than all jobs can go to it, and no less than one of a hundred.
    #[error("percent: expected 1 to 100, not {0}; `windlass modules drop` ends a canary")]
    Percent(u8),
    /// There is no such version.
    #[error("module `{0}` has no version {1}; `windlass modules show {0}` shows all")]
    UnknownVersion(ModuleName, Digest),
    /// All new jobs go to it already.
    #[error(
        "version {short} of module `{0}` is the active one: new jobs that do not go to a canary go to it anyway",
        short = .1.short()
    )]
    IsActive(ModuleName, Digest),
    /// Nothing starts on it any more.
    #[error("version {short} of module `{0}` is retired: deploy its component again", short = .1.short())]
    IsRetired(ModuleName, Digest),
    /// There is nothing that it could stand beside.
    #[error(
        "module `{0}` has no active version that a canary could stand beside: `windlass modules activate` makes one active"
    )]
    NothingActive(ModuleName),
    /// There is none.
    #[error("module `{0}` has no canary; `windlass modules canary` begins one")]
    NoCanary(ModuleName),
    /// Something would break, or the storage does not answer.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

impl From<StorageError> for CanaryError {
    fn from(error: StorageError) -> Self {
        Self::Deploy(error.into())
    }
}

impl Modules {
    /// Sends a share of the new jobs to a version that is deployed, in place of any other that got one.
    ///
    /// # Errors
    /// Where there is no such version, or no active one beside it; where something would break, unless `force` is set; or where
    /// the storage does not answer.
    pub async fn begin_canary(&self, module: &ModuleName, request: CanaryRequest) -> Result<(), CanaryError> {
        let CanaryRequest { digest, percent, force } = request;
        if !(1..=100).contains(&percent) {
            return Err(CanaryError::Percent(percent));
        }
        let unknown = || CanaryError::UnknownVersion(module.clone(), digest);
        let version = self.storage.version(module, digest).await?.ok_or_else(unknown)?;
        if version.retired_at.is_some() {
            return Err(CanaryError::IsRetired(module.clone(), digest));
        }
        if version.active {
            return Err(CanaryError::IsActive(module.clone(), digest));
        }
        let active = self.storage.active_version(module).await?;
        let active = active.ok_or_else(|| CanaryError::NothingActive(module.clone()))?;
        if !force {
            self.check_canary(module, &active, &version).await?;
        }
        if !self.storage.set_canary(module, digest, percent).await? {
            return Err(unknown());
        }
        Ok(())
    }

    /// A handler that the canary lacks breaks nothing: its jobs go on to the active version.
    async fn check_canary(
        &self,
        module: &ModuleName,
        active: &VersionView,
        canary: &VersionView,
    ) -> Result<(), DeployError> {
        let has = |name: &HandlerName| canary.handlers.iter().any(|handler| handler.name == *name);
        let shared: Vec<_> = active.handlers.iter().filter(|handler| has(&handler.name)).cloned().collect();
        breaking::refuse(breaking::between(&self.storage, module, &shared, &canary.handlers).await?)
    }

    /// Makes the canary the version that all new jobs go to; gives which one that is.
    ///
    /// # Errors
    /// Where there is no canary; where something would break, unless `force` is set; or where the storage does not answer.
    pub async fn promote_canary(&self, module: &ModuleName, force: bool) -> Result<Digest, CanaryError> {
        let live = self.storage.live_versions(module).await?;
        let canary = live.iter().find(|version| version.canary_percent.is_some());
        let canary = canary.ok_or_else(|| CanaryError::NoCanary(module.clone()))?.digest;
        if !force {
            self.check_activation(module, canary).await?;
        }
        if !self.activate(module, canary).await? {
            return Err(CanaryError::UnknownVersion(module.clone(), canary));
        }
        Ok(canary)
    }

    /// Ends a canary. The jobs that began on it and wait to go on are let go to the active version, unless their pins are kept;
    /// those that run now stay with it.
    ///
    /// # Errors
    /// Where there is no canary, or the storage does not answer.
    pub async fn drop_canary(&self, module: &ModuleName, keep_pins: bool) -> Result<CanaryDropped, CanaryError> {
        let digest = self.storage.end_canary(module).await?;
        let digest = digest.ok_or_else(|| CanaryError::NoCanary(module.clone()))?;
        let unpinned = if keep_pins { 0 } else { self.storage.unpin(module, digest).await? };
        Ok(CanaryDropped { digest, unpinned })
    }
}
