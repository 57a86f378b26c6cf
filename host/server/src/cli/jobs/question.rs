//! Asking whoever sits at the terminal, if anybody does.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::super::output::on_terminal;

/// No answer is longer.
const LONGEST_BYTES: u64 = 100;

/// Whether a person says yes. Where nobody can be asked, nobody does.
pub(super) fn is_agreed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !on_terminal() {
        return Ok(false);
    }
    let mut out = io::stderr().lock();
    write!(out, "{question} [y/N] ").and_then(|()| out.flush()).context("failed to ask")?;
    answer(io::stdin().lock()).context("failed to read the answer")
}

fn answer(reader: impl BufRead) -> io::Result<bool> {
    let mut line = String::new();
    reader.take(LONGEST_BYTES).read_line(&mut line)?;
    let line = line.trim();
    Ok(line.eq_ignore_ascii_case("y") || line.eq_ignore_ascii_case("yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_yes_is_one() {
        for yes in ["y\n", "Y\n", "yes\n", " Yes \n", "y"] {
            assert!(answer(yes.as_bytes()).unwrap(), "{yes:?}");
        }
        for no in ["\n", "", "n\n", "no\n", "yess\n", "ye\n"] {
            assert!(!answer(no.as_bytes()).unwrap(), "{no:?}");
        }
    }
}
