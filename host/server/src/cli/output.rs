//! Writing results and saying things. Nothing here panics on a closed pipe.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Where results go, and in which form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read the output.
    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: as one line of JSON, or as the text that `human` makes of it.
    pub(super) fn show<T: Serialize + ?Sized>(
        self,
        result: &T,
        human: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string(result)? } else { human(result) };
        self.print(&text)
    }

    /// Prints text as it is, with a line break where it has none. Nothing is printed for no text.
    pub(super) fn print(self, text: &str) -> anyhow::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Says something to whoever sits there. Where standard error is gone, nobody does.
pub(super) fn say(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Whether standard error is a terminal.
pub(super) fn on_terminal() -> bool {
    io::stderr().is_terminal()
}
