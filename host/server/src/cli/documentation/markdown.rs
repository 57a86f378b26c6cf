//! What the generated pages have in common.

/// The first line of a generated page, for whoever opens its source.
pub(super) const GENERATED: &str =
    "<!-- Written by `cargo xtask docs` from the program itself: change it there. -->\n\n";

/// Text for a cell of a table, on one line.
pub(super) fn cell(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// Text as code.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}
