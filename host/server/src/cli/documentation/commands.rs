//! The page of all commands: what each says about itself with `--help`.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::markdown::GENERATED;
use crate::cli::arguments::Cli;

/// How wide the help is, in characters, as on a terminal of that width.
const WIDTH: usize = 100;

pub(super) fn page() -> String {
    let mut page = format!(
        "{GENERATED}# Commands\n\nWhat each command says about itself with `--help`. Results go to standard output, everything said about \
         them to standard error.\n\n| exit code | |\n| --- | --- |\n| 0 | all went well |\n| 1 | what was asked for failed; standard error \
         says why |\n| 2 | it was asked for wrongly |\n| 3 | it was done in part, and what was left out is said |\n"
    );
    let mut command = Cli::command().term_width(WIDTH);
    // Hands what every command understands down to each of them.
    command.build();
    tell(&command, &mut page);
    page
}

fn tell(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.clone().render_long_help().to_string();
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {name}\n\n```text\n");
    for line in help.trim_end().lines() {
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page.push_str("```\n");
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        tell(inner, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_heading_and_hidden_ones_have_none() {
        let page = page();
        for heading in
            ["## windlass\n", "## windlass serve\n", "## windlass jobs requeue\n", "## windlass storage export\n"]
        {
            assert!(page.contains(heading), "{heading}");
        }
        assert!(!page.contains("compile-component") && !page.contains("windlass documentation"));
    }
}
