//! A running host.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::{Answer, cli};

/// How long anything that should take a moment may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that cannot be waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// A folder with a storage in it, which outlives the hosts that use it.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
}

impl Site {
    /// A fresh one.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("windlass-test-")? })
    }

    /// A file or folder in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in it and gives its place.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }

    /// The storage, as `--storage` takes it.
    #[must_use]
    pub fn storage(&self) -> String {
        format!("sqlite:{}", self.path("windlass.db").display())
    }

    /// Starts a host on this site's storage and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not become ready; the error holds what it wrote.
    pub fn start(&self, arguments: &[&str]) -> Result<Host<'_>> {
        self.start_as(&Launch::default(), arguments)
    }

    /// Starts a host on a storage that lies elsewhere.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(&self, storage: &str, arguments: &[&str]) -> Result<Host<'_>> {
        self.start_as(&Launch { storage: Some(storage.to_owned()), ..Launch::default() }, arguments)
    }

    /// Starts a host in another way, or on another storage, and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not become ready; the error holds what it wrote.
    pub fn start_as(&self, launch: &Launch, arguments: &[&str]) -> Result<Host<'_>> {
        let mut host = self.spawn_as(launch, arguments)?;
        host.until_ready()?;
        Ok(host)
    }

    /// Starts a host on a storage that lies elsewhere and does not wait until it is ready.
    ///
    /// # Errors
    /// Where the process cannot be started.
    pub fn spawn_on(&self, storage: &str, arguments: &[&str]) -> Result<Host<'_>> {
        self.spawn_as(&Launch { storage: Some(storage.to_owned()), ..Launch::default() }, arguments)
    }

    fn spawn_as(&self, launch: &Launch, arguments: &[&str]) -> Result<Host<'_>> {
        let port = free_port()?;
        let log = self.path(&format!("host-{port}.log"));
        let file = File::create(&log)?;
        let storage = launch.storage.clone().unwrap_or_else(|| self.storage());
        let child = cli::bare_through(&launch.wrapper)?
            .args(["serve", "--storage", &storage, "--listen", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("failed to start the host")?;
        Ok(Host { site: self, child, port, log })
    }
}

/// How a host is started where it differs from the usual.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The storage, instead of the site's own.
    pub storage: Option<String>,
    /// A program and its arguments that become the host: it is given the host's command line after them and replaces
    /// itself with it.
    pub wrapper: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
}

/// A host process. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct Host<'a> {
    site: &'a Site,
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Host<'_> {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its site.
    #[must_use]
    pub fn site(&self) -> &Site {
        self.site
    }

    /// Runs a command against it.
    ///
    /// # Errors
    /// Where the command cannot be run; whether it succeeded is in the answer.
    pub fn windlass(&self, arguments: &[&str]) -> Result<Answer> {
        self.windlass_with_input(arguments, "")
    }

    /// Runs a command against it that reads this text.
    ///
    /// # Errors
    /// As [`Self::windlass`].
    pub fn windlass_with_input(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        let url = format!("http://{}", self.address());
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--url", &url, "--json"]).collect();
        cli::run(&arguments, input)
    }

    /// Runs a command against it that must succeed, and reads its answer.
    ///
    /// # Errors
    /// Where it fails, or answers something else.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        self.windlass(arguments)?.json().with_context(|| self.said())
    }

    /// Deploys a component under a name.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn deploy(&self, name: &str, component: &Path) -> Result<windlass_api::Deployed> {
        self.json(&["deploy", &component.to_string_lossy(), "--name", name])
    }

    /// Kills it the hard way and waits until it is gone.
    ///
    /// # Errors
    /// Where it is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it in its tracks (SIGSTOP).
    ///
    /// # Errors
    /// Where it is gone.
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// Where it is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Tells it to read its certificate anew (SIGHUP).
    ///
    /// # Errors
    /// Where it is gone.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// Where it does not stop in time.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        bail!("the host does not stop; it said:\n{}", self.said())
    }

    /// Whether the process is still the one that was started.
    ///
    /// # Errors
    /// Where it has ended; the error holds what it wrote.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the host ended with {status}; it said:\n{}", self.said()),
        }
    }

    /// What it has written so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    /// The status that it answers a GET of a path with, and the answer.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.with_context(|| format!("not HTTP: {answer}"))?, answer))
    }

    /// Looks again and again until it sees something.
    ///
    /// # Errors
    /// Where it never does; the error says what was looked for.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            thread::sleep(LOOK);
        }
        bail!("never seen: {what}; the host said:\n{}", self.said())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).context("failed to signal the host")
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// Where it ends before that, or takes too long; the error holds what it wrote.
    pub fn until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.still_runs()?;
            if self.get("/readyz").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        bail!("the host does not become ready; it said:\n{}", self.said())
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody uses now. Somebody might take it before the host does; the kernel hands them out at random, so
/// that is not worth more than a failed test's clear message.
pub(crate) fn free_port() -> Result<u16> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    ensure!(port != 0, "no free port");
    Ok(port)
}
