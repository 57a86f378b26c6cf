//! Links within the documentation: that there is something where they lead.

use std::{collections::BTreeMap, fs, path::Path};

use crate::book::{Page, source};

/// The links of a text that lead nowhere, each in words.
#[must_use]
pub fn broken(page: &Page) -> Vec<String> {
    let folder = page.path.parent().unwrap_or(Path::new(""));
    let is_of_book = page.path.starts_with(source());
    let mut faults = Vec::new();
    for (line, target) in targets(&page.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        // What is put beside the pages when the site is built, which looks whether it is there.
        if is_of_book && target.trim_start_matches("../").starts_with("rustdoc/") {
            continue;
        }
        let mut fault = |what: &str| faults.push(format!("{}:{line}: the link to `{target}` {what}", page.name));
        let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let path = if file.is_empty() { page.path.clone() } else { folder.join(file) };
        let Ok(path) = path.canonicalize() else {
            fault("leads to no file");
            continue;
        };
        let is_in_book = source().canonicalize().is_ok_and(|source| path.starts_with(source));
        if is_of_book && !is_in_book {
            fault("leads out of the book, which is served without the rest of the repository");
        }
        if !anchor.is_empty() {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !anchors(&text).contains(&anchor.to_owned()) {
                fault("leads to no heading of that file");
            }
        }
    }
    faults
}

/// Where the links lead and pictures are, with their lines; what is code has none.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        // Every other part is between backticks.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (before, after) in [("](", ')'), (" src=\"", '"'), (" srcset=\"", '"')] {
            let links = prose.split(before).skip(1).filter_map(|rest| rest.split_once(after));
            found.extend(links.map(|(target, _)| (at + 1, target.to_owned())));
        }
    }
    found
}

/// What the headings of a text are linked to by, as mdBook and GitHub make it.
fn anchors(text: &str) -> Vec<String> {
    let mut seen = BTreeMap::<String, u32>::new();
    let mut in_block = false;
    let mut anchors = Vec::new();
    for line in text.lines() {
        in_block ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if in_block || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let slug: String = heading
            .trim()
            .chars()
            .filter_map(|letter| match letter {
                ' ' => Some('-'),
                _ if letter.is_alphanumeric() || letter == '-' || letter == '_' => letter.to_lowercase().next(),
                _ => None,
            })
            .collect();
        let count = seen.entry(slug.clone()).or_default();
        anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "See [a](a.md#b), `[x](y.md)`.\n```md\n[c](d.md)\n```\n![p](p.png)\n<img src=\"q.png\" alt=\"\">\n";
        assert_eq!(targets(text), [(1, "a.md#b".to_owned()), (5, "p.png".to_owned()), (6, "q.png".to_owned())]);
    }

    #[test]
    fn headings_are_linked_to_as_the_book_does_it() {
        let text = "# The `page`, twice\n## Part\n```sh\n# no heading\n```\n## Part\n#tag\n";
        assert_eq!(anchors(text), ["the-page-twice", "part", "part-1"]);
    }
}
