//! The blocks of code in a page.

/// A block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The word after the fence, without what follows a comma.
    pub language: String,
    /// The line of the fence, from 1.
    pub line: usize,
    /// What stands in it, each line with its break.
    pub text: String,
    /// What the comment right before it says.
    pub note: Option<String>,
}

impl Block {
    /// What a reader sees of it: lines of Rust that begin with `# ` are for the compiler alone.
    #[must_use]
    pub fn shown(&self) -> String {
        let is_seen = |line: &&str| self.language != "rust" || !(line.starts_with("# ") || *line == "#");
        self.text.lines().filter(is_seen).map(|line| format!("{line}\n")).collect()
    }

    /// What the comment says after this word and a colon.
    #[must_use]
    pub fn noted(&self, word: &str) -> Option<&str> {
        self.note.as_deref()?.strip_prefix(word)?.strip_prefix(':').map(str::trim)
    }
}

/// The blocks of a page, in order. A fence may stand in a list, indented.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let mut note = None;
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some((block, indent)) = &mut open {
            if trimmed.trim_end() == "```" {
                found.extend(open.take().map(|(block, _)| block));
            } else {
                let within = line.get(*indent..).unwrap_or(trimmed);
                block.text.push_str(within);
                block.text.push('\n');
            }
        } else if let Some(language) = trimmed.strip_prefix("```") {
            let language = language.split(',').next().unwrap_or_default().trim().to_owned();
            let block = Block { language, line: at + 1, text: String::new(), note: note.take() };
            open = Some((block, line.len() - trimmed.len()));
        } else if let Some(comment) = trimmed.strip_prefix("<!--").and_then(|rest| rest.trim_end().strip_suffix("-->"))
        {
            note = Some(comment.trim().to_owned());
        } else if !trimmed.is_empty() {
            note = None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_notes() {
        let page =
            "A\n\n<!-- file: a.toml -->\n\n```toml,x\na = 1\n```\n\n- in a list\n\n  ```sh\n  echo\n    b\n  ```\n";
        let found = blocks(page);
        let seen: Vec<_> = found
            .iter()
            .map(|block| (block.language.as_str(), block.line, block.text.as_str(), block.noted("file")))
            .collect();
        assert_eq!(seen, [("toml", 5, "a = 1\n", Some("a.toml")), ("sh", 11, "echo\n  b\n", None)]);
    }

    #[test]
    fn a_comment_is_about_what_follows_at_once() {
        assert_eq!(blocks("<!-- prints -->\ntext\n```text\na\n```\n")[0].note, None);
    }
}
