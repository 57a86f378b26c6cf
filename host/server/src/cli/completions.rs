//! `windlass completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Exit, Global, arguments::Cli};

/// Print what a shell needs to complete this command line.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass completions bash > ~/.local/share/bash-completion/completions/windlass
  windlass completions zsh > ~/.zfunc/_windlass
  windlass completions fish > ~/.config/fish/completions/windlass.fish")]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(command: &Completions, global: &Global) -> anyhow::Result<Exit> {
    // Into memory first, since clap panics where it cannot write.
    let mut script = Vec::new();
    generate(command.shell, &mut Cli::command(), "windlass", &mut script);
    global.output().print(&String::from_utf8(script)?)?;
    Ok(Exit::Fine)
}
