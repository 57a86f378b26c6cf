//! A server's process: started until it answers, killed, suspended, started again on the same folder and port.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    LOOK, PATIENCE, failure,
    programs::{self, Needed, User},
    room::Room,
};

/// How long a server may take to stop by itself before it is killed.
const STOPPING: Duration = Duration::from_secs(10);

/// A server and its folder. Dropping it stops the one and removes the other.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    user: Option<User>,
    /// What ends it at once with nothing left behind.
    stop: Signal,
    child: Option<Child>,
    // Dropped after the process has been stopped.
    room: Room,
}

impl Server {
    /// A server that has not been started.
    pub(crate) fn new(needed: Needed, user: Option<User>, stop: Signal) -> io::Result<Self> {
        let program = programs::find(needed)?;
        let room = Room::new(user, stop)?;
        Ok(Self {
            name: needed.program,
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            user,
            stop,
            child: None,
            room,
        })
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) fn set_arguments(&mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) {
        self.arguments = arguments.into_iter().map(Into::into).collect();
    }

    /// Variables that the server is started with.
    pub(crate) fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// A program that is run as the server will be, in its folder.
    pub(crate) fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.room.folder()).stdin(Stdio::null()).env("LC_ALL", "C").env_remove("PGDATA");
        if let Some(user) = self.user {
            // Also lets go of root's other groups.
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self, ready: impl Fn() -> io::Result<()>) -> io::Result<()> {
        if self.child.is_some() {
            return Err(failure(format!("{} is running already", self.name)));
        }
        let log = File::options().create(true).append(true).open(self.room.file("log"))?;
        let mut command = self.command(self.program.clone());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(&self.arguments).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().map_err(|error| failure(format!("failed to start {}: {error}", self.name)))?;
        self.room.watch(Some(child.id()))?;
        self.child = Some(child);
        let started = Instant::now();
        loop {
            let Err(error) = ready() else { return Ok(()) };
            if let Some(status) = self.exited()? {
                return Err(failure(format!("{} ended with {status}; it wrote:\n{}", self.name, self.log())));
            }
            if started.elapsed() > PATIENCE {
                let log = self.log();
                return Err(failure(format!("{} does not become ready: {error}; it wrote:\n{log}", self.name)));
            }
            thread::sleep(LOOK);
        }
    }

    /// Kills it the hard way and waits until it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        let mut child =
            self.child.take().ok_or_else(|| failure(format!("{} cannot be killed: it does not run", self.name)))?;
        child.kill()?;
        child.wait()?;
        self.room.watch(None)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = self.process_id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failure(format!("{} cannot be signalled: it does not run", self.name)))?;
        Ok(kill_process(pid, signal)?)
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.room.file("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
            self.room.watch(None)?;
        }
        Ok(status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each step may find the server gone, which is what it is for.
        let _ = self.signal(Signal::CONT);
        let _ = self.signal(self.stop);
        let started = Instant::now();
        while self.child.is_some() && started.elapsed() < STOPPING {
            if !matches!(self.exited(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        let _ = self.kill();
    }
}
