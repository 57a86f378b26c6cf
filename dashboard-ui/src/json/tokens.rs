//! The words of JSON text.

/// What a token is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key of an object, with its quotes.
    Key,
    /// A string, with its quotes.
    Text,
    /// A number, as it was written.
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// A bracket, a comma or a colon.
    Mark,
    /// What is not JSON; shown as it is.
    Odd,
}

/// A token: where it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
}

/// Cuts text into tokens, leaving out the white space between them. Takes any text: what is not JSON comes out as odd.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut found: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (kind, end) = match byte {
            b'{' | b'}' | b'[' | b']' | b',' => (Kind::Mark, at + 1),
            b':' => {
                // A string before a colon was a key.
                if let Some(last) = found.last_mut().filter(|last| last.kind == Kind::Text) {
                    last.kind = Kind::Key;
                }
                (Kind::Mark, at + 1)
            }
            b'"' => string_end(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                (Kind::Number, at + run(&bytes[at..], is_part))
            }
            b'a'..=b'z' => {
                let end = at + run(&bytes[at..], u8::is_ascii_lowercase);
                let known = matches!(&bytes[at..end], b"true" | b"false" | b"null");
                (if known { Kind::Word } else { Kind::Odd }, end)
            }
            _ => (Kind::Odd, at + text[at..].chars().next().map_or(1, char::len_utf8)),
        };
        found.push(Token { kind, start: at, end });
        at = end;
    }
    found
}

fn string_end(bytes: &[u8], start: usize) -> (Kind, usize) {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return (Kind::Text, at + 1),
            // Whatever is escaped is one byte at least; an escaped quote is exactly that.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    (Kind::Odd, bytes.len())
}

fn run(bytes: &[u8], is_part: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_part(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).into_iter().map(|token| (token.kind, &text[token.start..token.end])).collect()
    }

    #[test]
    fn keys_are_told_from_strings() {
        let text = r#"{ "a" : "b", "c":[ -1.5e+30 ,null] }"#;
        let kinds: Vec<_> = words(text).into_iter().filter(|(kind, _)| *kind != Kind::Mark).collect();
        let expected = [
            (Kind::Key, r#""a""#),
            (Kind::Text, r#""b""#),
            (Kind::Key, r#""c""#),
            (Kind::Number, "-1.5e+30"),
            (Kind::Word, "null"),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn quotes_and_backslashes_within_strings_do_not_end_them() {
        assert_eq!(words(r#"["\"","\\"]"#)[1], (Kind::Text, r#""\"""#));
        assert_eq!(words(r#"["\"","\\"]"#)[3], (Kind::Text, r#""\\""#));
    }

    #[test]
    fn any_text_is_taken() {
        for text in ["", "\"", "\"\\", "é", "{é", "nul", "\u{202e}", "\"é\\"] {
            for token in tokens(text) {
                assert!(text.get(token.start..token.end).is_some(), "{text:?}: {token:?}");
            }
        }
    }
}
