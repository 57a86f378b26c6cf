//! What the process ends with.

use std::{fmt, io, process::ExitCode};

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All went well: 0.
    Fine,
    /// The thing asked about failed, and this has been said: 1.
    Failed,
    /// A part was done, and what was left out has been said: 3.
    Partly,
}

/// A command that was given something it cannot use: 2.
#[derive(Debug)]
pub(super) struct Usage(pub(super) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const PARTLY: u8 = 3;

/// Says what went wrong, and gives the exit code.
pub(super) fn code(outcome: anyhow::Result<Exit>) -> ExitCode {
    match outcome {
        Ok(Exit::Fine) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(FAILED),
        Ok(Exit::Partly) => ExitCode::from(PARTLY),
        // Whoever read the output has read enough, as `head` does.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            super::output::say(&format!("error: {error:#}"));
            ExitCode::from(if error.is::<Usage>() { USAGE } else { FAILED })
        }
    }
}

/// The exit code after what clap printed: 0 for help that was asked for.
pub(super) fn of_usage(error: &clap::Error) -> ExitCode {
    u8::try_from(error.exit_code()).map_or(ExitCode::from(USAGE), ExitCode::from)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let of = |error: &(dyn std::error::Error + 'static)| error.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| of(cause) == Some(io::ErrorKind::BrokenPipe))
}
