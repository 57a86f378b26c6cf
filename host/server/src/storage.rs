//! Opening the storage that the settings name, as a host or as a tool beside it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use windlass_jobs::storage::{self, OpenOptions, Role, Storage, StorageError, StorageUrl, sqlite};

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
