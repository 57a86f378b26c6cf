//! A server's folder, and the watcher that clears up behind it.
//!
//! A value's drop is not enough: a test runner kills a test that takes too long, and a static is never dropped. So each
//! folder has a watcher, a shell that waits on a pipe which only this process holds. However this process ends, the
//! kernel closes the pipe; the watcher then ends the server that it was last told of, and removes the folder.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    failure,
    programs::{User, is_reachable_by_all},
};

/// Each line that it reads is the process id to stop, or empty; the last one counts. `$1` is the folder, `$2` the
/// signal. The server gets five seconds before it is killed.
const WATCHER: &str = r#"
server=
while read -r line; do server=$line; done
if [ -n "$server" ]; then
    kill -s CONT "$server"
    kill -s "$2" "$server"
    tries=0
    while kill -s 0 "$server" && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
    kill -s KILL "$server"
fi
tries=0
until rm -rf -- "$1" || [ $tries -eq 100 ]; do tries=$((tries + 1)); sleep 0.05; done
"#;

/// A temporary folder for one server. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    watcher: Child,
    pipe: Option<ChildStdin>,
}

impl Room {
    /// A fresh folder that belongs to this user, or to whoever this process is.
    pub(crate) fn new(owner: Option<User>, stop: Signal) -> io::Result<Self> {
        let mut parent = env::temp_dir();
        if owner.is_some() && !is_reachable_by_all(&parent) {
            parent = PathBuf::from("/tmp");
        }
        let folder = tempfile::Builder::new().prefix("windlass-service-").tempdir_in(parent)?;
        if let Some(user) = owner {
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
        }
        let mut watcher = Command::new("sh")
            .args(["-c", WATCHER, "sh"])
            .arg(folder.path())
            .arg(if stop == Signal::QUIT { "QUIT" } else { "KILL" })
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that what ends this process' group (a test runner, Ctrl-C) leaves it its work.
            .process_group(0)
            .spawn()?;
        let pipe = watcher.stdin.take();
        // From here on the folder is the watcher's.
        Ok(Self { folder: folder.keep(), watcher, pipe })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Tells the watcher which process it must end, or that there is none.
    pub(crate) fn watch(&mut self, process: Option<u32>) -> io::Result<()> {
        let line = process.map(|process| process.to_string()).unwrap_or_default();
        let pipe = self.pipe.as_mut().ok_or_else(|| failure("the watcher has no pipe"))?;
        writeln!(pipe, "{line}")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Where the watcher is gone it has done nothing; the folder must go all the same.
        let _ = self.watcher.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
