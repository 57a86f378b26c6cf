//! What a project is built of: whether something of it has changed.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Component, Path, PathBuf},
};

use anyhow::Context as _;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

use crate::modules::next_change;

/// Folders that hold what is made of sources, or comes from elsewhere.
const MADE: [&str; 4] = ["target", "node_modules", "venv", "__pycache__"];

/// Files that builds write.
const WRITTEN: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Endings of what builds and editors write beside sources.
const ENDINGS: [&str; 6] = ["wasm", "minisig", "pyc", "swp", "swx", "tmp"];

/// The sources of a project, being watched.
pub(super) struct Sources {
    folder: PathBuf,
    watcher: RecommendedWatcher,
    /// The folders in it that are watched with all that is in them. What is in the others is much, and none of it source.
    watched: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Sources {
    /// Watches a folder from now on.
    pub(super) fn watch(folder: &Path) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let of = folder.to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").and_then(|target| PathBuf::from(target).canonicalize().ok());
        let tell = move |event: notify::Result<Event>| {
            let concerns = |event: &Event| {
                is_change(event.kind)
                    && event.paths.iter().any(|path| {
                        is_source(path, &of) && !target.as_ref().is_some_and(|target| path.starts_with(target))
                    })
            };
            if event.as_ref().map_or(true, concerns) {
                // A full channel already holds the news that something changed.
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(tell).context("failed to start a watcher for the sources")?;
        watcher.watch(folder, RecursiveMode::NonRecursive).with_context(|| failed(folder))?;
        let mut sources = Self { folder: folder.to_owned(), watcher, watched: BTreeSet::new(), changes };
        sources.watch_new()?;
        Ok(sources)
    }

    /// Waits until something has changed, also since the last time, and nothing changes any more.
    pub(super) async fn changed(&mut self) -> anyhow::Result<()> {
        self.watch_new()?;
        if next_change(&mut self.changes, None).await {
            Ok(())
        } else {
            anyhow::bail!("the watcher of {} ended", self.folder.display())
        }
    }

    /// Watches the folders that have come.
    fn watch_new(&mut self) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.folder).with_context(|| failed(&self.folder))? {
            let path = entry.with_context(|| failed(&self.folder))?.path();
            if !path.is_dir() || !is_source(&path, &self.folder) {
                self.watched.remove(&path);
            } else if !self.watched.contains(&path) {
                self.watcher.watch(&path, RecursiveMode::Recursive).with_context(|| failed(&path))?;
                self.watched.insert(path);
            }
        }
        Ok(())
    }
}

fn failed(folder: &Path) -> String {
    format!("failed to watch the folder {}", folder.display())
}

/// That something was read is none.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// Whether a path within a folder is that of a source, or of a folder that may hold some.
fn is_source(path: &Path, folder: &Path) -> bool {
    let Ok(within) = path.strip_prefix(folder) else { return false };
    let is_hidden_or_made = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().is_some_and(|name| name.starts_with('.') || MADE.contains(&name)),
        _ => false,
    };
    if within.components().any(is_hidden_or_made) {
        return false;
    }
    // Without a name it is the folder itself, of which something is told elsewhere.
    let Some(name) = within.file_name().and_then(|name| name.to_str()) else { return false };
    let is_of = |ending: &&str| within.extension().is_some_and(|extension| extension == *ending);
    !WRITTEN.contains(&name) && !name.ends_with('~') && !ENDINGS.iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_from_what_is_made_of_them() {
        for (path, expected) in [
            ("/p/src/lib.rs", true),
            ("/p/Cargo.toml", true),
            ("/p/app.py", true),
            ("/p/data/words.txt", true),
            ("/p/targets/list.rs", true),
            ("/p", false),
            ("/elsewhere/lib.rs", false),
            ("/p/Cargo.lock", false),
            ("/p/package-lock.json", false),
            ("/p/target/release/a.rs", false),
            ("/p/node_modules/a/index.js", false),
            ("/p/of/__pycache__/app.pyc", false),
            ("/p/.git/index", false),
            ("/p/.windlass/jobs.db", false),
            ("/p/.windlass-build-x/component.wasm", false),
            ("/p/p.wasm", false),
            ("/p/src/.lib.rs.swp", false),
            ("/p/src/lib.rs~", false),
        ] {
            assert_eq!(is_source(Path::new(path), Path::new("/p")), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn a_change_in_a_folder_that_has_come_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let mut sources = Sources::watch(&folder).unwrap();
        fs::create_dir(folder.join("src")).unwrap();
        sources.changed().await.unwrap();
        // Watched from here on.
        sources.watch_new().unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
        sources.changed().await.unwrap();
        fs::write(folder.join("p.wasm"), "").unwrap();
        fs::write(folder.join("app.py"), "").unwrap();
        sources.changed().await.unwrap();
    }
}
