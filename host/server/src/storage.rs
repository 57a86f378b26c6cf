//! Opening the storage that the settings name, as a host or as a tool beside it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use windlass_jobs::storage::{self, Finding, OpenOptions, Role, Severity, Storage, StorageError, StorageUrl, sqlite};

use crate::{
    config::{Settings, Synchronous},
    worker::Backoff,
};

/// How often it is said that the storage is still away.
const SAID_EVERY: Duration = Duration::from_secs(30);

/// Opens the host's storage. One that is away is waited for: after a reboot it may come up later than the host.
///
/// # Errors
/// Where waiting would not help.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Arc<dyn Storage>> {
    let (url, begun_at) = (&settings.storage, Instant::now());
    let (mut backoff, mut said_at) = (Backoff::default(), None::<Instant>);
    loop {
        match storage::open(url, options(settings, Role::Host)).await {
            Ok(storage) => {
                if said_at.is_some() {
                    tracing::info!(storage = %url, waited_s = begun_at.elapsed().as_secs(), "the storage answers now");
                }
                return Ok(storage);
            }
            Err(StorageError::Unavailable(reason)) => {
                if said_at.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
                    said_at = Some(Instant::now());
                    tracing::warn!(storage = %url, %reason, "the storage cannot be reached; waiting for it");
                }
                backoff.wait().await;
            }
            Err(error) => return Err(not_opened(url, error)),
        }
    }
}

/// Opens the storage beside the host, without waiting. `prepare` makes one that is not there.
///
/// # Errors
/// Where it cannot be opened now.
pub(crate) async fn open_beside(settings: &Settings, prepare: bool) -> anyhow::Result<Arc<dyn Storage>> {
    let options = OpenOptions { prepare, ..options(settings, Role::Client) };
    storage::open(&settings.storage, options).await.map_err(|error| not_opened(&settings.storage, error))
}

/// Opens the storage without making or changing anything.
///
/// # Errors
/// Where it cannot be opened now; [`StorageError::Absent`] where there is none yet.
pub(crate) async fn open_to_look(settings: &Settings) -> anyhow::Result<Arc<dyn Storage>> {
    let options = OpenOptions { read_only: true, prepare: false, ..options(settings, Role::Client) };
    storage::open(&settings.storage, options).await.map_err(|error| not_opened(&settings.storage, error))
}

/// Says once what `windlass check` would say of how the storage is set up: who forgets that command must still learn that
/// acknowledged jobs may be lost. Notes are left to it.
pub(crate) async fn say_findings(storage: &dyn Storage) {
    match storage.findings().await {
        Ok(findings) => findings.iter().for_each(say_finding),
        Err(error) => tracing::warn!(%error, "failed to look at how the storage is set up"),
    }
}

fn say_finding(finding: &Finding) {
    let Finding { severity, what, mend } = finding;
    match severity {
        Severity::Error => tracing::error!(mend, "storage: {what}"),
        Severity::Warning => tracing::warn!(mend, "storage: {what}"),
        Severity::Note => tracing::debug!(mend, "storage: {what}"),
    }
}

fn options(settings: &Settings, role: Role) -> OpenOptions {
    let synchronous = match settings.sqlite.synchronous {
        Synchronous::Full => sqlite::Synchronous::Full,
        Synchronous::Normal => sqlite::Synchronous::Normal,
    };
    OpenOptions { role, synchronous, retention: settings.retention.into(), ..OpenOptions::default() }
}

fn not_opened(url: &StorageUrl, error: StorageError) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("failed to open the storage {url}"))
}
