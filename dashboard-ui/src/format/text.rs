//! Text from others, shown so that it cannot pretend to be something else.

/// Text with the characters made visible that would otherwise hide, reorder or overwrite what stands around them:
/// control characters (but line feed and tab) and marks of writing direction.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\0'..='\u{1f}' => shown.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}')),
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character))),
            _ => shown.push(character),
        }
    }
    shown
}

/// Text of at most so many characters, cut with an ellipsis.
#[must_use]
pub fn clip(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A count and its noun: `1 job`, `12,345 jobs`.
#[must_use]
pub fn plural(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", super::count(value), if value == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_hide_is_made_visible() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c\r\n\td\u{0}"), "a␛[2Jb⟨U+202E⟩c␍\n\td␀");
        assert_eq!(visible("<script>שלום</script>"), "<script>שלום</script>");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(clip("äöü", 2), "äö…");
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(plural(1, "job", "jobs"), "1 job");
        assert_eq!(plural(2_000, "job", "jobs"), "2,000 jobs");
    }
}
