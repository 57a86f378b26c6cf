//! A secret that a command gives, such as one of a vault's. It is run once, when the host starts.

use std::{
    io::Read,
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::grants::MAX_SECRET_BYTES;

/// How long a command may take: time to ask another machine, twice.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// How long to wait for what it wrote after it has ended: another process that it left behind may hold the pipe open.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// How much of what it says of an error is told, in characters.
const MAX_SAID_CHARS: usize = 500;

/// What a command writes to its standard output, without the white space around it. It gets the host's environment and an empty
/// standard input.
///
/// # Errors
/// Where it cannot be started, fails, takes too long, or writes nothing, too much, or no UTF-8. The text has what it wrote to its
/// standard error, and nothing of its output and its arguments.
pub(super) fn output(command: &[String]) -> anyhow::Result<String> {
    within(command, TIMEOUT)
}

fn within(command: &[String], timeout: Duration) -> anyhow::Result<String> {
    let [program, arguments @ ..] = command else {
        bail!(
            "its command is empty: expected the program and its arguments, such as [\"pass\", \"show\", \"shop/key\"]"
        );
    };
    let mut started = Command::new(program);
    started.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that what it starts ends with it.
    let child = started.process_group(0).spawn().with_context(|| format!("failed to start the command `{program}`"));
    let mut child = child?;
    let (written, said) = (read(child.stdout.take()), read(child.stderr.take()));
    let ended = until_it_ends(&mut child, timeout);
    if ended.is_none() {
        end_all(&child);
        // It is gone; this takes its entry from the system's table.
        let _ = child.wait();
    }
    let said = shown(&said.recv_timeout(WRITTEN_WITHIN).unwrap_or_default());
    let status =
        ended.ok_or_else(|| anyhow!("the command `{program}` took longer than {} s{said}", timeout.as_secs_f64()))?;
    let status = status.with_context(|| format!("failed to wait for the command `{program}`"))?;
    if !status.success() {
        bail!("the command `{program}` failed ({status}){said}");
    }
    let written = written.recv_timeout(WRITTEN_WITHIN);
    let written = written.map_err(|_| anyhow!("the command `{program}` has ended and left its output open"))?;
    let limit = usize::try_from(MAX_SECRET_BYTES).unwrap_or(usize::MAX);
    if written.len() > limit {
        bail!("the command `{program}` wrote more than {limit} bytes");
    }
    let secret = String::from_utf8(written).map_err(|_| anyhow!("what the command `{program}` wrote is not UTF-8"))?;
    match secret.trim() {
        "" => bail!("the command `{program}` wrote nothing{said}"),
        secret => Ok(secret.to_owned()),
    }
}

/// How it ended; nothing where it takes longer.
fn until_it_ends(child: &mut Child, timeout: Duration) -> Option<std::io::Result<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(ended) = child.try_wait().transpose() {
            return Some(ended);
        }
        if started.elapsed() >= timeout {
            return None;
        }
        thread::sleep(LOOK);
    }
}

fn end_all(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Reads on a thread of its own, so that neither pipe fills up; little more than may be in a secret, and the rest is thrown away.
fn read(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    let reading = move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What is cut off is told by how the command ended.
            let _ = pipe.by_ref().take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        // Nobody may be listening any more.
        let _ = send.send(bytes);
    };
    // Without a thread nothing is ever received, which is told as an output that was left open.
    let _ = thread::Builder::new().name("windlass-secret".to_owned()).spawn(reading);
    receive
}

/// What it said, on one line.
fn shown(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let words = said.split_whitespace().flat_map(|word| [" ", word]).collect::<String>();
    let printable = words.chars().filter(|character| !character.is_control());
    let mut text = printable.clone().take(MAX_SAID_CHARS).collect::<String>();
    if printable.count() > MAX_SAID_CHARS {
        text.push('…');
    }
    if text.is_empty() { ", and said nothing".to_owned() } else { format!(", and said:{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> anyhow::Result<String> {
        within(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], Duration::from_secs(60))
    }

    #[test]
    fn what_a_command_writes_loses_the_white_space_around_it() {
        assert_eq!(sh("printf '\\n  two words \\r\\n'; echo said >&2").unwrap(), "two words");
    }

    #[test]
    fn a_command_that_fails_is_told_with_what_it_said_and_without_what_it_wrote() {
        let error = sh("echo s3cret; echo 'no such   entry' >&2; exit 3").unwrap_err().to_string();
        assert_eq!(error, "the command `sh` failed (exit status: 3), and said: no such entry");
        let error = sh("yes complaint | head -c 100000 >&2; exit 1").unwrap_err().to_string();
        assert!(error.chars().count() < 700 && error.ends_with('…'), "{error}");
        assert!(sh("echo s3cret; kill -9 $$").unwrap_err().to_string().contains("signal: 9"));
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("echo wait >&2; sleep 1000 & echo $! > {}; wait", pids.display());
        // Only begun when it has written whom it started: a machine that is busy takes its time.
        let limit = |seconds| Duration::from_secs(seconds);
        let mut seconds = 1;
        let error = loop {
            let error = within(&["sh".to_owned(), "-c".to_owned(), script.clone()], limit(seconds)).unwrap_err();
            if std::fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n')) {
                break error.to_string();
            }
            seconds *= 2;
        };
        assert!(
            error.starts_with("the command `sh` took longer than ") && error.ends_with("and said: wait"),
            "{error}"
        );
        let started = std::fs::read_to_string(&pids).unwrap().trim().parse::<i32>().unwrap();
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{started}/stat")).unwrap_or_default();
            // A zombie that nobody waits for is gone as well.
            state.is_empty() || state.contains(") Z ")
        };
        let begun = Instant::now();
        while !gone() {
            assert!(begun.elapsed() < Duration::from_secs(60), "what it started goes on");
            thread::yield_now();
        }
    }

    #[test]
    fn a_command_that_gives_no_secret_is_told() {
        for (script, told) in [
            ("true", "wrote nothing, and said nothing"),
            ("printf '\\377'", "is not UTF-8"),
            ("head -c 70000 /dev/zero", "wrote more than 65536 bytes"),
        ] {
            let error = sh(script).unwrap_err().to_string();
            assert!(error.contains(told), "{script}: {error}");
        }
        let error = output(&["windlass-no-such-program".to_owned()]).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("failed to start the command `windlass-no-such-program`: "),
            "{error:#}"
        );
        assert!(output(&[]).unwrap_err().to_string().starts_with("its command is empty"));
    }
}
