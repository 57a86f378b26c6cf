//! JSON text in lines, indented. Only ranges are kept, so that 5 MB of text make some 30 MB of lines and not more.

use std::ops::Range;

use super::tokens::{Kind, Token, tokens};

/// No string is shown longer, in characters, unless it is asked for.
const LONG: usize = 1_000;

/// A line: its indentation and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How deep it stands.
    pub depth: u32,
    tokens: Range<usize>,
}

/// A part of a line, of one colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its colour.
    pub kind: Kind,
    /// Its text.
    pub text: String,
}

/// Text that is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    text: String,
    tokens: Vec<Token>,
    lines: Vec<Line>,
}

impl Layout {
    /// Lays text out, one value a line; empty objects and arrays stay in one line.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let tokens = tokens(text);
        let mut lines = Vec::new();
        let (mut start, mut depth) = (0, 0_u32);
        for at in 0..tokens.len() {
            let mark = |at: usize| {
                tokens.get(at).filter(|token| token.kind == Kind::Mark).map(|token| text.as_bytes()[token.start])
            };
            let (this, next) = (mark(at), mark(at + 1));
            let opens = matches!(this, Some(b'{' | b'['));
            let closes_next = matches!(next, Some(b'}' | b']'));
            let ends_line = match this {
                Some(b'{' | b'[') => !closes_next,
                Some(b',') => true,
                Some(b':') => false,
                _ => closes_next,
            };
            let line_depth = depth;
            if opens && !closes_next {
                depth += 1;
            }
            if ends_line || at + 1 == tokens.len() {
                lines.push(Line { depth: line_depth, tokens: start..at + 1 });
                start = at + 1;
                if closes_next && !opens {
                    depth = depth.saturating_sub(1);
                }
            }
        }
        Self { text: text.to_owned(), tokens, lines }
    }

    /// The text as it came.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.text
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The coloured parts of a line. Very long strings are cut, with their length.
    #[must_use]
    pub fn pieces(&self, line: &Line) -> Vec<Piece> {
        let tokens = self.tokens.get(line.tokens.clone()).unwrap_or_default();
        let mut pieces: Vec<Piece> = Vec::with_capacity(tokens.len());
        for token in tokens {
            let text = &self.text[token.start..token.end];
            let mut text = match text.char_indices().nth(LONG) {
                Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
                None => text.to_owned(),
            };
            if token.kind == Kind::Mark && text == ":" {
                text.push(' ');
            }
            match pieces.last_mut() {
                Some(last) if last.kind == token.kind => last.text.push_str(&text),
                _ => pieces.push(Piece { kind: token.kind, text }),
            }
        }
        pieces
    }

    /// The whole text, laid out with two spaces a level and nothing cut.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut pretty = String::with_capacity(self.text.len() * 2);
        for (number, line) in self.lines.iter().enumerate() {
            if number > 0 {
                pretty.push('\n');
            }
            for _ in 0..line.depth {
                pretty.push_str("  ");
            }
            for token in self.tokens.get(line.tokens.clone()).unwrap_or_default() {
                pretty.push_str(&self.text[token.start..token.end]);
                if token.kind == Kind::Mark && &self.text[token.start..token.end] == ":" {
                    pretty.push(' ');
                }
            }
        }
        pretty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_were_written() {
        let text = r#"{"big":123456789012345678901234567890,"exact":1.10,"e":1E+400}"#;
        let expected = "{\n  \"big\": 123456789012345678901234567890,\n  \"exact\": 1.10,\n  \"e\": 1E+400\n}";
        assert_eq!(Layout::new(text).pretty(), expected);
    }

    #[test]
    fn what_nests_is_indented_and_what_is_empty_stays_in_a_line() {
        let text = r#"{"a":[],"b":{},"c":[1,[2]],"d":"x"}"#;
        let expected =
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    [\n      2\n    ]\n  ],\n  \"d\": \"x\"\n}";
        assert_eq!(Layout::new(text).pretty(), expected);
        assert_eq!(Layout::new(" null ").pretty(), "null");
        assert_eq!(Layout::new("").lines().len(), 0);
    }

    #[test]
    fn a_long_string_is_cut_where_it_is_shown_and_whole_where_it_is_copied() {
        let text = format!("\"{}\"", "ä".repeat(5_000));
        let layout = Layout::new(&text);
        let shown = &layout.pieces(&layout.lines()[0])[0].text;
        assert!(shown.ends_with("… (5002 characters)"), "{shown}");
        assert_eq!(layout.pretty(), text);
    }

    #[test]
    fn five_megabytes_are_laid_out_at_once() {
        let text = format!("[{}]", vec![r#"{"number":1,"name":"some text"}"#; 160_000].join(","));
        assert!(text.len() > 5_000_000);
        assert_eq!(Layout::new(&text).lines().len(), 2 + 160_000 * 4);
    }
}
