//! A folder whose components are deployed when they are dropped into it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::Modules;

/// A file is deployed when nothing has happened in the folder for this long, so that it is not read half-written.
const SETTLE: Duration = Duration::from_millis(300);

/// Deploys every component in a folder, now and whenever one is added or changed, until the future is dropped. A
/// component that is refused is reported in the log and left alone until it changes.
///
/// # Errors
/// Where the folder cannot be watched.
pub async fn watch(modules: Arc<Modules>, folder: PathBuf) -> anyhow::Result<()> {
    let (sender, mut changes) = mpsc::channel(1);
    // A full channel already holds the news that something changed.
    let tell = move |_| {
        let _ = sender.try_send(());
    };
    let mut watcher = notify::recommended_watcher(tell).context("failed to start a watcher for the module folder")?;
    watcher
        .watch(&folder, RecursiveMode::NonRecursive)
        .with_context(|| format!("failed to watch the module folder {}", folder.display()))?;
    tracing::info!(folder = %folder.display(), "deploying every component in this folder");
    let mut seen = HashMap::new();
    loop {
        deploy_new(&modules, &folder, &mut seen).await;
        if changes.recv().await.is_none() {
            anyhow::bail!("the watcher of {} ended", folder.display());
        }
        while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok() {}
    }
}

type Seen = HashMap<PathBuf, (SystemTime, u64)>;

async fn deploy_new(modules: &Modules, folder: &Path, seen: &mut Seen) {
    let found = match components(folder) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "failed to read the module folder");
            return;
        }
    };
    for (path, stamp) in found {
        if seen.insert(path.clone(), stamp) == Some(stamp) {
            continue;
        }
        let file = path.display();
        match tokio::fs::read(&path).await {
            Ok(bytes) => {
                if let Err(error) = modules.deploy(None, bytes, true).await {
                    tracing::error!(%file, %error, "failed to deploy this file");
                }
            }
            Err(error) => tracing::error!(%file, %error, "failed to read this file"),
        }
    }
}

fn components(folder: &Path) -> std::io::Result<Vec<(PathBuf, (SystemTime, u64))>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm")
            && let Ok(meta) = path.metadata()
            && meta.is_file()
        {
            found.push((path, (meta.modified()?, meta.len())));
        }
    }
    found.sort();
    Ok(found)
}
