//! The demo's host: its process, and its command line.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{check_interrupted, data::Data, is_interrupted};
use crate::{
    shell::{capture, say},
    workspace::Workspace,
};

/// The host's usual port, and how many after it are tried.
const PORTS: std::ops::Range<u16> = 7878..7978;

/// How long a host may take to start or to stop; its own grace period is 30 s.
const PATIENCE: Duration = Duration::from_secs(45);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A running host. It is stopped when it goes out of scope.
pub(crate) struct Host {
    binary: PathBuf,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Host {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(workspace: &Workspace, data: &Data, pages: SocketAddr) -> Result<Self> {
        let address = free_address()?;
        data.configure(address, pages)?;
        let log = data.path("host.log");
        let file = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let binary = workspace.host_binary();
        say(&format!("starting the host at http://{address}, its log in {}", log.display()));
        let child = bare(&binary)
            .args(["serve", "--config"])
            .arg(data.configuration())
            .current_dir(&workspace.root)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        let mut host = Self { binary, child, address, log };
        host.until_ready()?;
        Ok(host)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A command to try.
    pub(crate) fn example(&self) -> String {
        let binary = env::current_dir().ok().and_then(|here| Some(self.binary.strip_prefix(here).ok()?.to_owned()));
        format!("{} jobs list --url {}", binary.as_ref().unwrap_or(&self.binary).display(), self.url())
    }

    /// Runs a command against it and reads its answer.
    pub(crate) fn windlass(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = bare(&self.binary);
        let answer = capture(command.args(arguments).args(["--json", "--url", &self.url()]))?;
        serde_json::from_str(&answer).with_context(|| format!("`windlass {}` wrote {answer}", arguments.join(" ")))
    }

    /// Enqueues jobs.
    pub(crate) fn enqueue(&self, data: &Data, requests: &[Value]) -> Result<()> {
        let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
        let file = data.path("jobs.jsonl");
        fs::write(&file, lines).with_context(|| format!("failed to write {}", file.display()))?;
        self.windlass(&["enqueue", "--jsonl", &file.to_string_lossy()]).map(drop)
    }

    /// All of its jobs, newest first.
    pub(crate) fn jobs(&self) -> Result<Vec<Value>> {
        let page = self.windlass(&["jobs", "list", "--limit", "200"])?;
        Ok(page["items"].as_array().cloned().unwrap_or_default())
    }

    /// # Errors
    /// Where it has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the host ended with {status}; it said:\n{said}")
            }
        }
    }

    /// Waits for Ctrl-C.
    pub(crate) fn until_interrupted(&mut self) -> Result<()> {
        while !is_interrupted() {
            self.check_alive()?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        say("stopping the host");
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the host has no process id")?;
        kill_process(pid, Signal::TERM).context("failed to stop the host")?;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the host ended with {status}; see {}", self.log.display()),
                None => thread::sleep(LOOK),
            }
        }
        bail!("the host does not stop; see {}", self.log.display())
    }

    fn until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            check_interrupted()?;
            self.check_alive()?;
            if is_ready(self.address).unwrap_or(false) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        bail!("the host does not become ready; see {}", self.log.display())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // After `stop` it is gone already; after an error elsewhere there is nobody left to wait for its jobs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, without what the user has set for other hosts.
fn bare(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WINDLASS_")) {
        command.env_remove(name);
    }
    command
}

fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

fn free_address() -> Result<SocketAddr> {
    let free = PORTS.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    free.into_iter()
        .find(|address| TcpListener::bind(address).is_ok())
        .with_context(|| format!("no port from {} to {} is free on 127.0.0.1", PORTS.start, PORTS.end - 1))
}
