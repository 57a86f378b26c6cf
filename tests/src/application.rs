//! A running application of `examples/` that has Windlass in it, started as its README says.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    EventStream, HttpAnswer, Site, built, cli,
    host::{LOOK, PATIENCE, free_port},
    http,
};

/// `admin` with the password `secret`, as browsers send it.
pub(crate) const ADMIN: (&str, &str) = ("Authorization", "Basic YWRtaW46c2VjcmV0");

/// An application with its dashboard under `/jobs`. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct Application {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Site {
    /// Starts an application in this site's folder, with the handler that it needs, and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not become ready; the error holds what it wrote.
    pub fn start_application(&self, name: &str) -> Result<Application> {
        self.start_application_with(name, &[])
    }

    /// The same with these variables.
    ///
    /// # Errors
    /// As [`Self::start_application`].
    pub fn start_application_with(&self, name: &str, environment: &[(&str, &str)]) -> Result<Application> {
        for folder in ["modules", "tables"] {
            fs::create_dir_all(self.path(folder))?;
        }
        fs::copy(built::component("reports")?, self.path("modules/reports.wasm"))?;
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).join("windlass.toml");
        fs::copy(&settings, self.path("windlass.toml"))
            .with_context(|| format!("failed to copy {}", settings.display()))?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let log = self.path("application.log");
        let file = File::create(&log)?;
        let mut command = Command::new(built::application(name)?);
        cli::set_apart(&mut command)?;
        let child = command
            .current_dir(self.path(""))
            .env("DASHBOARD_PASSWORD", "secret")
            .env("WINDLASS_LISTEN", &address)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let mut application = Application { child, address, log };
        application.until_ready()?;
        Ok(application)
    }
}

impl Application {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What a browser sends that knows the password: the name and the value of a header.
    #[must_use]
    pub const fn admin() -> (&'static str, &'static str) {
        ADMIN
    }

    /// Sends a request as anybody.
    ///
    /// # Errors
    /// Where no answer comes.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpAnswer> {
        http::ask(&self.address, method, path, headers, body)
    }

    /// Sends a request to its API as somebody who knows the password; `path` is below `/jobs/`.
    ///
    /// # Errors
    /// Where no answer comes.
    pub fn command(&self, method: &str, path: &str, body: &[u8]) -> Result<HttpAnswer> {
        self.ask(method, &format!("/jobs/{path}"), &[ADMIN], body)
    }

    /// Follows the events of its API.
    ///
    /// # Errors
    /// Where it does not let one follow.
    pub fn follow(&self) -> Result<EventStream> {
        http::follow(&self.address, "/jobs/api/v1/events", &[ADMIN])
    }

    /// Asks it to stop. What it does then is told by [`Self::ended`].
    ///
    /// # Errors
    /// Where it is gone.
    pub fn tell_to_stop(&self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::TERM).context("failed to signal the application")
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// Where it does not; the error holds what it wrote.
    pub fn ended(mut self) -> Result<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        bail!("the application does not stop; it said:\n{}", self.said())
    }

    /// What it has written so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    /// Ready, and with the module that it watches for.
    fn until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the application ended with {status}; it said:\n{}", self.said());
            }
            if self.command("GET", "api/v1/modules/reports", b"").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        bail!("the application does not become ready; it said:\n{}", self.said())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
