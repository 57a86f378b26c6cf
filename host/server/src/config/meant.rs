//! What somebody meant who wrote a setting as the wrong type.

/// The words of serde made those of a settings file, with what to write instead where that can be told.
pub(super) fn explained(problem: &str) -> String {
    let mut problem = problem.to_owned();
    for (technical, plain) in [
        ("expected u16", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected text in quotes"),
        ("expected path string", "expected a path in quotes"),
        ("expected a sequence", "expected a list, such as [\"a\", \"b\"]"),
        ("expected a map", "expected a table, such as { NAME = \"value\" }"),
    ] {
        problem = problem.replace(technical, plain);
    }
    match instead(&problem) {
        Some(instead) => format!("{problem}: write {instead}"),
        None => problem,
    }
}

/// What is probably meant, from what was found and what was expected.
fn instead(problem: &str) -> Option<String> {
    let (found, expected) = problem.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let text = found.strip_prefix("string \"").and_then(|text| text.strip_suffix('"'));
    let bare = found.split_once('`').and_then(|(_, value)| value.strip_suffix('`'));
    match (text, bare) {
        (Some(text), _) if expected.starts_with("a whole number") && text.parse::<u64>().is_ok() => {
            Some(format!("{text}, without quotes"))
        }
        (Some(text @ ("true" | "false")), _) if expected.starts_with("true or false") => {
            Some(format!("{text}, without quotes"))
        }
        (Some(text), _) if expected.starts_with("a list") && !text.contains(['"', '\\']) => {
            Some(format!("[\"{text}\"]"))
        }
        (_, Some(number)) if expected.starts_with("a span of time") && number.parse::<u64>().is_ok() => {
            Some(format!("\"{number}s\" for seconds"))
        }
        (_, Some(port)) if expected.starts_with("an address") && port.parse::<u16>().is_ok() => {
            Some(format!("\"127.0.0.1:{port}\""))
        }
        (_, Some(value)) if expected.contains("in quotes") => Some(format!("\"{value}\"")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_told() {
        for (problem, expected) in [
            ("invalid type: string \"4\", expected u32", "expected a whole number: write 4, without quotes"),
            ("invalid type: string \"true\", expected a boolean", "expected true or false: write true, without quotes"),
            ("invalid type: string \"a.com\", expected a sequence", "such as [\"a\", \"b\"]: write [\"a.com\"]"),
            ("invalid type: integer `5`, expected a span of time such as \"30s\"", ": write \"5s\" for seconds"),
            ("invalid type: integer `7878`, expected an address with its port", ": write \"127.0.0.1:7878\""),
            ("invalid type: integer `8`, expected a string", "expected text in quotes: write \"8\""),
        ] {
            let explained = explained(problem);
            assert!(explained.ends_with(expected), "{explained}");
        }
    }

    #[test]
    fn where_nothing_can_be_told_nothing_is() {
        assert_eq!(
            explained("invalid type: string \"many\", expected u32"),
            "invalid type: string \"many\", expected a whole number"
        );
        assert_eq!(explained("`lots` is not a size"), "`lots` is not a size");
    }
}
