//! The host, as a process of its own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// How long a host may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host. It is killed when it goes out of scope.
pub(crate) struct Host {
    program: std::path::PathBuf,
    process: Child,
    address: String,
    folder: TempDir,
}

impl Host {
    pub(crate) fn start(program: &Path, storage: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let log = fs::File::create(folder.path().join("host.log"))?;
        let process = Command::new(program)
            .args(["serve", "--storage", storage, "--listen", &address])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        let mut host = Self { program: program.to_owned(), process, address, folder };
        host.until_ready()?;
        Ok(host)
    }

    fn until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                bail!("the host ended with {status}: {}", self.said());
            }
            if self.is_ready().unwrap_or(false) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the host does not become ready: {}", self.said())
    }

    fn is_ready(&self) -> Result<bool> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    }

    pub(crate) fn deploy(&self, component: &Path) -> Result<()> {
        let status = Command::new(&self.program)
            .args(["deploy", "--name", "bench", "--url", &format!("http://{}", self.address), "--json"])
            .arg(component)
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "failed to deploy {}: {}", component.display(), self.said());
        Ok(())
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("host.log")).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
