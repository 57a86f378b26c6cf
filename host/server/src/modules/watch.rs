//! A folder whose components are deployed when they are dropped into it.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use notify::{Event, EventKind, RecursiveMode, Watcher as _, event::AccessKind};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{Activation, Modules, Upload, signature_file};

/// A component is deployed when nothing has happened to any for this long, so that it is not read half-written.
const SETTLE: Duration = Duration::from_millis(300);

/// It is deployed after this long in any case: components that change all the time must not hold up the others.
const SETTLE_AT_MOST: Duration = Duration::from_secs(3);

/// How long to wait before another try at a component that was not at fault itself.
const RETRY: Duration = Duration::from_secs(5);

/// Deploys every component in a folder, now and whenever one is added or changed, until the future is dropped. At the
/// start, a version that was deployed before is left as it is, since another may have been activated since. A component
/// that is refused is reported in the log and left alone until it changes.
///
/// # Errors
/// Where the folder cannot be watched.
pub async fn watch(modules: Arc<Modules>, folder: PathBuf) -> anyhow::Result<()> {
    let (sender, mut changes) = mpsc::channel(1);
    let tell = move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, concerns_components) {
            // A full channel already holds the news that something changed.
            let _ = sender.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell).context("failed to start a watcher for the module folder")?;
    watcher
        .watch(&folder, RecursiveMode::NonRecursive)
        .with_context(|| format!("failed to watch the module folder {}", folder.display()))?;
    tracing::info!(folder = %folder.display(), "deploying every component in this folder");
    let mut watched = Watched { modules, folder, seen: HashMap::new() };
    let mut activation = Activation::IfNew;
    loop {
        let again = watched.deploy_new(activation).await;
        let retry_at = again.then(|| Instant::now() + RETRY);
        activation = Activation::Carefully;
        if !next_change(&mut changes, retry_at).await {
            anyhow::bail!("the watcher of {} ended", watched.folder.display());
        }
    }
}

/// Whether something happened to a component; that one was read does not count, least of all by this host.
fn concerns_components(event: &Event) -> bool {
    let read = matches!(event.kind, EventKind::Access(kind) if !matches!(kind, AccessKind::Close(_)));
    !read && event.paths.iter().any(|path| is_of_component(path))
}

fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// Whether something tells of a component: itself, or its signature, which may come after it.
fn is_of_component(path: &Path) -> bool {
    is_component(path) || path.extension().is_some_and(|extension| extension == "minisig")
}

/// Waits until something has changed and settled, or until it is time for another try. False where nothing will ever
/// change again.
pub(crate) async fn next_change(changes: &mut mpsc::Receiver<()>, retry_at: Option<Instant>) -> bool {
    let changed = match retry_at {
        Some(retry_at) => timeout_at(retry_at, changes.recv()).await.unwrap_or(Some(())),
        None => changes.recv().await,
    };
    if changed.is_none() {
        return false;
    }
    let latest = Instant::now() + SETTLE_AT_MOST;
    while Instant::now() < latest {
        match timeout_at((Instant::now() + SETTLE).min(latest), changes.recv()).await {
            Ok(Some(())) => {}
            Ok(None) => return false,
            Err(_) => break,
        }
    }
    true
}

/// When a file was written, and how long it is.
type Stamp = (SystemTime, u64);

struct Watched {
    modules: Arc<Modules>,
    folder: PathBuf,
    /// As each component and its signature were when it was dealt with.
    seen: HashMap<PathBuf, [Option<Stamp>; 2]>,
}

impl Watched {
    /// Deploys what is new. Gives whether something is worth another try.
    async fn deploy_new(&mut self, activation: Activation) -> bool {
        let found = match components(&self.folder) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(folder = %self.folder.display(), %error, "failed to read the module folder; trying again");
                return true;
            }
        };
        let mut again = false;
        for (path, stamp) in found {
            if self.seen.get(&path) == Some(&stamp) {
                continue;
            }
            if self.deploy(&path, activation).await {
                self.seen.insert(path, stamp);
            } else {
                again = true;
            }
        }
        again
    }

    /// Gives whether the component is dealt with, one way or the other.
    async fn deploy(&self, path: &Path, activation: Activation) -> bool {
        let file = path.display();
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%file, %error, "failed to read this file; trying again");
                return false;
            }
        };
        let signature = match signature_of(path).await {
            Ok(signature) => signature,
            Err(error) => {
                tracing::error!(%file, %error, "failed to read the signature of this file; trying again");
                return false;
            }
        };
        match self.modules.deploy(Upload { name: None, bytes, signature }, activation).await {
            Ok(_) => true,
            Err(error) if error.may_pass() => {
                tracing::warn!(%file, %error, "failed to deploy this file; trying again");
                false
            }
            Err(error) => {
                tracing::error!(%file, %error, "failed to deploy this file; it is left alone until it changes");
                true
            }
        }
    }
}

/// What stands beside a component in `FILE.minisig`, if anything does.
async fn signature_of(component: &Path) -> std::io::Result<Option<String>> {
    match tokio::fs::read_to_string(signature_file(component)).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        signature => signature.map(Some),
    }
}

fn components(folder: &Path) -> std::io::Result<Vec<(PathBuf, [Option<Stamp>; 2])>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if is_component(&path)
            && let Ok(meta) = path.metadata()
            && meta.is_file()
        {
            let signature = signature_file(&path).metadata().ok();
            let signature = signature.and_then(|meta| Some((meta.modified().ok()?, meta.len())));
            found.push((path, [Some((meta.modified()?, meta.len())), signature]));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessMode, CreateKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    #[test]
    fn what_happens_to_components_counts_and_reading_them_does_not() {
        let created = EventKind::Create(CreateKind::File);
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(concerns_components(&event(created, "a.wasm")));
        assert!(concerns_components(&event(written, "a.wasm")));
        assert!(concerns_components(&event(created, "a.wasm.minisig")));
        assert!(!concerns_components(&event(opened, "a.wasm")));
        assert!(!concerns_components(&event(created, "app.log")));
    }
}
