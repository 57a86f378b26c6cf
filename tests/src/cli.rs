//! The command line.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Seek, Write},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use tempfile::tempfile;

use crate::built::{target, windlass};

/// How long a command may take on a busy machine; one that should have refused to start a host must not hang the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a command is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What a command wrote and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// The command, as one would type it.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Answer {
    /// What it wrote to standard output, read as JSON.
    ///
    /// # Errors
    /// Where the command failed, or wrote something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        ensure!(self.status.success(), "`{}` gave {}: {}", self.line, self.status, self.stderr.trim());
        serde_json::from_str(&self.stdout).with_context(|| format!("`{}` wrote {}", self.line, self.stdout))
    }

    /// What it complained of.
    ///
    /// # Errors
    /// Where the command succeeded, died of a signal or panicked.
    pub fn complaint(&self) -> Result<&str> {
        match self.status.code() {
            Some(0) => bail!("`{}` succeeded: {}", self.line, self.stdout),
            None | Some(101) => bail!("`{}` broke ({}): {}", self.line, self.status, self.stderr),
            Some(_) => Ok(self.stderr.trim()),
        }
    }

    /// Checks that it complained, in words that name each of these.
    ///
    /// # Errors
    /// Where it did not complain, or did not name one of them.
    pub fn complains_of(&self, words: &[&str]) -> Result<()> {
        let complaint = self.complaint()?.to_lowercase();
        println!("`{}` complains: {complaint}", self.line);
        for word in words {
            ensure!(complaint.contains(&word.to_lowercase()), "`{}` does not name `{word}`: {complaint}", self.line);
        }
        Ok(())
    }
}

/// Runs `windlass` with these arguments, without any of this process's Windlass settings. `input` is its standard
/// input. One that takes a minute is killed.
///
/// # Errors
/// Where it cannot be run.
pub fn run<A: AsRef<OsStr>>(arguments: &[A], input: &str) -> Result<Answer> {
    let mut line = "windlass".to_owned();
    for argument in arguments {
        line = format!("{line} {}", argument.as_ref().display());
    }
    let mut command = bare()?;
    command.args(arguments);
    finish(command, line, input, PATIENCE)
}

/// Runs a command to its end, or for so long.
pub(crate) fn finish(mut command: Command, line: String, input: &str, patience: Duration) -> Result<Answer> {
    // Files rather than pipes, so that nothing that it writes can make it wait.
    let (mut stdin, mut stdout, mut stderr) = (tempfile()?, tempfile()?, tempfile()?);
    stdin.write_all(input.as_bytes())?;
    stdin.rewind()?;
    command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("failed to run `{line}`"))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > patience {
            child.kill()?;
            break child.wait()?;
        }
        thread::sleep(LOOK);
    };
    Ok(Answer { line, status, stdout: read(&mut stdout)?, stderr: read(&mut stderr)? })
}

fn read(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The binary, in an environment that sets nothing of Windlass's.
pub(crate) fn bare() -> Result<Command> {
    bare_through(&[])
}

/// The same, started by another program with these arguments, which runs what follows them.
pub(crate) fn bare_through(wrapper: &[String]) -> Result<Command> {
    let mut command = match wrapper.split_first() {
        None => Command::new(windlass()?),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(windlass()?);
            command
        }
    };
    set_apart(&mut command)?;
    Ok(command)
}

/// Keeps what is the user's own out of a program that is tested.
pub(crate) fn set_apart(command: &mut Command) -> Result<()> {
    // Compiled components are kept between tests, but apart from the user's own.
    command.env("XDG_CACHE_HOME", target()?.join("e2e-cache"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WINDLASS_") {
            command.env_remove(name);
        }
    }
    Ok(())
}
