//! The payload of a job: said on the command line, in a file, or on standard input.

use std::{
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use windlass_api::Json;

use super::{exit::Usage, files};

/// More than any payload may have, so that a wrong file is not read whole.
const LONGEST_BYTES: u64 = 32 << 20;

/// Reads `JSON`, `@FILE` or `-` for standard input; `null` where nothing is given.
pub(super) fn read(argument: Option<&str>) -> anyhow::Result<Json> {
    let (text, place) = match argument {
        None => return Ok(Json::null()),
        Some("-") => (limited(io::stdin().lock(), "standard input")?, "standard input".to_owned()),
        Some(argument) => match argument.strip_prefix('@') {
            Some(path) => {
                let file = files::open(Path::new(path), "the payload in", "write the payload there as JSON")?;
                (limited(file, path)?, path.to_owned())
            }
            None => (argument.to_owned(), "the command line".to_owned()),
        },
    };
    let hint = "expected JSON, such as '{\"path\": \"a.png\"}', @FILE, or - for standard input";
    let json = Json::from_text(text);
    Ok(json.map_err(|error| Usage(format!("failed to read the payload from {place}: {error}; {hint}")))?)
}

fn limited(from: impl io::Read, place: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(LONGEST_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("failed to read the payload in {place}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_payload_comes_from_the_command_line_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("payload.json");
        fs::write(&file, "{\"a\": 1}\n").unwrap();
        assert_eq!(read(None).unwrap().as_str(), "null");
        assert_eq!(read(Some("[1]")).unwrap().as_str(), "[1]");
        let from_file = read(Some(&format!("@{}", file.display()))).unwrap();
        assert_eq!(from_file.read::<serde_json::Value>().unwrap(), serde_json::json!({ "a": 1 }));
    }

    #[test]
    fn what_is_not_json_is_bad_usage() {
        let error = read(Some("{path}")).unwrap_err();
        assert!(error.is::<Usage>());
        assert!(error.to_string().contains("from the command line: not JSON: key must be a string"), "{error}");
    }
}
