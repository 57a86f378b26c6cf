//! The host that a project is tried on: one that runs, or one of its own, which ends with the command.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use windlass_http_client::DEFAULT_URL;

use super::super::{Global, output::say};
use crate::{
    remote::{Remote, RemoteError},
    signals::StopSignals,
};

/// The folder in a project that a host of its own keeps its jobs in.
const FOLDER: &str = ".windlass";

/// How long a host may take to be ready, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// How long a host may be away meanwhile, as when it is started anew.
const AWAY: Duration = Duration::from_secs(30);

/// How long jobs may go on that run while the host is asked to stop.
const GRACE: &str = "5s";

/// A host.
pub(super) struct DevHost {
    remote: Remote,
    /// The process, where it was started here.
    own: Option<Child>,
}

impl DevHost {
    /// The host that the command line names, or the usual one, or one that is started.
    pub(super) async fn find_or_start(
        folder: &Path,
        listen: Option<SocketAddr>,
        global: &Global,
    ) -> anyhow::Result<Self> {
        if let Some(listen) = listen {
            return Self::start(folder, listen, global);
        }
        match global.remote()?.modules().await {
            Ok(_) => {
                say(&format!("using the host at {}", global.url));
                Ok(Self { remote: global.remote()?.with_patience(AWAY), own: None })
            }
            Err(RemoteError::Unreachable { .. }) if global.url == DEFAULT_URL => {
                let usual =
                    DEFAULT_URL.trim_start_matches("http://").parse().context("failed to read the usual address")?;
                Self::start(folder, usual, global)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn start(folder: &Path, listen: SocketAddr, global: &Global) -> anyhow::Result<Self> {
        let data = folder.join(FOLDER);
        std::fs::create_dir_all(&data).with_context(|| format!("failed to make the folder {}", data.display()))?;
        let program = std::env::current_exe().context("failed to find this program, which is the host too")?;
        let mut command = Command::new(program);
        command.current_dir(folder).args(["serve", "--listen", &listen.to_string()]);
        command.arg("--storage").arg(format!("sqlite:{}", Path::new(FOLDER).join("jobs.db").display()));
        command.args(["--shutdown-grace", GRACE, "--log", global.log.as_deref().unwrap_or("warn")]);
        // In a group of its own: it is told to stop by this command, and not by the terminal at the same time.
        let child = command.process_group(0).stdin(std::process::Stdio::null()).kill_on_drop(true).spawn();
        let url = format!("http://{listen}");
        let remote = Remote::new(&url)?.with_token(global.token.as_deref())?.with_patience(AWAY);
        let own = child.context("failed to start a host")?;
        say(&format!("started a host at {url}, with its dashboard there and its jobs in {}", data.display()));
        Ok(Self { remote, own: Some(own) })
    }

    pub(super) const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Whether it was started here.
    pub(super) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Waits until the host that was started here ends by itself; for ever with another.
    pub(super) async fn gone(&mut self) -> anyhow::Error {
        let Some(own) = &mut self.own else { return std::future::pending().await };
        let ended = own.wait().await;
        self.own = None;
        match ended {
            Ok(status) => anyhow::anyhow!("the host that was started ended with {status}; it says why above"),
            Err(error) => anyhow::Error::new(error).context("failed to wait for the host that was started"),
        }
    }

    /// Stops the host that was started here, in order; each further signal is passed on, so that it hurries.
    pub(super) async fn stop(self, signals: &mut StopSignals) -> anyhow::Result<()> {
        let Some(mut own) = self.own else { return Ok(()) };
        loop {
            terminate(&own)?;
            tokio::select! {
                ended = own.wait() => {
                    ended.context("failed to wait for the host that was started")?;
                    return Ok(());
                }
                _ = signals.next() => {}
            }
        }
    }
}

/// Waits until the host serves its API.
pub(super) async fn until_ready(remote: &Remote) -> anyhow::Result<()> {
    remote.clone().with_patience(START).modules().await?;
    Ok(())
}

fn terminate(child: &Child) -> anyhow::Result<()> {
    // Without an id it has ended.
    let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return Ok(()) };
    kill_process(id, Signal::TERM).context("failed to ask the host to stop that was started")
}
