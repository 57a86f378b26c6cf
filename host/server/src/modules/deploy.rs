//! Taking in a component: check, compile in a child process, ask it what it is, keep it, and only then activate it.

use windlass_api::{Deployed, Digest, HandlerName, HandlerSpec, ModuleName, VersionView};
use windlass_jobs::{
    Clock as _, SystemClock, recurring,
    storage::{NewVersion, StorageError},
};
use windlass_wasm::Refusal;

use super::{Modules, manifest};

/// Whether new jobs go to a version that is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// From now on.
    Always,
    /// Not until it is activated.
    Never,
    /// From now on where the version was not known before: one that was, may have been rolled back on purpose.
    IfNew,
}

/// Why a component was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The component itself is the reason.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What it says of itself is the reason.
    #[error("its description cannot be used: {0}")]
    Description(String),
    /// Storage is the reason.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl DeployError {
    /// Whether the host or its storage is the reason rather than the component: another try may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_host_failure(),
            Self::Description(_) => false,
            Self::Storage(_) => true,
        }
    }
}

impl Modules {
    /// Deploys a component under a name, or under the one that it gives itself, and sends new jobs to it where
    /// `activation` says so. Deploying the same bytes again changes nothing but that.
    ///
    /// # Errors
    /// Where the component is refused or storage does not take it; then nothing has changed.
    pub async fn deploy(
        &self,
        name: Option<ModuleName>,
        bytes: Vec<u8>,
        activation: Activation,
    ) -> Result<Deployed, DeployError> {
        let digest = Digest(windlass_wasm::digest(&bytes));
        // Copied, since it is kept too: a deploy is rare, and its bytes are few beside what compiling them takes.
        let copy = bytes.clone();
        let component = self.compiler.load(digest.0, async { Ok(copy) }).await?;
        let description = {
            let _turn = self.describing.acquire().await;
            component.describe().await?
        };
        let described = manifest::read(description).map_err(DeployError::Description)?;
        let module = match name {
            Some(name) => name,
            None => described.name.parse().map_err(|error| DeployError::Description(format!("{error}")))?,
        };
        recurring::check_declared(&module, &described.handlers, SystemClock.now()).map_err(DeployError::Description)?;
        let kept: Vec<_> = described.handlers.iter().map(|handler| handler.name.clone()).collect();
        let version = NewVersion {
            module: module.clone(),
            digest,
            bytes,
            version: described.version,
            sdk: described.sdk,
            handlers: described.handlers,
        };
        let already_known = self.storage.add_version(version).await?;
        let activated = match activation {
            Activation::Always => true,
            Activation::Never => false,
            Activation::IfNew => !already_known,
        };
        let mut dropped_handlers = Vec::new();
        if activated {
            let before = self.active(&module).await?;
            self.activate(&module, digest).await?;
            dropped_handlers = before.map(|before| dropped(&before.handlers, &kept)).unwrap_or_default();
        }
        let version = self.storage.version(&module, digest).await?;
        let version = version.ok_or_else(|| StorageError::Damaged(format!("version {digest} of module {module}")))?;
        tracing::info!(%module, version = %digest.short(), active = version.active, handlers = version.handlers.len(), "deployed");
        if !dropped_handlers.is_empty() {
            let handlers: Vec<_> = dropped_handlers.iter().map(ToString::to_string).collect();
            tracing::warn!(%module, handlers = handlers.join(", "), "the version that was active before had more handlers: their jobs wait until a version has them again");
        }
        Ok(Deployed { module, version, already_known, dropped_handlers })
    }

    /// Sends new jobs to a version and puts the recurring jobs in place that it declares. Gives whether the version is known.
    /// Where only the latter fails, the hosts do it within a minute of the storage being there again.
    ///
    /// # Errors
    /// Where the storage does not answer; then nothing has changed.
    pub async fn activate(&self, module: &ModuleName, digest: Digest) -> Result<bool, StorageError> {
        let known = self.storage.activate(module, digest).await?;
        if known && let Err(error) = recurring::declare(&*self.storage, module).await {
            tracing::warn!(%module, %error, "activated, but its recurring jobs are not in place yet");
        }
        Ok(known)
    }

    async fn active(&self, module: &ModuleName) -> Result<Option<VersionView>, StorageError> {
        let modules = self.storage.modules().await?;
        let module = modules.into_iter().find(|known| known.name == *module);
        Ok(module.and_then(|module| module.versions.into_iter().find(|version| version.active)))
    }
}

/// The handlers that are no longer there.
fn dropped(before: &[HandlerSpec], kept: &[HandlerName]) -> Vec<HandlerName> {
    before.iter().map(|handler| handler.name.clone()).filter(|name| !kept.contains(name)).collect()
}
