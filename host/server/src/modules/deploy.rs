//! Taking in a component: check, compile in a child process, ask it what it is, keep it, and only then activate it.

use windlass_api::{Deployed, Digest, HandlerName, HandlerSpec, ModuleName, VersionView};
use windlass_jobs::{
    Clock as _, SystemClock, recurring,
    storage::{NewVersion, StorageError},
};
use windlass_wasm::Refusal;

use super::{Modules, breaking, manifest};

/// No more of what would break is told at once.
const MOST_TOLD: usize = 10;

/// Whether new jobs go to a version that is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// From now on, unless something would break.
    Carefully,
    /// From now on, whatever breaks.
    Always,
    /// Not until it is activated.
    Never,
    /// From now on where the version was not known before, unless something would break: one that was known may have been
    /// rolled back on purpose. One that was retired stays so.
    IfNew,
}

/// A component on its way in.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// Its name; the one that it gives itself where absent.
    pub name: Option<ModuleName>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Who signed it: the text of a `.minisig` file.
    pub signature: Option<String>,
}

/// Why a component was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The component itself is the reason.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody whom this host trusts has signed it.
    #[error(
        "{0}, and this host takes only what is signed: sign it with `minisign -S -m FILE`, and deploy it with its `.minisig` file"
    )]
    Unsigned(String),
    /// What it says of itself is the reason.
    #[error("its description cannot be used: {0}")]
    Description(String),
    /// New jobs would go to it, and something would break.
    #[error("{}", told(.0))]
    WouldBreak(Vec<String>),
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
            Self::Unsigned(_) | Self::Description(_) | Self::WouldBreak(_) => false,
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
    pub async fn deploy(&self, upload: Upload, activation: Activation) -> Result<Deployed, DeployError> {
        let Upload { name, bytes, signature } = upload;
        let trusted = self.trusted.clone();
        // Over tens of megabytes both take a while, which nothing else on this thread must wait for.
        let checking = tokio::task::spawn_blocking(move || {
            trusted.check(&bytes, signature.as_deref())?;
            Ok::<_, DeployError>((Digest(windlass_wasm::digest(&bytes)), bytes))
        });
        let (digest, bytes) =
            checking.await.map_err(|error| Refusal::Host(format!("check the component: {error}")))??;
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
        let activated = match activation {
            Activation::Always | Activation::Carefully => true,
            Activation::Never => false,
            Activation::IfNew => match self.storage.version(&module, digest).await? {
                // It was retired on purpose, as another was rolled back.
                Some(version) if version.retired_at.is_some() => {
                    return Ok(Deployed { module, version, already_known: true, dropped_handlers: Vec::new() });
                }
                known => known.is_none(),
            },
        };
        let before = if activated { self.storage.active_version(&module).await? } else { None };
        if activation != Activation::Always
            && let Some(before) = &before
        {
            self.check(&module, before, &version.handlers).await?;
        }
        let already_known = self.storage.add_version(version).await?;
        let mut dropped_handlers = Vec::new();
        if activated {
            if !self.activate(&module, digest).await? {
                let why = format!("version {} of module {module} was retired while it was deployed", digest.short());
                return Err(StorageError::Unavailable(why).into());
            }
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

    /// Checks what would break if new jobs went to a known version; nothing does where the module has no active one, or it is
    /// that one. A job that is enqueued in the same moment is not seen.
    ///
    /// # Errors
    /// [`DeployError::WouldBreak`], or where the storage does not answer.
    pub async fn check_activation(&self, module: &ModuleName, digest: Digest) -> Result<(), DeployError> {
        let (before, after) = (self.storage.active_version(module).await?, self.storage.version(module, digest).await?);
        match (before, after) {
            (Some(before), Some(after)) => self.check(module, &before, &after.handlers).await,
            _ => Ok(()),
        }
    }

    async fn check(&self, module: &ModuleName, before: &VersionView, after: &[HandlerSpec]) -> Result<(), DeployError> {
        breaking::refuse(breaking::between(&self.storage, module, &before.handlers, after).await?)
    }
}

/// What would break, for whoever may do it all the same.
fn told(broken: &[String]) -> String {
    let more = broken.len().saturating_sub(MOST_TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let broken = broken.iter().take(MOST_TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    format!(
        "new jobs do not go to this version, since something would break: {broken}{more}. Nothing was changed: correct it, or do it \
         all the same with `--force` (in the API `force`)"
    )
}

/// The handlers that are no longer there.
fn dropped(before: &[HandlerSpec], kept: &[HandlerName]) -> Vec<HandlerName> {
    before.iter().map(|handler| handler.name.clone()).filter(|name| !kept.contains(name)).collect()
}
